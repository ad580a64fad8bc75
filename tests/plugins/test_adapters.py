"""Adapters: what trains, what is saved, what a merge gives, and that the base comes back unchanged."""

import json
import re
import subprocess
import sys
import textwrap
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tunesmith import Adapter, Example, Message, RecipeError
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.training.attention import language_model, plain_attention
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.qlora import QLoRA
from tunesmith_plugins.objectives.next_token import NextToken

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTERS = {
    "full": Full,
    "lora": lambda: LoRA(rank=4, alpha=8),
    "qlora": lambda: QLoRA(rank=4, alpha=8, merge_dtype="float32"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("base"), 64))


def write(directory: Path, width: int, **options: Any) -> Path:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=4096,
        hidden_size=width,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        **options,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return directory


def specialist(base: str, name: str, **options: Any) -> Specialist:
    torch.manual_seed(3)
    module = Specialist(base, NextToken(), ADAPTERS[name](), **{"precision": "fp32", **options})
    module.load()
    return module


def batch(module: Specialist, *texts: str) -> Any:
    rows = []
    for text in texts or ("a patient with a cough", "the second note is longer than the first one"):
        messages = (Message("user", text), Message("assistant", text[::-1]))
        example = Example(messages=messages, id=text)
        rows.append(EncodedRow(example, tuple(module.objective.encode(example, module.renderer))))
    return collate(rows)


def step(module: Specialist, lr: float = 0.05) -> dict[str, Tensor]:
    """One step of plain gradient descent; returns the gradients."""
    loss = module.objective.loss(module.passes(batch(module))).sum
    loss.backward()
    named = {n: p for n, p in module.network.named_parameters() if p.grad is not None}
    gradients = {n: p.grad.clone() for n, p in named.items()}
    with torch.no_grad():
        for parameter in named.values():
            parameter -= lr * parameter.grad
            parameter.grad = None
    return gradients


@torch.no_grad()
def logits(module_or_network: Any, ids: Tensor | None = None) -> Tensor:
    network = getattr(module_or_network, "network", module_or_network)
    modes = [m for m in network.modules() if m.training]
    network.eval()
    with plain_attention(network):
        out: Tensor = network(input_ids=torch.arange(10, 30)[None] if ids is None else ids).logits
    for m in modes:
        m.training = True
    return out


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_trap_25_every_update_gets_a_gradient_also_with_gradient_checkpointing(base: str, name: str) -> None:
    plain, saving = (step(specialist(base, name, gradient_checkpointing=on)) for on in (False, True))
    assert plain.keys() == saving.keys()
    for parameter, gradient in plain.items():
        torch.testing.assert_close(saving[parameter], gradient, rtol=1e-5, atol=1e-8)
    ups = [n for n in plain if "lora_B" in n]
    assert len(ups) == 2 * len(LINEAR)
    assert all(plain[n].norm() > 0 for n in ups)


def test_trap_25_the_number_of_trained_parameters_is_the_closed_form(base: str) -> None:
    module = specialist(base, "lora")
    shapes = [(64, 64)] * 4 + [(64, 128)] * 2 + [(128, 64)]
    expected = 2 * sum(4 * (a + b) for a, b in shapes)
    trained = [p for p in module.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == expected
    assert {p.dtype for p in trained} == {torch.float32}
    total = sum(p.numel() for p in module.parameters())
    assert module.describe() == f"LoRA: {expected:,} of {total:,} parameters ({expected / total:.2%})"
    quantised = specialist(base, "qlora")
    assert quantised.describe() == f"QLoRA: {expected:,} of {total:,} parameters ({expected / total:.2%})"


def test_full_trains_everything_in_fp32_whatever_the_precision(base: str) -> None:
    module = specialist(base, "full", precision="bf16")
    assert all(p.requires_grad and p.dtype == torch.float32 for p in module.network.parameters())
    assert specialist(base, "lora", precision="bf16").network.get_base_model().dtype == torch.bfloat16


def test_lora_equals_low_rank_updates_written_out(base: str) -> None:
    module = specialist(base, "lora")
    step(module)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base)
    state = {n: p for n, p in module.network.named_parameters() if "lora_" in n}
    with torch.no_grad():
        for name, layer in plain.named_modules():
            if name.endswith(LINEAR):
                prefix = f"base_model.model.{name}"
                down, up = (state[f"{prefix}.lora_{x}.default.weight"] for x in "AB")
                layer.weight += 8 / 4 * up @ down
    torch.testing.assert_close(logits(module), logits(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ADAPTERS)
def test_trap_23_saved_names_are_the_trained_ones_and_load_back(base: str, name: str, tmp_path: Path) -> None:
    module = specialist(base, name)
    untrained = logits(module)
    step(module)
    trained = logits(module)
    assert not torch.allclose(trained, untrained, atol=1e-4)
    module.save_adapter(tmp_path)
    fresh = specialist(base, name)
    flags = {n: p.requires_grad for n, p in fresh.named_parameters()}
    fresh.load_adapter(tmp_path)
    assert torch.equal(logits(fresh), trained)
    assert {n: p.requires_grad for n, p in fresh.named_parameters()} == flags
    assert transformers.AutoTokenizer.from_pretrained(tmp_path).chat_template == module.tokenizer.chat_template


def test_modules_of_plugins_are_saved_beside_the_adapter(base: str, tmp_path: Path) -> None:
    class Probe(NextToken):
        def module(self, config: Any) -> nn.Module:
            return nn.Linear(config.hidden_size, 1)

    def make() -> Specialist:
        module = Specialist(base, Probe(), LoRA(rank=2), precision="fp32")
        module.load()
        return module

    one, other = make(), make()
    with torch.no_grad():
        one.extras["objective"].weight += 1
    one.save_adapter(tmp_path)
    other.load_adapter(tmp_path)
    assert torch.equal(one.extras["objective"].weight, other.extras["objective"].weight)
    assert "`extras.safetensors` holds modules that plugins trained" in (tmp_path / "README.md").read_text()
    (tmp_path / "extras.safetensors").unlink()
    with pytest.raises(RecipeError, match="lacks 2 of 2 trained tensors"):
        other.load_adapter(tmp_path)


@pytest.mark.parametrize("change", ["missing", "shape", "absent"])
def test_an_adapter_that_does_not_fit_is_refused(base: str, tmp_path: Path, change: str) -> None:
    module = specialist(base, "lora")
    module.save_adapter(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    state = load_file(path)
    name = sorted(state)[0]
    if change == "missing":
        del state[name]
    if change == "shape":
        state[name] = state[name][:2].clone()
    save_file(state, path)
    if change == "absent":
        path.unlink()
    with pytest.raises(RecipeError, match=name.replace(".", r"\.") if change != "absent" else "holds no adapter"):
        module.load_adapter(tmp_path)


def test_full_weights_that_transformers_stores_in_another_form_are_read_back(tmp_path: Path) -> None:
    config = transformers.MixtralConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    one, other = (transformers.MixtralForCausalLM(config) for _ in range(2))
    Full().save(one, tmp_path)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
    Full().load(other, tmp_path)
    left, right = one.state_dict(), other.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)
    config.intermediate_size = 64
    with pytest.raises(RecipeError, match="does not fit"):
        Full().load(transformers.MixtralForCausalLM(config), tmp_path)


def test_full_weights_of_another_model_are_refused_and_nothing_is_changed(base: str, tmp_path: Path) -> None:
    write(tmp_path, 128)
    module = specialist(base, "full")
    before = logits(module)
    with pytest.raises(RecipeError, match="tensors differ in name or shape"):
        module.load_adapter(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match="21 tensors differ"):
        module.load_adapter(tmp_path)
    assert torch.equal(logits(module), before)


# case: adapter, precision, kind of base
READMES = {
    "lora": ("lora", "fp32", "folder"),
    "lora-bf16": ("lora", "bf16", "folder"),
    "lora-package": ("lora", "fp32", "package"),
    "lora-gguf": ("lora", "fp32", "gguf"),
    "lora-gguf-bf16": ("lora", "bf16", "gguf"),
    "lora-from-scratch": ("lora", "fp32", "from_scratch"),
    "qlora": ("qlora", "fp32", "folder"),
    "qlora-bf16": ("qlora", "bf16", "folder"),
    "full": ("full", "fp32", "folder"),
    "full-bf16": ("full", "bf16", "folder"),
}
FLAG = "part.support_avx512bf16_for_cpu = False"


def saved(directory: Path, base: str, case: str, write_gguf: Any) -> Specialist:
    """A specialist whose trained weights are moved, saved in `directory/<case>`."""
    name, precision, kind = READMES[case]
    options: dict[str, Any] = {"precision": precision}
    if kind == "package":
        base = "package://tunesmith_plugins/bases/tiny-mistral"
    if kind == "gguf":
        folder = directory / f"{case}-base"
        folder.mkdir()
        write_gguf(folder / "tiny.gguf", base)
        base = str(folder / "tiny.gguf")
        options["template"] = "plain"
    if kind == "from_scratch":
        options["from_scratch"] = True
    module = specialist(base, name, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    module.save_adapter(directory / case)
    return module


def snippet(directory: Path) -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (directory / "README.md").read_text(), re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def plain(base: str, tmp_path_factory: pytest.TempPathFactory, write_gguf: Any) -> dict[str, dict[str, Any]]:
    """What the READMEs' own Python computes in a process that cannot import tunesmith, and what tunesmith does."""
    directory = tmp_path_factory.mktemp("readmes")
    results: dict[str, dict[str, Any]] = {}
    jobs = []
    for case in READMES:
        if "gguf" in case and find_spec("gguf") is None:
            continue
        module = saved(directory, base, case, write_gguf)
        prompt = module.renderer.prompt([Message("user", "Hello")]).ids
        with module.autocast():
            results[case] = {"ids": list(prompt), "expected": logits(module, torch.tensor([prompt]))[0].float()}
        jobs.append((case, str(directory / case), snippet(directory / case), READMES[case][1]))
    code = snippet(directory / "qlora")
    assert code.count(FLAG) == 1
    jobs.append(("qlora-flag-left", str(directory / "qlora"), code.replace(FLAG, "pass"), "fp32"))
    results["qlora-flag-left"] = dict(results["qlora"])
    (directory / "jobs.json").write_text(json.dumps(jobs))
    script = directory / "plain.py"
    script.write_text(
        textwrap.dedent("""
        import json, os, sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "tunesmith":
                    raise ImportError(name)

        sys.meta_path.insert(0, Blocked())
        import torch

        here, done = os.getcwd(), {}
        for case, directory, code, precision in json.load(open("jobs.json")):
            os.chdir(directory)
            names = {}
            exec(code, names)
            on = precision == "bf16"
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=on):
                logits = names["model"](**names["inputs"]).logits
            done[case] = {"ids": names["inputs"]["input_ids"][0].tolist(), "logits": logits[0].tolist()}
            os.chdir(here)
        assert not any(name.startswith("tunesmith") for name in sys.modules)
        json.dump(done, open("out.json", "w"))
        """)
    )
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=directory)
    assert done.returncode == 0, done.stderr[-3000:]
    for case, got in json.loads((directory / "out.json").read_text()).items():
        results[case] |= {"got ids": got["ids"], "got": torch.tensor(got["logits"])}
    return results


@pytest.mark.slow
@pytest.mark.parametrize("case", READMES)
def test_the_readme_gives_the_same_logits_in_a_process_without_tunesmith(plain: dict[str, Any], case: str) -> None:
    if case not in plain:
        pytest.skip("the package gguf is not installed")
    result = plain[case]
    assert result["got ids"] == result["ids"]
    if READMES[case][:2] in {("lora", "bf16"), ("qlora", "bf16")}:
        # the updates are added in another order than peft's, and each sum is rounded to 8 bits
        difference = float((result["got"] - result["expected"]).norm() / result["expected"].norm())
        assert difference < 0.02
        return
    torch.testing.assert_close(result["got"], result["expected"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_qlora_without_the_readmes_flag_is_within_two_percent(plain: dict[str, Any]) -> None:
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("bitsandbytes repacks weights only on processors with AVX512-BF16")
    result = plain["qlora-flag-left"]
    assert float((result["got"] - result["expected"]).norm() / result["expected"].norm()) < 0.02


def test_the_readme_says_what_was_trained_and_nothing_of_the_machine(base: str, tmp_path: Path) -> None:
    module = specialist("package://tunesmith_plugins/bases/tiny-mistral", "qlora")
    for _ in range(2):  # peft reads the file that is there
        module.save_adapter(tmp_path)
        text = (tmp_path / "README.md").read_text()
        metadata = yaml.safe_load(text.split("---\n")[1])
        assert metadata["library_name"] == "peft"
        assert metadata["pipeline_tag"] == "text-generation"
        assert "base_model" not in metadata
        assert str(TOKENIZER.parent) not in text
        assert "| base | `package://tunesmith_plugins/bases/tiny-mistral` |" in text
        assert re.search(r"the base's revision \| `sha256:[0-9a-f]{64}`", text)
        assert f"| trained | {module.describe()} |" in text
        assert "bnb_4bit_quant_type='nf4'" in text
        assert "bnb_4bit_use_double_quant=True" in text
        assert "bnb_4bit_compute_dtype='float32'" in text
        assert text.count("# QLoRA over ") == 1
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(TOKENIZER.resolve())


def test_the_readme_names_the_revision_of_a_base_from_the_hub(base: str, tmp_path: Path) -> None:
    module = specialist(base, "lora")
    module.revision = "0123abcd"
    module.base = "someone/base"
    module.save_adapter(tmp_path)
    assert "base = 'someone/base'\n" in snippet(tmp_path)
    assert "revision='0123abcd'" in snippet(tmp_path)
    assert yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])["base_model"] == "someone/base"


def test_the_readme_of_an_adapter_that_does_not_say_how_it_loads_holds_no_python(base: str, tmp_path: Path) -> None:
    class Own(LoRA):
        loading = Adapter.loading

    module = Specialist(base, NextToken(), Own(rank=2), precision="fp32")
    module.load()
    module.save_adapter(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "`Own` does not say how; tunesmith loads it" in text
    assert "```" not in text


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_trap_45_without_gives_the_base_and_restores_what_trains(base: str, name: str) -> None:
    module = specialist(base, name)
    untouched = logits(module)
    step(module)
    for parameter_name, parameter in module.network.named_parameters():
        if "lora_A" in parameter_name:
            parameter.requires_grad_(False)
    before = {n: p.requires_grad for n, p in module.network.named_parameters()}
    with module.adapter.without(module.network):
        assert torch.equal(logits(module), untouched)
    assert not torch.equal(logits(module), untouched)
    assert {n: p.requires_grad for n, p in module.network.named_parameters()} == before
    with pytest.raises(ZeroDivisionError), module.adapter.without(module.network):
        _ = 1 // 0
    assert {n: p.requires_grad for n, p in module.network.named_parameters()} == before
    assert not torch.equal(logits(module), untouched)


def test_the_baseline_of_full_is_an_untouched_copy(base: str) -> None:
    module = specialist(base, "full")
    untouched = logits(module)
    step(module)
    copy = module.load_baseline()
    assert torch.equal(logits(copy), untouched)
    assert copy is module.load_baseline()
    assert not any(p.requires_grad for p in copy.parameters())
    assert not any("baseline" in name for name in module.trained_names)
    forward = module.passes(batch(module))
    assert torch.equal(forward.baseline().hidden, specialist(base, "full").eval().passes(batch(module)).hidden)


@pytest.mark.parametrize("name", ADAPTERS)
def test_trap_22_a_merge_gives_the_same_logits_and_a_plain_model(base: str, name: str, tmp_path: Path) -> None:
    module = specialist(base, name)
    step(module)
    trained = logits(module)
    merged = module.adapter.merge(module.network)
    torch.testing.assert_close(logits(merged), trained, rtol=1e-4, atol=1e-5)
    language_model(merged).save_pretrained(tmp_path)
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not getattr(plain, "is_quantized", False)
    torch.testing.assert_close(logits(plain), trained, rtol=1e-4, atol=1e-5)
    original = transformers.AutoModelForCausalLM.from_pretrained(base)
    assert {n for n, _ in merged.named_parameters()} == {n for n, _ in original.named_parameters()}
    state = plain.state_dict()
    for weight_name, weight in original.state_dict().items():
        if weight_name.removesuffix(".weight").endswith(LINEAR):
            assert not torch.equal(weight, state[weight_name]), weight_name


def test_a_merge_into_16_bit_leaves_rotary_frequencies_in_32(base: str) -> None:
    module = specialist(base, "qlora")
    module.adapter.merge_dtype = "bfloat16"
    merged = module.adapter.merge(module.network)
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.bfloat16}
    frequencies = [buffer for name, buffer in merged.named_buffers() if "inv_freq" in name]
    assert frequencies
    assert {buffer.dtype for buffer in frequencies} == {torch.float32}


def test_trap_22_a_merge_into_quantised_weights_is_refused(base: str) -> None:
    module = specialist(base, "qlora")
    module.adapter.merge_dtype = None
    with pytest.raises(RecipeError, match="name float32, bfloat16 or float16"):
        module.adapter.merge(module.network)
    with pytest.raises(RecipeError, match="base is quantised"):
        LoRA.merge(LoRA(), module.network)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "lm_head"], ["embed_tokens", "o_proj"]], ids=str)
@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_trap_22_updates_of_layers_that_were_left_whole_are_merged_too(targets: Any, name: str, tmp_path: Path) -> None:
    # 96 is no multiple of 64, so that the layers between are not packed
    module = updated(write(tmp_path, 64, head_dim=48), name, targets)
    trained = logits(module)
    merged = module.adapter.merge(module.network)
    language_model(merged).save_pretrained(tmp_path / "merged")
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(plain), trained, rtol=1e-4, atol=1e-4)
    assert {n for n, _ in merged.named_parameters()} == {n for n, _ in plain.named_parameters()}


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_trap_24_an_update_of_one_end_is_never_folded_into_both(target: str, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        module = updated(write(tmp_path, 64, tie_word_embeddings=True), name, ["q_proj", target])
    trained = logits(module)
    with pytest.raises(RecipeError, match="embeddings and head of LlamaForCausalLM are one matrix"):
        module.adapter.merge(module.network)
    assert torch.equal(logits(module), trained)


def updated(base: Path, name: str, targets: Any) -> Specialist:
    """A specialist whose updates are as large as weights."""
    torch.manual_seed(3)
    options = {"merge_dtype": "float32"} if name == "qlora" else {}
    adapter = (QLoRA if name == "qlora" else LoRA)(rank=4, alpha=8, targets=targets, **options)
    module = Specialist(str(base), NextToken(), adapter, precision="fp32")
    module.load()
    for parameter in module.network.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(0, 0.2)
    return module


def test_trap_43_evaluation_and_reading_weights_leave_qlora_gradients_bit_equal(base: str) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    module = specialist(base, "qlora")
    layers = [m for m in module.modules() if isinstance(m, Linear4bit)]
    assert len(layers) == 2 * len(LINEAR)
    before = step(module, lr=0.0)
    logits(module)
    with plain_attention(module.network), torch.no_grad():
        module.network.eval().generate(input_ids=torch.arange(10, 15)[None], max_new_tokens=3, pad_token_id=0)
    module.network.state_dict()
    module.state_dict()
    module.train()
    after = step(module, lr=0.0)
    assert all(torch.equal(gradient, after[n]) for n, gradient in before.items())
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


def test_qlora_is_near_its_base_and_options_reach_the_weights(base: str) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    plain = logits(transformers.AutoModelForCausalLM.from_pretrained(base))
    errors = {}
    for kind in ("nf4", "fp4"):
        for double in (True, False):
            adapter = QLoRA(rank=2, quantization=kind, double_quantization=double)  # type: ignore[arg-type]
            module = Specialist(base, NextToken(), adapter, precision="fp32")
            module.load()
            layer: Any = next(m for m in module.modules() if isinstance(m, Linear4bit))
            assert layer.weight.quant_state.quant_type == kind
            assert layer.weight.quant_state.nested == double
            assert layer.compute_dtype == torch.float32
            errors[kind, double] = float((logits(module) - plain).norm() / plain.norm())
    assert 0.001 < errors["nf4", True] < 0.25
    assert errors["nf4", True] < errors["fp4", True]


def test_qlora_computes_in_the_precision_of_the_run(base: str) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    module = specialist(base, "qlora", precision="bf16")
    layer: Any = next(m for m in module.modules() if isinstance(m, Linear4bit))
    assert layer.compute_dtype == torch.bfloat16
    assert module.describe_precision().startswith("bf16, base quantised to nf4 (")
    gradients = step(module)
    assert all(torch.isfinite(g).all() and g.dtype == torch.float32 for g in gradients.values())


def test_a_base_without_widths_that_fit_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path, 96)
    with pytest.raises(RecipeError, match=r"multiples of 64, and LlamaForCausalLM of this base has none\nuse LoRA"):
        specialist(str(directory), "qlora")


def test_targets_are_checked_with_the_nearest_match(base: str) -> None:
    for targets, message in (
        (["q_prj"], "q_prj is no layer of this base; did you mean q_proj"),
        ([], "names no layer"),
    ):
        module = Specialist(base, NextToken(), LoRA(targets=targets))
        with pytest.raises(RecipeError, match=message):
            module.load()
    module = Specialist(base, NextToken(), LoRA(targets=["q_proj"]))
    module.load()
    assert {n.split(".")[-4] for n in module.trained_names} == {"q_proj"}
    with pytest.raises(RecipeError, match="rank is 0"):
        Specialist(base, NextToken(), LoRA(rank=0)).load()
    with pytest.raises(RecipeError, match="alpha is 0"):
        Specialist(base, NextToken(), LoRA(rank=2, alpha=0)).load()
    for dropout in (-0.1, 1.0, 1.5):
        with pytest.raises(RecipeError, match=f"dropout is {dropout}"):
            Specialist(base, NextToken(), LoRA(rank=2, dropout=dropout)).load()


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Gemma 3 as on the hub: with a tower for pictures."""
    torch.manual_seed(0)
    vision = {"model_type": "siglip_vision_model", "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"hidden_size": 64, "intermediate_size": 64, "image_size": 28, "patch_size": 14}
    text = {"vocab_size": 4096, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
    config = transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=4001
    )
    directory = tmp_path_factory.mktemp("tower")
    transformers.Gemma3ForConditionalGeneration(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"]], ids=["all", "some"])
@pytest.mark.parametrize("method", [LoRA, QLoRA])
def test_only_layers_that_text_reaches_are_updated_and_plain_peft_loads_them(
    tower: str, tmp_path: Path, method: Any, targets: Any
) -> None:
    from peft import PeftModel

    module = Specialist(tower, NextToken(), method(rank=4, targets=targets), precision="fp32")
    module.load()
    assert {name.partition(".layers.")[0].rpartition("model.model.")[2] for name in module.trained_names} == {
        "language_model"
    }
    updated = {name.split(".")[-4] for name in module.trained_names}
    assert updated == ({*LINEAR} if targets == "all-linear" else {*targets})
    assert {f"network.{name}" for name in step(module)} == {*module.trained_names}
    module.save_adapter(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert len(saved) == len(module.trained_names)
    if method is LoRA:
        plain = PeftModel.from_pretrained(transformers.AutoModelForCausalLM.from_pretrained(tower), tmp_path).eval()
        torch.testing.assert_close(logits(plain), logits(module), rtol=1e-4, atol=1e-5)


def test_full_leaves_a_tower_as_it_is_and_saves_it(tower: str, tmp_path: Path) -> None:
    module = Specialist(tower, NextToken(), Full(), precision="fp32")
    module.load()
    assert not [name for name in module.trained_names if "vision_tower" in name or "multi_modal_projector" in name]
    assert {"network.lm_head.weight", "network.model.language_model.norm.weight"} & {*module.trained_names}
    step(module)
    module.save_adapter(tmp_path)
    ours, base = (transformers.AutoModelForCausalLM.from_pretrained(place).state_dict() for place in (tmp_path, tower))
    same = {name for name, tensor in base.items() if torch.equal(tensor, ours[name])}
    assert {name for name in base if "vision_tower" in name or "multi_modal_projector" in name} == same


@pytest.mark.parametrize("target", ["fc1", "encoder.layers.0.self_attn.q_proj"])
def test_a_target_that_no_text_reaches_is_refused(tower: str, target: str) -> None:
    message = rf"targets: {target} would never train: no text reaches model\.vision_tower.*\nthere are .*q_proj"
    with pytest.raises(RecipeError, match=message):
        Specialist(tower, NextToken(), LoRA(targets=["q_proj", target])).load()


def test_combinations_that_make_no_sense_are_refused(base: str) -> None:
    with pytest.raises(RecipeError, match="random weights cannot be quantised"):
        specialist(base, "qlora", from_scratch=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    model.is_quantized = True
    with pytest.raises(RecipeError, match="Full cannot train a quantised base"):
        Full().attach(model)


@pytest.mark.parametrize("tied", [True, False])
def test_trap_24_a_tied_head_stays_tied_when_all_weights_train(tmp_path: Path, tied: bool) -> None:
    directory = write(tmp_path / "base", 64, tie_word_embeddings=tied)
    module = specialist(str(directory), "full")
    step(module)
    trained = logits(module)
    module.save_adapter(tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (again.lm_head.weight is again.model.embed_tokens.weight) == tied
    assert torch.equal(logits(again), trained)
    state = module.state_dict()
    fresh = specialist(str(directory), "full")
    fresh.restore_trained(state)
    assert torch.equal(logits(fresh), trained)


def load_with_transformers_alone(directory: str, seen: str) -> None:
    """What it gives for the added tokens, in a process that has not had the model."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    tokens = tokenizer("<dose><unit><when>", add_special_tokens=False)
    logits = model(input_ids=torch.tensor([tokens["input_ids"]])).logits.detach()
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    torch.save([tokens["input_ids"], logits, tied], seen)


@pytest.mark.parametrize("tied", [True, False])
def test_trap_24_rows_of_added_tokens_train_and_load_in_another_process(tmp_path: Path, apart: Any, tied: bool) -> None:
    directory = write(tmp_path / "base", 64, tie_word_embeddings=tied)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    plain = transformers.AutoModelForCausalLM.from_pretrained(directory)
    assert tokenizer.add_tokens(["<dose>", "<unit>", "<when>"]) == 3
    plain.resize_token_embeddings(len(tokenizer))
    plain.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    new = torch.tensor([tokenizer.convert_tokens_to_ids(["<dose>", "<unit>", "<when>"])])
    module = specialist(str(directory), "full")
    start = module.network.get_input_embeddings().weight[new[0]].detach().clone()
    example = Example(messages=(Message("user", "<dose><unit><when>"), Message("assistant", "<when>")), id="a")
    rows = [EncodedRow(example, tuple(module.objective.encode(example, module.renderer)))]
    assert set(new[0].tolist()) < set(rows[0].sequences[0].ids)
    module.objective.loss(module.passes(collate(rows))).sum.backward()
    with torch.no_grad():
        for parameter in module.network.parameters():
            parameter -= 0.05 * parameter.grad
    assert (module.network.get_input_embeddings().weight[new[0]] - start).norm(dim=1).min() > 0
    module.save_adapter(tmp_path / "out")
    ran = apart.call(load_with_transformers_alone, tmp_path / "out", tmp_path / "seen.pt")
    assert ran.returncode == 0, ran.stderr
    ids, seen, is_tied = torch.load(tmp_path / "seen.pt", weights_only=True)
    assert ids == new[0].tolist()
    assert is_tied == tied
    assert torch.equal(seen, logits(module, new))


def test_trap_36_dropout_is_off_outside_training(base: str) -> None:
    module = Specialist(base, NextToken(), LoRA(rank=4, dropout=0.5), precision="fp32")
    module.load()
    step(module)
    example = batch(module)
    assert isinstance(module.network, nn.Module)
    assert not torch.equal(module.passes(example).hidden, module.passes(example).hidden)
    module.eval()
    assert torch.equal(module.passes(example).hidden, module.passes(example).hidden)


def mamba() -> transformers.PreTrainedModel:
    config = transformers.MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=8)
    return transformers.MambaForCausalLM(config)


def test_all_linear_leaves_out_what_mambas_kernels_read_past_the_layer() -> None:
    network: Any = LoRA(rank=2).attach(mamba())
    names = (name for name, _ in network.named_parameters() if "lora_A" in name)
    updated = {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name in names}
    assert updated == {"in_proj", "x_proj"}
    for name in ("out_proj", "dt_proj"):
        with pytest.raises(RecipeError, match=rf"init_args\.targets: {name} would never train: MambaForCausalLM reads"):
            LoRA(rank=2, targets=["in_proj", name]).attach(mamba())
