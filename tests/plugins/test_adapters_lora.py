"""LoRA's options: each against its formula and against peft's own module over the untouched base."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from tunesmith import RecipeError
from tunesmith.training.optimizer import build, parameter_groups
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.qlora import QLoRA

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
IDS = torch.arange(5, 25)[None]


def llama(tied: bool = False) -> Any:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, tie_word_embeddings=tied)).eval()


def attached(adapter: LoRA, model: PreTrainedModel | None = None) -> Any:
    torch.manual_seed(1)
    return adapter.attach(llama() if model is None else model).eval()


def trained(network: Any) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def move(network: Any) -> None:
    """Change what trains, as training would."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    out: Tensor = model(input_ids=IDS).logits
    return out


def assert_near(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def layer_of(network: Any) -> Any:
    return network.base_model.model.model.layers[1].mlp.down_proj


# case: adapter, whether the head is tied
CASES: dict[str, tuple[LoRA, bool]] = {
    "rslora": (LoRA(4, rslora=True), False),
    "dora": (LoRA(4, dora=True), False),
    "dora-rslora-some": (LoRA(4, dora=True, rslora=True, targets=["layers.[02].*proj"], exclude=["mlp"]), False),
    "gaussian": (LoRA(4, init="gaussian"), False),
    "orthogonal": (LoRA(4, init="orthogonal"), False),
    "pissa": (LoRA(4, init="pissa"), False),
    "pissa-fast-rslora": (LoRA(4, init="pissa", pissa_iterations=2, rslora=True), False),
    "olora": (LoRA(4, init="olora"), False),
    "head": (LoRA(4, modules_to_save=["lm_head"]), False),
    "head-tied": (LoRA(4, modules_to_save=["lm_head"]), True),
    "embeddings-tied": (LoRA(4, modules_to_save=["embed_tokens"]), True),
    "norms": (LoRA(4, modules_to_save=["norm"]), True),
    "tokens": (LoRA(4, trainable_tokens=[7, 9]), False),
    "tokens-tied": (LoRA(4, trainable_tokens=[7, 9], init="olora"), True),
}


@pytest.mark.parametrize("case", CASES)
def test_saved_loaded_merged_and_in_plain_peft_the_answers_are_the_same(case: str, tmp_path: Path) -> None:
    adapter, tied = CASES[case]
    network = attached(adapter, llama(tied))
    begun = logits(network)
    if case != "orthogonal":
        assert_near(begun, logits(llama(tied)))
    move(network)
    expected = logits(network)
    assert not torch.allclose(expected, begun, atol=1e-2)
    adapter.save(network, tmp_path)
    assert_near(logits(network), expected)
    torch.manual_seed(5)  # another start for what draws
    again: Any = adapter.attach(llama(tied)).eval()
    adapter.load(again, tmp_path)
    assert_near(logits(again), expected)
    assert trained(again) == trained(network)
    plain = PeftModel.from_pretrained(llama(tied), tmp_path).eval()
    assert_near(logits(plain), expected)
    merged: Any = adapter.merge(network).eval()
    assert_near(logits(merged), expected)
    assert {name for name, _ in merged.named_parameters()} == {name for name, _ in llama(tied).named_parameters()}
    assert (merged.lm_head.weight is merged.model.embed_tokens.weight) == tied
    merged.save_pretrained(tmp_path / "merged")
    assert_near(logits(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()), expected)


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 8 / 4), (True, 8 / 2)])
def test_the_scale_is_alpha_over_the_rank_or_its_root(rslora: bool, scaling: float) -> None:
    network = attached(LoRA(4, 8, rslora=rslora))
    move(network)
    layer = layer_of(network)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(3, 48)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x @ (layer.base_layer.weight + scaling * up @ down).T)


def test_doras_rows_have_the_lengths_that_it_learns() -> None:
    network = attached(LoRA(4, 8, dora=True))
    move(network)
    layer = layer_of(network)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    lengths = layer.lora_magnitude_vector["default"].weight
    moved = layer.base_layer.weight + 8 / 4 * up @ down
    x = torch.randn(3, 48)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x @ (lengths / moved.norm(dim=1) * moved.T))
    # the fused ways are for plain updates: none of these is taken
    assert not [name for name, part in network.named_modules() if "forward" in vars(part) and "layernorm" not in name]


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_update_that_begins_in_the_base_is_the_decomposition_of_its_paper(init: Any) -> None:
    layer = layer_of(attached(LoRA(4, 8, init=init)))
    weight = llama().model.layers[1].mlp.down_proj.weight.detach()
    update = (8 / 4 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight).detach()
    if init == "pissa":
        left, sizes, right = torch.linalg.svd(weight)
        part = left[:, :4] * sizes[:4] @ right[:4]
    else:
        q, r = torch.linalg.qr(weight)
        part = 8 / 4 * q[:, :4] @ r[:4]
    torch.testing.assert_close(update, part, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.base_layer.weight, weight - part, rtol=1e-4, atol=1e-5)


def test_what_begins_in_the_base_is_saved_as_plain_lora_of_twice_the_rank(tmp_path: Path) -> None:
    adapter = LoRA(4, 8, init="pissa", rslora=True)
    network = attached(adapter)
    adapter.save(network, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"], config["init_lora_weights"]) == (8, 8, False, True)
    assert config["inference_mode"]
    own = network.peft_config["default"]
    assert (own.r, own.lora_alpha, own.use_rslora, own.init_lora_weights) == (4, 8, True, "pissa")
    saved = load_file(tmp_path / "adapter_model.safetensors")
    stem = "base_model.model.model.layers.1.mlp.down_proj"
    down, up = saved[f"{stem}.lora_A.weight"], saved[f"{stem}.lora_B.weight"]
    assert down.shape == (8, 48)
    torch.testing.assert_close(up @ down, torch.zeros(32, 48), rtol=0, atol=1e-5)  # nothing is learned yet
    assert not adapter.switchable
    assert LoRA().switchable


def test_lora_plus_gives_b_a_rate_of_its_own_and_the_recipes_is_logged() -> None:
    network = attached(LoRA(4, lr_ratio=16.0, dora=True))
    named = {id(p): name for name, p in network.named_parameters()}
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = build(
        lambda g: torch.optim.SGD(g, lr=0.01), parameter_groups(parameters, LoRA(lr_ratio=16.0).groups(network))
    )
    rates = {named[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates.keys() == trained(network)
    assert all(rate == pytest.approx(0.16 if "lora_B" in name else 0.01) for name, rate in rates.items())
    assert sum("lora_B" in name for name in rates) == 3 * 7
    assert optimizer.param_groups[0]["lr"] == 0.01  # which `lr` in the log is
    assert LoRA().groups(network) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"targets": ["layers.[02].*.?_proj"]}, [f"{n}.self_attn.{c}" for n in (0, 2) for c in "qkvo"]),
        (
            {"targets": ["q_proj", "model.layers.1.mlp.*"], "layers": [1]},
            ["1.self_attn.q", "1.mlp.gate", "1.mlp.up", "1.mlp.down"],
        ),
        ({"exclude": ["mlp", "[kv]_proj"]}, [f"{n}.self_attn.{c}" for n in range(3) for c in "qo"]),
        ({"exclude": ["self_attn"], "layers": [-1]}, ["2.mlp.gate", "2.mlp.up", "2.mlp.down"]),
    ],
    ids=str,
)
def test_targets_are_named_by_pattern_layer_and_exception(options: dict[str, Any], expected: list[str]) -> None:
    names = {
        name.split(".lora_")[0].split(".layers.")[1].removesuffix("_proj")
        for name in trained(attached(LoRA(2, **options)))
    }
    assert names == {*expected}


@pytest.mark.parametrize("tied", [True, False])
def test_only_rows_of_the_named_tokens_train_in_embeddings_and_head(tied: bool) -> None:
    before = llama(tied)
    adapter = LoRA(2, trainable_tokens=[7, 90])
    network = attached(adapter, llama(tied))
    rows = [name for name in trained(network) if "trainable_tokens" in name]
    assert len(rows) == (1 if tied else 2)
    network.train()
    network(input_ids=IDS, labels=IDS).loss.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad
    merged: Any = adapter.merge(network)
    for one, other in (("model.embed_tokens", [7]), ("lm_head", [7, 90])):
        old, new = before.get_submodule(one).weight, merged.get_submodule(one).weight
        changed = (old != new).any(1).nonzero().flatten().tolist()
        assert changed == ([7, 90] if tied else other), "token 90 stands in no row: only as an answer it is learned of"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainable_tokens": [96]}, r"trainable_tokens: 96 is no token; the base's are 0 to 95"),
        ({"trainable_tokens": [3, 4, 3]}, "3 stands there twice"),
        ({"modules_to_save": ["lm_haed"]}, r"modules_to_save: lm_haed is no module of this base; did you mean lm_head"),
        ({"exclude": ["self_atn"]}, r"exclude: self_atn is no module of this base; did you mean self_attn"),
        ({"layers": [3]}, r"layers: 3 is no layer; this base has 3, from 0 to 2"),
        ({"targets": ["layers.*.q_prj"]}, r"targets: layers.\*.q_prj is no layer of this base"),
        ({"exclude": ["model"]}, r"init_args\.targets: .*"),
        (
            {"init": "pissa", "targets": ["embed_tokens"]},
            r"init is pissa, which is for linear layers alone; .*embed_tok",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_the_base_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        attached(LoRA(2, **options))


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (LoRA(dora=True, init="pissa"), "dora does not go with init pissa, which is saved as a plain update"),
        (LoRA(3, init="orthogonal"), "rank is 3; init orthogonal needs an even one"),
        (LoRA(lr_ratio=0.0), r"lr_ratio is 0.0; it must be above 0: 16 is LoRA\+'s own"),
        (LoRA(pissa_iterations=4), "pissa_iterations is 4, but init is default; set init to pissa"),
        (LoRA(init="pissa", pissa_iterations=-1), "pissa_iterations is -1; it must be 0 or more"),
        (LoRA(rank=0), "rank is 0; it must be 1 or more"),
        (QLoRA(quantization="int8", init="loftq"), "init is loftq, which is for 4 bit, but quantization is int8"),
        (
            QLoRA(quantization="int8", merge_dtype="float32"),
            "merge_dtype is float32, but quantization is int8: in 8 bit",
        ),
        (QLoRA(dora=True, init="loftq"), "dora does not go with init loftq"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_does_not_go_together_is_refused_before_a_base_is_loaded(adapter: LoRA, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        adapter.check()


def test_layers_cannot_be_chosen_among_experts_that_are_tensors() -> None:
    config = transformers.MixtralConfig(**SIZES, num_local_experts=4)
    with pytest.raises(
        RecipeError, match=r"experts of this base are tensors without a layer \(model\.layers\.[12]\.mlp"
    ):
        attached(LoRA(2, layers=[0]), transformers.MixtralForCausalLM(config))
    network = attached(LoRA(2, layers=[0], targets=["q_proj"]), transformers.MixtralForCausalLM(config))
    assert {name.split(".")[4] for name in trained(network)} == {"0"}


@pytest.mark.parametrize("tied", [True, False])
def test_trap_24_rows_of_added_tokens_are_learned_saved_loaded_and_merged(tied: bool, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    added = ["<dose>", "<unit>", "<when>"]
    tokenizer.add_tokens(added)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**{**SIZES, "vocab_size": 4096}, tie_word_embeddings=tied)
    plain = transformers.LlamaForCausalLM(config)
    plain.resize_token_embeddings(len(tokenizer))
    for part in (plain, tokenizer):
        part.save_pretrained(tmp_path / "base")
    ids = tokenizer.convert_tokens_to_ids(added)

    def base() -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base").eval()

    adapter = LoRA(2, trainable_tokens=[added[0], ids[1], added[2]])
    network = attached(adapter, base())
    batch = torch.tensor([[3, *ids, *ids]])
    network.train()(input_ids=batch, labels=batch).loss.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad
    expected = network.eval()(input_ids=batch).logits
    adapter.save(network, tmp_path / "adapter")
    again = PeftModel.from_pretrained(base(), tmp_path / "adapter").eval()
    assert_near(again(input_ids=batch).logits, expected)
    merged: Any = adapter.merge(network)
    merged.save_pretrained(tmp_path / "merged")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert_near(loaded(input_ids=batch).logits, expected)
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == tied
    before, after = base().model.embed_tokens.weight, loaded.model.embed_tokens.weight
    assert (before != after).any(1).nonzero().flatten().tolist() == ids
    with pytest.raises(RecipeError, match="<dosis> is no token of this base; did you mean <dose>"):
        attached(LoRA(2, trainable_tokens=["<dosis>"]), base())
    with pytest.raises(RecipeError, match="has no tokenizer beside it that knows <dose>; give ids"):
        attached(LoRA(2, trainable_tokens=["<dose>"]))
