"""Loading a base: where it may lie, what is refused, and what the seed decides."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Trainer

from tunesmith import DataError, RecipeError
from tunesmith.training.base import load_base
from tunesmith.training.optimizer import build, parameter_groups, scheduler
from tunesmith.training.precision import autocast, chosen, resolve, storage
from tunesmith.training.randomness import Stream, seeded
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=4096, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return directory


def test_a_directory_loads_in_the_format_that_is_asked(base: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model, tokenizer = load_base(str(base), dtype=dtype)
        assert {p.dtype for p in model.parameters()} == {dtype}
        assert tokenizer.chat_template


def test_the_embedded_base_loads_from_its_package() -> None:
    model, tokenizer = load_base("package://tunesmith_plugins/bases/tiny-mistral")
    assert model.config.model_type == "mistral"
    assert model.config.vocab_size == len(tokenizer)


def test_random_weights_depend_on_the_seed_alone_and_leave_the_random_state(base: Path) -> None:
    def weights(seed: int, draws: int) -> torch.Tensor:
        torch.manual_seed(seed)
        torch.rand(draws)
        state = torch.get_rng_state()
        model, _ = load_base(str(base), from_scratch=True)
        assert torch.equal(torch.get_rng_state(), state)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(1, 0), weights(1, 5))
    assert not torch.equal(weights(1, 0), weights(2, 0))
    assert not torch.equal(weights(1, 0), torch.cat([p.flatten() for p in load_base(str(base))[0].parameters()]))


@pytest.mark.parametrize("kind", ["masked", "classification"])
def test_other_heads_load_as_their_class(tmp_path: Path, kind: Any) -> None:
    config = transformers.BertConfig(
        vocab_size=4096, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    by_kind = {"masked": transformers.BertForMaskedLM, "classification": transformers.BertForSequenceClassification}
    by_kind[kind](config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(tmp_path)
    model, _ = load_base(str(tmp_path), model_class=kind)
    assert type(model) is by_kind[kind]


def test_a_folder_without_the_head_of_a_language_model_is_refused(base: Path, tmp_path: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(base, num_labels=3)
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"lacks 1 weights of LlamaForCausalLM, first lm_head\.weight"):
        load_base(str(tmp_path))


def test_missing_places_say_what_is_allowed(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nowhere does not exist"):
        load_base("./nowhere")
    with pytest.raises(DataError, match=r"holds neither config\.json nor GGUF"):
        load_base(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(DataError, match="is a file, but no GGUF file"):
        load_base(str(tmp_path / "weights.bin"))
    with pytest.raises(DataError, match=r"(?s)model\.base: nobody/nothing cannot be loaded.*HF_HUB_OFFLINE is set"):
        load_base("nobody/nothing")


def test_pickled_weights_are_never_read(base: Path, tmp_path: Path) -> None:
    for path in base.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(load_base(str(base))[0].state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        load_base(str(tmp_path))


def test_code_of_the_base_is_never_run(base: Path, tmp_path: Path) -> None:
    import json

    for path in base.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(DataError, match=r"trust_remote_code|custom code"):
        load_base(str(tmp_path))


def test_a_gguf_file_becomes_a_plain_model_that_can_be_saved(base: Path, tmp_path: Path, write_gguf: Any) -> None:
    write_gguf(tmp_path / "tiny.gguf", base)
    expected = load_base(str(base))[0].state_dict()
    for place in (tmp_path, tmp_path / "tiny.gguf"):
        model, _ = load_base(str(place), dtype=torch.float32)
        state = model.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    model.save_pretrained(tmp_path / "saved")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    with pytest.raises(RecipeError, match="GGUF base cannot be quantised"):
        load_base(str(tmp_path / "tiny.gguf"), options={"quantization_config": object()})
    (tmp_path / "other.gguf").write_bytes(b"")
    with pytest.raises(DataError, match=r"several GGUF files \(other.gguf, tiny.gguf\): name one"):
        load_base(str(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_gguf_file_is_unpacked_to_the_wanted_format(
    base: Path, tmp_path: Path, dtype: torch.dtype, write_gguf: Any
) -> None:
    write_gguf(tmp_path / "tiny.gguf", base, packed=True)
    model, _ = load_base(str(tmp_path), dtype=dtype)
    expected = load_base(str(base))[0].state_dict()
    assert {type(m) for m in model.modules() if hasattr(m, "in_features")} == {torch.nn.Linear}
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == dtype
        torch.testing.assert_close(tensor.float(), expected[name], rtol=0.01, atol=2e-3)
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}  # rotary frequencies
    assert not model.is_quantized


def test_a_gguf_file_without_the_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"")
    monkeypatch.setattr("tunesmith.training.base_place.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"tunesmith\[gguf\]"):
        load_base(str(tmp_path / "tiny.gguf"))


@pytest.mark.parametrize(
    ("kind", "has", "said"),
    [
        ("cuda", True, "bf16 (chosen: the GPU has bf16)"),
        ("cuda", False, "fp32 (chosen: the GPU has no bf16)"),
        ("cpu", True, "bf16 (chosen: the processor has AMX)"),
        ("cpu", False, "fp32 (chosen: the processor has no AMX)"),
        ("mps", False, "fp32 (chosen: bf16 is not tested on Apple's GPUs)"),
    ],
)
def test_precision_auto_is_bf16_where_the_device_of_the_run_multiplies_in_it(
    kind: str, has: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the other device says the opposite, and is not asked; nor is a GPU that only emulates bf16
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has is (kind == "cpu"))
    real = has is (kind == "cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or real)
    device = torch.device(kind)
    assert chosen("auto", device) == said
    assert resolve("auto", device) == said[:4]
    assert chosen("fp32", device) == resolve("fp32", device) == "fp32"


def test_products_are_in_the_precision() -> None:
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert storage(precision) == dtype  # type: ignore[arg-type]
        with autocast(precision, torch.device("cpu")):  # type: ignore[arg-type]
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@given(
    name=st.sampled_from(["cosine", "linear", "constant"]),
    warmup=st.one_of(st.floats(0, 0.99), st.integers(1, 20).map(float)),
    floor=st.floats(0, 1),
    total=st.integers(1, 60),
)
def test_rates_rise_to_the_peak_and_never_leave_their_bounds(
    name: Any, warmup: float, floor: float, total: int
) -> None:
    schedule = Schedule(name, warmup, floor)
    rates = [schedule.factor(step, total) for step in range(total + 1)]
    rising = min(math.ceil(warmup * total) if warmup < 1 else round(warmup), total)
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[:rising] == [(step + 1) / rising for step in range(rising)]
    after = rates[rising:]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(after))
    if name == "constant" or total <= rising:
        assert set(after) == {1.0}
    else:
        assert after[0] == 1.0
        assert after[-1] == pytest.approx(floor)


def test_cosine_is_half_way_in_the_middle() -> None:
    assert Schedule("cosine", warmup=0, floor=0.2).factor(50, 100) == pytest.approx(0.6)
    assert Schedule("linear", warmup=0).factor(25, 100) == pytest.approx(0.75)


def test_impossible_schedules_are_refused() -> None:
    for schedule, key in ((Schedule(warmup=-1), "warmup"), (Schedule(floor=2), "floor")):
        with pytest.raises(RecipeError, match=f"model.schedule.{key}"):
            schedule.check()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(RecipeError, match=r"set trainer\.max_epochs or max_steps"):
        scheduler(optimizer, Schedule("cosine"), math.inf)
    with pytest.raises(RecipeError, match=r"model\.schedule\.warmup 0\.03 needs .*, or give a warmup of 0 or a number"):
        scheduler(optimizer, Schedule("constant"), math.inf)
    endless = scheduler(optimizer, Schedule("constant", warmup=2), math.inf)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        endless.step()
    assert rates == [0.5, 1.0, 1.0, 1.0]


def test_groups_of_an_adapter_keep_their_rates() -> None:
    a, b, c = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2, 2), (2,)))
    groups = parameter_groups([a, b, c], [{"params": [b], "lr_scale": 16.0}])
    optimizer = build(lambda g: torch.optim.AdamW(g, lr=1e-3, weight_decay=0.1), groups)
    found = [
        (g["params"][0] is p, g["lr"], g["weight_decay"])
        for g, p in zip(optimizer.param_groups, (a, c, b), strict=True)
    ]
    assert found == [(True, 1e-3, 0.1), (True, 1e-3, 0.0), (True, pytest.approx(16e-3), 0.1)]
    with pytest.raises(RecipeError, match="no parameter to train"):
        parameter_groups([])


def test_an_optimizer_that_refuses_its_options_or_groups_is_the_recipes_mistake() -> None:
    groups = parameter_groups([torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))])
    with pytest.raises(RecipeError, match=r"^model\.optimizer cannot be used so: Invalid learning rate: -1"):
        build(lambda g: torch.optim.AdamW(g, lr=-1), groups)
    with pytest.raises(RecipeError, match=r"^model\.optimizer cannot be used so: LBFGS"):
        build(lambda g: torch.optim.LBFGS(g), groups)


def test_a_stream_goes_on_where_it_was_whatever_is_drawn_outside() -> None:
    import random

    import numpy as np

    def draws(stream: Stream, number: int) -> list[float]:
        found = []
        for _ in range(number):
            with stream.running():
                found.append(float(torch.rand(1)))
            torch.rand(5)
        return found

    torch.manual_seed(0)
    expected = draws(Stream(4), 6)
    stream = Stream(4)
    first = draws(stream, 3)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    state = stream.state()
    after = (random.random(), float(np.random.rand()), float(torch.rand(1)))
    other = Stream(9)
    other.restore(state)
    assert (random.random(), float(np.random.rand()), float(torch.rand(1))) == after
    assert first + draws(other, 3) == expected


def test_seeded_leaves_the_state_outside() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with seeded(5):
        one = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(5):
        assert torch.equal(torch.rand(3), one)


def test_a_layout_that_another_device_needs_is_said(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = Specialist(str(base), NextToken(), LoRA(rank=2), precision="fp32")
    module.load()
    assert module.layout == "ragged"
    module.trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    monkeypatch.setattr(Specialist, "device", torch.device("cuda"))
    module.on_fit_start()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("tunesmith.training.probe.windowed_layers", lambda model: 1)
    module.on_fit_start()
    assert capsys.readouterr().out.startswith("layout on cuda is padded, not ragged: LlamaForCausalLM keeps the window")
