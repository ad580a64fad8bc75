"""Documents in one ragged batch never see each other, in every family; where a family cannot, another path is taken."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from tunesmith import Adapter, Chunk, DataError, Encoded, Example, RecipeError, out_of_reach
from tunesmith.data.batch import Batch
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training import attach
from tunesmith.training.attention import RAGGED, language_model, plain_attention, plain_name, ragged_attention
from tunesmith.training.chunked import chunked_sum
from tunesmith.training.heads import find_head, own_head, plain_head
from tunesmith.training.layouts import padded, ragged
from tunesmith.training.passes import Passes
from tunesmith.training.probe import probe
from tunesmith.training.router import find_router_loss
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "vocab_size": 96,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OPT = {
    "vocab_size": 96,
    "hidden_size": 64,
    "word_embed_proj_dim": 64,
    "ffn_dim": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "dropout": 0.0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
DBRX = {
    "vocab_size": 96,
    "d_model": 64,
    "n_heads": 4,
    "n_layers": 2,
    "max_seq_len": 128,
    "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SLIDING, WHOLE = "sliding_attention", "full_attention"
# Each kind of layer between two of the other; documents are longer than the window.
WINDOWS = {"num_hidden_layers": 3, "sliding_window": 6, "layer_types": [SLIDING, WHOLE, SLIDING]}
WIDE = {"num_hidden_layers": 3, "layer_types": [WHOLE, SLIDING, WHOLE], "sliding_window": 6, "use_sliding_window": True}
DENSE_BETWEEN = {"num_hidden_layers": 3, "mlp_only_layers": [1]}
# With a tower for pictures, which text does not come to.
TOWER = {
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
    "mm_tokens_per_image": 4,
    "image_token_index": 95,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SMALL),
    "mistral": ("MistralConfig", SMALL | {"sliding_window": 6}),
    "mixtral": ("MixtralConfig", SMALL | {"num_local_experts": 4}),
    "qwen2": ("Qwen2Config", SMALL | WIDE),
    "qwen3": ("Qwen3Config", SMALL | WIDE | {"head_dim": 16}),
    "gemma2": ("Gemma2Config", SMALL | WINDOWS | {"head_dim": 16, "query_pre_attn_scalar": 16}),
    "gemma3": ("Gemma3TextConfig", SMALL | WINDOWS | {"head_dim": 16, "query_pre_attn_scalar": 16}),
    "gemma3_tower": ("Gemma3Config", {"text_config": SMALL | WINDOWS | {"head_dim": 16}} | TOWER),
    "phi3": ("Phi3Config", SMALL),
    "phi4": ("Phi3Config", SMALL | {"partial_rotary_factor": 0.75, "tie_word_embeddings": True}),
    "gpt2": ("GPT2Config", GPT2),
    "granite": ("GraniteConfig", SMALL | {"logits_scaling": 8.0, "attention_multiplier": 0.2}),
    "cohere": ("CohereConfig", SMALL | {"logit_scale": 0.25}),
    "smollm3": ("SmolLM3Config", SMALL | WIDE | {"no_rope_layers": [1, 0, 1]}),
    "gpt_oss": ("GptOssConfig", SMALL | EXPERTS | WINDOWS | {"head_dim": 16, "num_local_experts": 4}),
    "qwen2_moe": ("Qwen2MoeConfig", SMALL | EXPERTS | DENSE_BETWEEN | {"shared_expert_intermediate_size": 32}),
    "qwen3_moe": ("Qwen3MoeConfig", SMALL | EXPERTS | DENSE_BETWEEN | {"head_dim": 16}),
    "phi": ("PhiConfig", SMALL),
    "olmo2": ("Olmo2Config", SMALL),
    "olmo": ("OlmoConfig", SMALL | {"clip_qkv": 0.5}),
    "olmoe": ("OlmoeConfig", SMALL | {"num_experts": 4, "num_experts_per_tok": 2, "clip_qkv": 0.5}),
    "olmo3": ("Olmo3Config", SMALL | WINDOWS),
    "cohere2": ("Cohere2Config", SMALL | WINDOWS | {"logit_scale": 0.25}),
    "deepseek_v2": ("DeepseekV2Config", SMALL | LATENT),
    "deepseek_v3": ("DeepseekV3Config", SMALL | LATENT),
    "gpt_neox": ("GPTNeoXConfig", SMALL),
    "opt": ("OPTConfig", OPT),
    "granite_moe": ("GraniteMoeConfig", SMALL | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "exaone4": ("Exaone4Config", SMALL | WINDOWS),
    "glm4": ("Glm4Config", SMALL | {"head_dim": 16}),
    "dbrx": ("DbrxConfig", DBRX),
    "ernie": ("Ernie4_5Config", SMALL),
    "ministral": ("MinistralConfig", SMALL | WINDOWS | {"head_dim": 16}),
}
DELTA = {
    "num_hidden_layers": 3,
    "layer_types": ["linear_attention", WHOLE, "linear_attention"],
    "head_dim": 16,
    "shared_expert_intermediate_size": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
PADDED: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon": ("FalconConfig", {**SMALL, "alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "stablelm": ("StableLmConfig", SMALL),
    "bloom": ("BloomConfig", {"vocab_size": 96, "hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "mpt": ("MptConfig", {"vocab_size": 96, "d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 128}),
    "nemotron": ("NemotronConfig", SMALL),
    # a part of their layers carries state from token to token
    "qwen3_next": ("Qwen3NextConfig", SMALL | EXPERTS | DELTA),
    "jamba": (
        "JambaConfig",
        SMALL
        | {
            "num_hidden_layers": 3,
            "num_experts": 4,
            "mamba_d_state": 8,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
        },
    ),
    "bamba": (
        "BambaConfig",
        SMALL
        | {
            "num_hidden_layers": 3,
            "attn_layer_indices": [1],
            "mamba_n_heads": 8,
            "mamba_d_head": 16,
            "mamba_d_state": 8,
        },
    ),
    "mamba": ("MambaConfig", SMALL | {"state_size": 8, "time_step_rank": 4}),
    "mamba2": ("Mamba2Config", SMALL | {"state_size": 8, "num_heads": 8, "head_dim": 16, "n_groups": 1}),
    "minimax": (
        "MiniMaxConfig",
        SMALL
        | {"num_hidden_layers": 3, "layer_types": ["linear_attention", WHOLE, "linear_attention"]}
        | {"num_local_experts": 4, "block_size": 8},
    ),
    "lfm2": ("Lfm2Config", SMALL | {"num_hidden_layers": 3, "layer_types": ["conv", WHOLE, "conv"]}),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        SMALL
        | {
            "num_hidden_layers": 3,
            "head_dim": 16,
            "lru_width": 64,
            "attention_window_size": 6,
            "block_types": ["recurrent", "attention", "recurrent"],
        },
    ),
}
# It asks the attention interface since transformers 5.24.
_ASKS = tuple(map(int, version("transformers").split(".")[:2])) >= (5, 24)
(FAMILIES if _ASKS else PADDED)["gpt_j"] = ("GPTJConfig", GPT2 | {"rotary_dim": 8})

BALANCED = [
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "olmoe",
    "dbrx",
    "gpt_oss",
    "granite_moe",
    "jamba",
    "minimax",
    "qwen3_next",
]


def fresh(name: str) -> transformers.PreTrainedModel:
    config_class, options = (FAMILIES | PADDED)[name]
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**options)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def make(name: str) -> transformers.PreTrainedModel:
    model = fresh(name)
    with torch.no_grad():  # at their own scale, random weights leave soft-caps and windows without effect
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    return model


def batch_of(documents: Sequence[Sequence[int]], learned: Sequence[Sequence[float]] | None = None) -> Batch:
    lengths = [len(document) for document in documents]
    weights = learned or [[0.0] + [1.0] * (n - 1) for n in lengths]
    return Batch(
        input_ids=torch.tensor([token for document in documents for token in document]),
        position_ids=torch.cat([torch.arange(n) for n in lengths]),
        cu_seqlens=torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32),
        loss_weights=torch.tensor([w for row in weights for w in row], dtype=torch.float32),
        sequence_example=torch.arange(len(documents)),
        examples=(),
        max_seqlen=max(lengths),
    )


def documents(seed: int, *lengths: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [[int(token) for token in generator.integers(3, 96, n)] for n in lengths]


def alone(model: transformers.PreTrainedModel, rows: list[list[int]]) -> Tensor:
    with plain_attention(model):
        return torch.cat([model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in rows])


class Nothing(Adapter):
    """Trains nothing and can be switched off: a model as it is."""

    def attach(self, model: nn.Module) -> nn.Module:
        return model

    def save(self, model: nn.Module, directory: Any) -> None:
        raise NotImplementedError

    def load(self, model: nn.Module, directory: Any) -> None:
        raise NotImplementedError


def passes(model: transformers.PreTrainedModel, **changes: Any) -> Passes:
    from contextlib import nullcontext

    found = probe(model)
    options = {"network": model, "model": model, "layout": found.layout, "head": found.head, "adapter": Nothing()}
    return Passes(**{**options, "autocast": nullcontext, **changes})


@pytest.mark.parametrize("name", [*FAMILIES, *PADDED])
def test_each_kind_of_layer_that_a_family_has_by_itself_lies_between_others(name: str) -> None:
    def kinds(config: Any) -> list[tuple[Any, ...]]:
        config = config.get_text_config()
        dense = getattr(config, "mlp_only_layers", None)
        named = [getattr(config, key, None) for key in ("layer_types", "no_rope_layers")]
        number = config.num_hidden_layers
        columns = [list(column)[:number] for column in named if column]
        return list(zip(*columns, [i in dense for i in range(number)] if dense else [0] * number, strict=True))

    config_class, options = (FAMILIES | PADDED)[name]
    own, ours = (kinds(getattr(transformers, config_class)(**given)) for given in ({}, options))
    if len(set(own)) > 1 or len(set(ours)) > 1:
        assert len(ours) > 2
        assert all(kind != other for kind, other in itertools.pairwise(ours))


@pytest.mark.parametrize("name", [*FAMILIES, *PADDED])
def test_only_what_no_text_comes_to_is_out_of_reach(name: str) -> None:
    model = make(name)
    found = out_of_reach(model)
    assert found == (("model.vision_tower", "model.multi_modal_projector") if "tower" in name else ())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_trap_07_no_document_sees_another(name: str) -> None:
    model = make(name)
    run = passes(model)
    assert run.layout == "ragged", run
    first, second, third = documents(1, 9, 17, 4)
    together = run(batch_of([first, second, third]))
    logits = together.head(together.hidden)
    torch.testing.assert_close(logits, alone(model, [first, second, third]), rtol=2e-4, atol=2e-5)
    first[3] = (first[3] + 5) % 90 + 3
    changed = run(batch_of([first, second, third]))
    # an expert that gets a token more multiplies in another order; that no derivative passes is the probe's to show
    least = 1e-6 if name == "olmoe" else 0.0
    torch.testing.assert_close(changed.hidden[9:], together.hidden[9:], rtol=least, atol=least)
    assert not torch.equal(changed.hidden[:9], together.hidden[:9])


@pytest.mark.parametrize("name", PADDED)
@torch.no_grad()
def test_trap_44_a_family_that_ignores_the_interface_is_padded(name: str) -> None:
    model = make(name)
    found = probe(model)
    assert found.layout == "padded"
    assert type(model).__name__ in found.reason
    rows = documents(2, 9, 17, 4)
    together = passes(model)(batch_of(rows))
    torch.testing.assert_close(together.head(together.hidden), alone(model, rows), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "layout"), [("qwen2_moe", "padded"), ("mistral", "ragged"), ("gemma3", "ragged")])
@torch.no_grad()
def test_trap_44_a_window_too_long_to_try_is_packed_only_where_the_attention_is_told_of_it(
    name: str, layout: str
) -> None:
    kind, options = FAMILIES[name]
    window = {"sliding_window": 300, "max_position_embeddings": 512}
    if name == "qwen2_moe":
        window |= {"use_sliding_window": True, "max_window_layers": 2}
    torch.manual_seed(0)
    config = getattr(transformers, kind)(**options | window)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    found = probe(model)
    assert found.layout == layout, found.reason
    assert layout == "ragged" or "keeps the window of its attention in a mask" in found.reason
    rows = documents(2, 420, 17)
    together = passes(model)(batch_of(rows))
    torch.testing.assert_close(together.head(together.hidden), alone(model, rows), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["mamba", "mamba2"])
@torch.no_grad()
def test_trap_08_a_recurrent_model_is_padded_never_packed(name: str) -> None:
    model = make(name)
    found = probe(model)
    assert found.layout == "padded"
    rows = documents(2, 9, 17, 4)
    together = passes(model)(batch_of(rows))
    torch.testing.assert_close(together.head(together.hidden), alone(model, rows), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("scale", ["as it begins", "large"])
@pytest.mark.parametrize("name", [*FAMILIES, *PADDED])
def test_trap_44_in_16_bit_the_layout_is_the_same_however_small_the_weights(name: str, scale: str) -> None:
    model = (fresh(name) if scale == "as it begins" else make(name)).to(torch.bfloat16)
    found = probe(model, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    assert found.layout == ("ragged" if name in FAMILIES else "padded"), found.reason
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@torch.no_grad()
def test_a_cap_is_found_while_logits_are_too_small_to_show_it(dtype: torch.dtype) -> None:
    model = fresh("gemma2").to(dtype)
    found = probe(model, autocast=lambda: torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16))
    model.model.norm.weight.fill_(400.0)  # logits grow in training
    ids = torch.arange(3, 20)[None]
    with plain_attention(model):
        expected = model(input_ids=ids).logits[0]
        hidden = model.model(input_ids=ids).last_hidden_state[0]
    assert expected.abs().max() > 25
    assert torch.equal(found.head(hidden), expected)


# Loss weights of three documents: a fraction, twice as much as usual, a stretch that is not learned amid others.
WEIGHTS = [
    [0.0] * 3 + [1.0] * 6,
    [0.0] * 2 + [0.25] * 4 + [0.0] * 5 + [1.0, 2.0, 0.7, 0.0, 1.0, 0.5],
    [0.0, 0.125, 0.0, 1.5],
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(TOKENIZER)


@pytest.mark.parametrize("method", [Full, partial(LoRA, rank=4, alpha=8)], ids=["full", "lora"])
@pytest.mark.parametrize("name", [*FAMILIES, *PADDED])
def test_loss_and_gradients_equal_the_familys_own_forward_one_example_at_a_time(
    name: str, method: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(name)
    monkeypatch.setattr(attach, "load_base", lambda *_, **__: (model, tokenizer))
    module = Specialist(name, NextToken(), method(), precision="fp32")
    module.load()
    for parameter_name, parameter in module.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data.normal_(0, 0.02)
    assert module.layout == ("ragged" if name in FAMILIES else "padded")
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    rows = [
        EncodedRow(Example(id=str(number)), (Encoded(tuple(ids), tuple(weights)),))
        for number, (ids, weights) in enumerate(zip(documents(1, 9, 17, 4), WEIGHTS, strict=True))
    ]
    units: dict[Any, list[int]] = {unit: [row.units[unit] for row in rows] for unit in ("token", "example")}
    (batch,) = PlanLoader(rows, Plan([row.length for row in rows], units, batch_size=3, shuffle=False))
    with plainly(module):
        loss, own = own_loss_and_gradients(model, rows)
    whole = torch.stack([gradient.norm() for gradient in own.values()]).norm()
    for logits_bytes in (
        module.passes.logits_bytes,
        4 * model.config.get_text_config().vocab_size * 5,
    ):  # at once, five positions a time
        module.zero_grad()
        terms = module.terms(replace(module.passes, logits_bytes=logits_bytes)(batch))
        assert list(terms) == ["loss"]
        found = batch.window.scale(terms["loss"].sum, terms["loss"].unit)
        found.backward()
        assert float(found.detach()) == pytest.approx(loss, rel=1e-5)
        got = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert got.keys() == own.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
        for parameter, gradient in own.items():
            # a key's bias has no effect on a softmax without rotary positions: its gradient is rounding
            least = (1e-2 if parameter.endswith("k_proj.bias") else 1e-3) * whole
            assert (got[parameter] - gradient).norm() / torch.maximum(gradient.norm(), least) < 1e-5, parameter


@contextmanager
def plainly(module: Specialist) -> Iterator[None]:
    """Layers as transformers and peft run them."""
    if isinstance(module.adapter, Full):
        yield
        return
    network, kept = module.network, {}
    for part in network.modules():
        kept[part] = part.__dict__.pop("forward", None)
    variants = {part: dict(part.lora_variant) for part in network.modules() if isinstance(part, LoraLayer)}
    for part in variants:
        part.lora_variant.clear()
    yield
    for part, variant in variants.items():
        part.lora_variant.update(variant)
    for part, forward in kept.items():
        if forward is not None:
            part.__dict__["forward"] = forward


def own_loss_and_gradients(model: Any, rows: list[EncodedRow]) -> tuple[float, dict[str, Tensor]]:
    """By transformers and torch alone: weighted negative log-likelihoods, divided by the number of learned tokens."""
    learned = sum(weight > 0 for row in rows for weight in row.sequences[0].weights)
    total = 0.0
    with plain_attention(model):
        for ids, weights in ((row.sequences[0].ids, row.sequences[0].weights) for row in rows):
            scores = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
            picked = [-weight * scores[at, token] for at, (token, weight) in enumerate(zip(ids[1:], weights[1:]))]  # noqa: B905
            one = torch.stack(picked).sum() / learned
            one.backward()
            total += float(one.detach())
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return total, gradients


@pytest.mark.parametrize("layout", ["ragged", "padded"])
@pytest.mark.parametrize("name", BALANCED)
def test_trap_04_the_loss_that_balances_experts_is_the_familys_own_example_by_example(name: str, layout: str) -> None:
    if name in PADDED and layout == "ragged":
        pytest.skip("its layers carry state")
    model = make(name).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    run = passes(model, layout=layout, router=find_router_loss(model, 0.7))
    if layout == "padded":
        model.set_attn_implementation(plain_name(model))
    rows = documents(1, 9, 17, 4)
    term = run(batch_of(rows)).router_term()
    assert term is not None
    assert term.unit == "example"
    term.sum.backward()
    got = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected = 0.0
    with plain_attention(model):
        for row in rows:
            ids = torch.tensor([row])
            own = 0.7 * model(input_ids=ids, output_router_logits=True, use_cache=False).aux_loss
            own.backward()
            expected += float(own.detach())
    assert float(term.sum.detach()) == pytest.approx(expected, rel=1e-5)
    own_gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    whole = torch.stack([gradient.norm() for gradient in own_gradients.values()]).norm()
    for parameter, gradient in own_gradients.items():
        if gradient.norm() > 1e-4 * whole:
            assert (got[parameter] - gradient).norm() / torch.maximum(gradient.norm(), 1e-3 * whole) < 1e-5, parameter


def test_experts_are_balanced_where_the_bases_config_or_the_recipe_says_so() -> None:
    model = make("mixtral")
    assert find_router_loss(model, None) is None
    assert passes(model)(batch_of(documents(1, 5))).router_term() is None
    model.config.output_router_logits = True
    found = find_router_loss(model, None)
    assert found is not None
    assert found.coefficient == model.config.router_aux_loss_coef
    assert find_router_loss(model, 0.0) is None
    elsewhere = make("dbrx")
    elsewhere.config.output_router_logits = True
    found = find_router_loss(elsewhere, None)
    assert found is not None
    assert found.coefficient == elsewhere.config.ffn_config.moe_loss_weight > 0
    assert find_router_loss(make("llama"), None) is None
    with pytest.raises(RecipeError, match=r"router_aux_loss_coef is 0\.1, but LlamaForCausalLM has no experts"):
        find_router_loss(make("llama"), 0.1)


def test_a_model_that_mixes_documents_in_both_layouts_is_refused() -> None:
    model = make("llama")

    def mix(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state + output.last_hidden_state.mean((0, 1), keepdim=True)
        return output

    model.model.register_forward_hook(mix)
    with pytest.raises(DataError, match=r"LlamaForCausalLM.*cannot be trained"):
        probe(model)


def test_the_probe_leaves_random_state_modes_and_gradients_as_they_were() -> None:
    model = make("gpt2").train()
    model.transformer.wte.eval()
    torch.manual_seed(5)
    state, modes = torch.get_rng_state(), [m.training for m in model.modules()]
    probe(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


def test_a_family_may_write_into_its_embeddings() -> None:
    model = make("llama")
    model.model.layers[0].register_forward_pre_hook(lambda _, inputs: (inputs[0].mul_(1.5), *inputs[1:]))
    assert probe(model).layout == "ragged"


def test_embeddings_that_cannot_be_followed_are_no_proof() -> None:
    model = make("llama")
    model.get_input_embeddings = lambda: nn.Embedding(2, 2)
    found = probe(model)
    assert found.layout == "padded"
    assert "the embeddings of LlamaForCausalLM cannot be followed" in found.reason


def test_a_second_probe_may_find_another_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("llama")
    assert probe(model).layout == "ragged"
    assert probe(model).layout == "ragged"

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no kernel")

    monkeypatch.setitem(transformers.AttentionInterface._global_mapping, RAGGED, broken)
    found = probe(model)
    assert (found.layout, model.config._attn_implementation) == ("padded", "sdpa")
    assert "no kernel" in found.reason


def test_an_adapter_may_ask_for_the_padded_layout() -> None:
    found = probe(make("llama"), "padded")
    assert (found.layout, found.reason) == ("padded", "the adapter needs it")


def test_ragged_attention_refuses_a_batch_without_limits() -> None:
    model = make("llama")
    model.set_attn_implementation(RAGGED)
    with pytest.raises(RuntimeError, match="no document limits"):
        model(input_ids=torch.tensor([[3, 4, 5]]))


def test_plain_attention_is_in_force_inside_the_context_only() -> None:
    for name, plain in (("llama", "sdpa"), ("gemma2", "eager")):
        model = make(name)
        probe(model)
        with plain_attention(model):
            assert model.config._attn_implementation == plain
        assert model.config._attn_implementation == RAGGED


def softmax_reference(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, window: int | None, cap: float | None, sinks: Any
) -> np.ndarray:
    heads, length, _ = q.shape
    out = np.zeros((length, heads, v.shape[-1]))
    for h, i in itertools.product(range(heads), range(length)):
        kv = h // (heads // k.shape[0])
        visible = [j for j in range(i + 1) if window is None or i - j < window]
        scores = np.array([q[h, i] @ k[kv, j] * scale for j in visible])
        scores = cap * np.tanh(scores / cap) if cap is not None else scores
        powers = np.exp(scores)
        total = powers.sum() + (np.exp(sinks[h]) if sinks is not None else 0.0)
        out[i, h] = sum(p * v[kv, j] for p, j in zip(powers, visible, strict=True)) / total
    return out


ROTARY: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    "yarn": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "longrope": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0 + i / 8 for i in range(8)],
        "long_factor": [4.0 + i for i in range(8)],
        "original_max_position_embeddings": 16,
    },
}


@pytest.mark.parametrize("layout", ["ragged", "padded"])
@pytest.mark.parametrize("kind", ROTARY)
@torch.no_grad()
def test_trap_35_scaled_positions_are_those_of_each_document_alone(kind: str, layout: str) -> None:
    torch.manual_seed(0)
    options = SMALL | {"rope_parameters": dict(ROTARY[kind])}
    family = transformers.LlamaConfig
    if kind == "longrope":
        family, options["original_max_position_embeddings"] = transformers.Phi3Config, 16
    model = transformers.AutoModelForCausalLM.from_config(family(**options)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.2)
    run = passes(model, layout=layout)
    if layout == "padded":
        model.set_attn_implementation(plain_name(model))
    rows = documents(2, 9, 100, 16, 17, 40)  # shorter than the original length, as long, and longer
    forward = run(batch_of(rows))
    torch.testing.assert_close(forward.head(forward.hidden), alone(model, rows), rtol=2e-4, atol=2e-5)
    short = run(batch_of(rows[:1]))  # nothing stays behind
    torch.testing.assert_close(short.hidden, forward.hidden[:9], rtol=2e-4, atol=2e-5)


# Windows, and with them another scale of positions: mistral has the first, gemma3 both.
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3"])
@pytest.mark.parametrize("start", [1, 4_000, 32_000])
@torch.no_grad()
def test_trap_35_far_positions_are_turned_as_the_family_turns_them(family: str, start: int) -> None:
    model = make(family)
    run = passes(model)
    batch = batch_of(documents(3, 12, 7))
    far = replace(batch, position_ids=batch.position_ids + start)
    got = run(far)
    with plain_attention(model):
        rows = [(far.input_ids[a:b][None], far.position_ids[a:b][None]) for a, b in ((0, 12), (12, 19))]
        own = [model(input_ids=ids, position_ids=places, use_cache=False).logits[0] for ids, places in rows]
    torch.testing.assert_close(got.head(got.hidden), torch.cat(own), rtol=2e-4, atol=2e-5)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    window=st.none() | st.integers(1, 8),
    cap=st.none() | st.just(2.0),
    with_sinks=st.booleans(),
    seed=st.integers(0, 99),
)
def test_trap_35_windows_caps_and_sinks_equal_the_definition(
    lengths: list[int], window: int | None, cap: float | None, with_sinks: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    q, k, v = (torch.randn(1, h, total, 8, generator=generator, dtype=torch.float64) for h in (4, 2, 2))
    sinks = torch.randn(4, generator=generator, dtype=torch.float64) if with_sinks else None
    limits = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32)
    got, _ = ragged_attention(
        nn.Identity(),
        q,
        k,
        v,
        None,
        scaling=0.3,
        sliding_window=window,
        softcap=cap,
        s_aux=sinks,
        cu_seq_lens_q=limits,
        max_length_q=max(lengths),
    )
    sunk = None if sinks is None else sinks.numpy()
    parts = [
        softmax_reference(q[0, :, a:b].numpy(), k[0, :, a:b].numpy(), v[0, :, a:b].numpy(), 0.3, window, cap, sunk)
        for a, b in itertools.pairwise(limits.tolist())
    ]
    np.testing.assert_allclose(got[0].numpy(), np.concatenate(parts), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"softcap": 20.0}])
def test_attention_dropout_is_applied_when_asked(options: dict[str, float]) -> None:
    torch.manual_seed(0)
    q = k = v = torch.randn(1, 2, 12, 8)
    limits = torch.tensor([0, 5, 12], dtype=torch.int32)

    def run(dropout: float) -> Tensor:
        arguments: dict[str, Any] = {"cu_seq_lens_q": limits, "max_length_q": 7, **options}
        return ragged_attention(nn.Identity(), q, k, v, None, dropout, **arguments)[0]

    assert torch.equal(run(0.0), run(0.0))
    mean = torch.stack([run(0.5) for _ in range(600)]).mean(0)
    assert not torch.equal(run(0.5), run(0.5))
    torch.testing.assert_close(mean, run(0.0), atol=0.25, rtol=0.1)


@pytest.mark.parametrize("name", ["gemma2", "granite", "cohere", "llama"])
def test_the_head_gives_the_models_own_logits(name: str) -> None:
    model = make(name)
    ids = torch.tensor([documents(3, 8)[0]])
    hidden = model.base_model(input_ids=ids).last_hidden_state[0]
    expected = model(input_ids=ids).logits[0]
    torch.testing.assert_close(find_head(model, 1e-5)(hidden), expected)
    plain = plain_head(model)(hidden)
    assert torch.allclose(plain, expected) == (name == "llama")
    kept = own_head(model, type(model.base_model(input_ids=ids)))(hidden[2:4])
    torch.testing.assert_close(kept, model(input_ids=ids, logits_to_keep=torch.tensor([2, 3])).logits[0])
    torch.testing.assert_close(model(input_ids=ids).logits[0], expected)


def test_trap_09_trap_34_no_position_predicts_across_documents_and_the_shift_is_one() -> None:
    rows = [[10, 11, 12], [20, 21], [30]]
    forward = passes(make("llama"))(batch_of(rows, [[0, 0, 1], [0, 2], [0]]))
    assert forward.supervised.tolist() == [1, 3]
    assert forward.targets.tolist() == [12, 21]
    assert forward.weights.tolist() == [1, 2]
    (chunk,) = forward.chunks()
    assert chunk.sequence.tolist() == [0, 1]
    assert torch.equal(chunk.hidden, forward.hidden[[1, 3]])


def negative_log_likelihood(forward: Any) -> Callable[[Any], Tensor]:
    def term(chunk: Any) -> Tensor:
        losses = nn.functional.cross_entropy(forward.head(chunk.hidden).float(), chunk.targets, reduction="none")
        return losses @ chunk.weights

    return term


@pytest.mark.parametrize("trains", ["all", "body"])
def test_chunked_loss_and_gradients_equal_the_whole_and_hold_one_chunk(trains: str) -> None:
    rows = documents(4, 20, 7, 13)
    results = []
    for size in (10**9, 4 * 96 * 5):
        model = make("gemma2").train()
        if trains == "body":  # a frozen head, tied embeddings included
            model.get_input_embeddings().requires_grad_(False)
        run = passes(model, logits_bytes=size)
        forward = run(batch_of(rows))
        seen: list[int] = []
        term = negative_log_likelihood(forward)

        def spy(chunk: Any, term: Any = term, seen: list[int] = seen) -> Tensor:
            seen.append(len(chunk.targets))
            return term(chunk)

        loss = forward.total(spy)
        (0.5 * loss).backward()
        results.append((loss, {n: p.grad for n, p in model.named_parameters() if p.requires_grad}))
        assert max(seen) <= max(1, size // (4 * 96))
        chunks = -(-len(forward.supervised) // max(seen))
        # a head that trains is run again in backward, so that its logits need not be kept; a frozen one never is
        assert len(seen) == (chunks if chunks == 1 or trains == "body" else 2 * chunks + 1)
    torch.testing.assert_close(results[0][0], results[1][0])
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(gradient, results[1][1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("trains", ["all", "body"])
def test_values_of_each_token_keep_one_chunk_and_have_the_gradient_of_what_is_made_of_them(trains: str) -> None:
    rows = documents(4, 20, 7, 13)
    results = []
    for size in (10**9, 4 * 96 * 5):
        model = make("gemma2").train()
        if trains == "body":
            model.get_input_embeddings().requires_grad_(False)
        forward = passes(model, logits_bytes=size)(batch_of(rows))
        largest: list[int] = []

        def values(chunk: Any, forward: Any = forward, largest: list[int] = largest) -> Tensor:
            largest.append(len(chunk.targets))
            return forward.head(chunk.hidden).float().log_softmax(-1).gather(1, chunk.targets[:, None])[:, 0]

        each = forward.each(values)
        assert each.shape == forward.supervised.shape
        assert max(largest) <= max(1, size // (4 * 96))
        sums = torch.zeros(len(rows)).index_add(0, forward.batch.sequence[forward.supervised], each * forward.weights)
        loss = 1000 * (torch.nn.functional.softplus(sums[0] - sums[1]) + torch.sigmoid(sums[2] / 7) * sums[1])
        loss.backward()
        results.append((loss, each, {n: p.grad for n, p in model.named_parameters() if p.requires_grad}))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert max(float(gradient.abs().max()) for gradient in results[0][2].values()) > 0.01
    for name, gradient in results[0][2].items():
        torch.testing.assert_close(gradient, results[1][2][name], rtol=1e-3, atol=1e-5)


def test_the_share_of_a_window_is_not_rounded_to_16_bit_in_chunks() -> None:
    hidden = torch.randn(4, 8).bfloat16().requires_grad_()
    pieces = [(Chunk(part, *3 * [torch.ones(2)]),) for part in hidden.split(2)]
    share = 3 / 1021  # 0.4 % away from the nearest number in bf16
    total = chunked_sum(lambda chunk: 200 * chunk.hidden.float().sum(), hidden, pieces)
    (torch.tensor(share) * total).backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad, torch.full((4, 8), 200 * share).bfloat16())


def test_a_chunked_term_that_reaches_beyond_its_chunk_loses_no_gradient() -> None:
    gradients = []
    for size in (10**9, 4 * 96 * 5):
        model = make("gemma2").train()
        model.get_input_embeddings().requires_grad_(False)
        forward = passes(model, logits_bytes=size)(batch_of(documents(4, 20, 7, 13)))

        def term(chunk: Any, forward: Any = forward) -> Tensor:
            return forward.head(chunk.hidden).square().mean(1).sum() + forward.hidden.square().sum() * len(
                chunk.targets
            )

        forward.total(term).backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_trap_33_evaluation_never_holds_more_logits_than_the_bound() -> None:
    model = make("llama")
    run = passes(model, logits_bytes=4 * 96 * 8)
    largest = []
    model.get_output_embeddings().register_forward_hook(lambda _m, _i, out: largest.append(out.shape[0]))
    with torch.no_grad():
        for length in (10, 40, 110):
            forward = run(batch_of(documents(1, length, length)))
            total = forward.total(negative_log_likelihood(forward))
            assert math.isfinite(float(total.detach()))
    assert max(largest) == 8


def test_a_batch_without_supervised_tokens_has_loss_zero_and_finite_gradients() -> None:
    model = make("llama").train()
    forward = passes(model)(batch_of([[5, 6, 7]], [[0, 0, 0]]))
    loss = forward.total(negative_log_likelihood(forward))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("layout", [ragged, padded])
def test_gradient_checkpointing_recomputes_with_the_limits_of_its_own_batch(layout: Any) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = make("llama").train()
        if layout is ragged:
            model.set_attn_implementation(RAGGED)
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        hidden = layout(model.base_model, batch_of(documents(1, 9, 5))).hidden
        layout(model.base_model, batch_of(documents(2, 3, 11)))  # another batch between forward and backward
        hidden.square().sum().backward()
        gradients.append([p.grad for p in model.base_model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_language_model_finds_the_model_inside_an_adapter() -> None:
    model = make("llama")
    assert language_model(nn.Sequential(nn.Linear(2, 2), model)) is model
