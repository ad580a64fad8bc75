"""LoRA and QLoRA on mixtures of experts and on odd layers: what is packed, what trains, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from bitsandbytes.nn.modules import Linear4bit
from torch import Tensor, nn

from tunesmith import Example, Message, RecipeError
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.training.attention import plain_attention
from tunesmith.training.packed import left_whole, packed_share
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.qlora import QLoRA
from tunesmith_plugins.objectives.next_token import NextToken

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
SIZES: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
DBRX = {
    "vocab_size": 4096,
    "d_model": 64,
    "n_heads": 2,
    "n_layers": 2,
    "max_seq_len": 256,
    "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
}
BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("MixtralConfig", SIZES | {"num_local_experts": 4}),
    "qwen2_moe": ("Qwen2MoeConfig", SIZES | EXPERTS | {"shared_expert_intermediate_size": 64}),
    "dbrx": ("DbrxConfig", DBRX),
    "falcon": ("FalconConfig", SIZES | {"alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "llama": ("LlamaConfig", SIZES),
    "phi3": ("Phi3Config", SIZES | {"pad_token_id": 0}),
}
# What is not packed for its width, and how many weights are packed: 4 matrices of 64 x 64 in each attention.
PACKED = {
    "llama": (set(), 2 * (4 * 64 * 64 + 3 * 64 * 128)),
    "phi3": (set(), 2 * (4 * 64 * 64 + 3 * 64 * 128)),
    "mixtral": (set(), 2 * 4 * 64 * 64),
    "qwen2_moe": ({"mlp.shared_expert_gate"}, 2 * (4 + 3) * 64 * 64),
    "dbrx": ({"ffn.router.layer"}, 2 * 4 * 64 * 64),
}


def write(name: str, folder: Path) -> str:
    config, options = BASES[name]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**options))
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    return str(folder)


def loaded(base: str, adapter: LoRA) -> Specialist:
    module = Specialist(base, NextToken(), adapter, precision="fp32")
    module.load()
    return module


def rows_of(module: Specialist) -> list[EncodedRow]:
    found = []
    for text in ("a patient with a cough", "the second note is longer than the first"):
        example = Example(messages=(Message("user", text), Message("assistant", text[::-1])), id=text)
        found.append(EncodedRow(example, tuple(module.objective.encode(example, module.renderer))))
    return found


def own_sum(module: Specialist, rows: list[EncodedRow]) -> Tensor:
    """By transformers' forward, one row at a time, and torch's cross-entropy."""
    total = torch.zeros(())
    with plain_attention(module.attached.model):
        for row in rows:
            (encoded,) = row.sequences
            ids, weights = torch.tensor([encoded.ids]), torch.tensor(encoded.weights)
            logits = module.network(input_ids=ids, use_cache=False).logits[0].float()
            each = nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
            total = total + (each * weights[1:]).sum()
    return total


@pytest.mark.parametrize("name", sorted(PACKED))
def test_qlora_packs_what_fits_and_learns_what_the_family_would(name: str, tmp_path: Path) -> None:
    module = loaded(write(name, tmp_path), QLoRA(rank=4))
    whole, weights = PACKED[name]
    layers = [layer for layer in module.network.modules() if isinstance(layer, Linear4bit)]
    assert sum(layer.in_features * layer.out_features for layer in layers) == weights
    frozen = sum(p.numel() for n, p in module.network.named_parameters() if "lora_" not in n and p.dtype != torch.uint8)
    assert packed_share(module.network) == pytest.approx(weights / (weights + frozen))
    assert f"nf4 ({weights / (weights + frozen):.0%} of its weights)" in module.describe_precision()
    left = module.attached.model.config.quantization_config.llm_int8_skip_modules
    assert {n for n in left if "lm_head" not in n} == whole

    with torch.no_grad():
        for n, p in module.network.named_parameters():
            if "lora_B" in n:
                p.normal_(0, 0.05)
    module.train()
    rows = rows_of(module)
    results = []
    for sum_of in (lambda: module.objective.loss(module.passes(collate(rows))).sum, lambda: own_sum(module, rows)):
        module.zero_grad()
        loss = sum_of()
        loss.backward()
        results.append((loss.detach(), {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}))
    (ours, got), (theirs, expected) = results
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert got.keys() == expected.keys()
    most = max(gradient.abs().max() for gradient in expected.values())
    assert all((got[n] - expected[n]).abs().max() <= 1e-5 * most for n in expected)


def test_qlora_is_refused_where_it_could_pack_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"FalconForCausalLM of this base has none\nuse LoRA"):
        loaded(write("falcon", tmp_path), QLoRA())


def test_layers_that_are_left_whole_are_named_by_their_ending_where_it_says_enough() -> None:
    class Layer(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.gate, self.up = nn.Linear(64, 1), nn.Linear(64, width)

    outline: Any = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**SIZES))
    outline.model.layers = nn.ModuleList([Layer(64), Layer(65)])
    assert left_whole(outline) == ["gate", "lm_head", "model.layers.1.up"]


@pytest.mark.parametrize("adapter", [LoRA, QLoRA])
def test_dropout_inside_experts_is_refused_with_the_targets_that_can_have_it(tmp_path: Path, adapter: Any) -> None:
    base = write("mixtral", tmp_path)
    with pytest.raises(
        RecipeError, match=r"init_args\.dropout is 0\.1, but MixtralForCausalLM holds its exp"
    ) as caught:
        loaded(base, adapter(dropout=0.1))
    assert str(caught.value).endswith("targets: [k_proj, o_proj, q_proj, v_proj]")
    names = loaded(base, adapter(dropout=0.1, targets=["k_proj", "o_proj", "q_proj", "v_proj"])).network.state_dict()
    assert sum("lora_A" in name for name in names) == 8


def test_all_linear_trains_mixtrals_experts_and_routers_too(tmp_path: Path) -> None:
    module = loaded(write("mixtral", tmp_path), LoRA(rank=2))
    # four experts in one tensor have a table of the rank for each; two projections in one have twice the rank
    attention, router = 4 * 2 * (64 + 64), 2 * (64 + 4)
    up, down = 4 * 4 * (64 + 256), 4 * 2 * (128 + 64)
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert trained == 2 * (attention + router + up + down)
