"""The fused update is peft's own, value by value and gradient by gradient."""

from collections import Counter
from typing import Any

import pytest
import torch
import transformers
from peft.tuners.lora.layer import LoraLayer

from tunesmith.training.fused_norm import fuse_norms
from tunesmith_plugins.adapters.fused_lora import Fused, fuse, unfuse
from tunesmith_plugins.adapters.fused_mlp import fuse_mlps, unfuse_mlps
from tunesmith_plugins.adapters.lora import LoRA

CONFIGS = {
    "llama": transformers.LlamaConfig,
    "qwen2": transformers.Qwen2Config,  # its query, key and value have biases
    "gemma2": transformers.Gemma2Config,
    "moe": transformers.Qwen2MoeConfig,
}
MORE: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"num_key_value_heads": 1},
    "gemma2": {"num_key_value_heads": 1, "head_dim": 16},
    "moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "num_key_value_heads": 2,
        "shared_expert_intermediate_size": 24,
        "moe_intermediate_size": 24,
    },
}
IDS = torch.arange(3, 27).reshape(2, 12)


def attached(kind: str, dropout: float = 0.0) -> Any:
    """A model of two layers away from its base; gpt2 has biases and transposed weights."""
    torch.manual_seed(0)
    config: Any
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)
        base: Any = transformers.GPT2LMHeadModel(config)
    else:
        config = CONFIGS[kind](
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            **MORE[kind],
        )
        base = transformers.AutoModelForCausalLM.from_config(config)
    network: Any = LoRA(rank=4, alpha=6, dropout=dropout).attach(base)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return network


def layers(network: Any) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, LoraLayer)]


def run(network: Any, bf16: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    network.zero_grad()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(input_ids=IDS).logits
    logits.float().square().mean().backward()
    return logits.detach().float(), {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "gemma2", "moe"])
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["whole", "checkpointing"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_logits_and_gradients_are_those_of_peft(kind: str, bf16: bool, checkpointing: bool, dropout: float) -> None:
    network = attached(kind, dropout)
    network.train()
    if checkpointing:
        network.enable_input_require_grads()
        network.get_base_model().activation_checkpointing_enable()
    assert all(isinstance(layer.lora_variant["default"], Fused) for layer in layers(network))
    logits, gradients = run(network, bf16)
    unfuse(network)
    assert not any(layer.lora_variant for layer in layers(network))
    expected, theirs = run(network, bf16)
    near = {"rtol": 0.05, "atol": 0.02} if bf16 else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(logits, expected, **near)
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        apart = (gradient - theirs[name]).norm() / theirs[name].norm()
        assert apart < (0.08 if bf16 else 1e-5), name


def test_a_plain_layer_is_one_step_of_the_graph_and_copies_no_gradient() -> None:
    network = attached("llama")
    network.train()
    waiting, seen = [network(input_ids=IDS).logits.grad_fn], set()
    while waiting:
        if (node := waiting.pop()) is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    kinds = Counter(type(node).__name__ for node in seen)
    assert not {"CopySlices", "AddmmBackward0"} & kinds.keys()
    # each of two layers: query, key and value together, the output by itself, the MLP whole
    assert (kinds["_SharedBackward"], kinds["_AdaptedBackward"], kinds["_GatedBackward"]) == (2, 2, 2)


def attention_of(network: Any) -> Any:
    return network.get_base_model().model.layers[1].self_attn


SKIPPED = [
    "self_attn.q_proj.base_layer",
    "self_attn.v_proj.lora_A.default",
    "self_attn.o_proj.lora_B.default",
    "self_attn.o_proj.base_layer",
    "mlp.gate_proj",
    "mlp.up_proj.base_layer",
    "mlp.act_fn",
    "mlp.down_proj",
    "mlp.down_proj.lora_dropout.default",
]


@pytest.mark.parametrize("name", SKIPPED)
def test_what_waits_for_a_layer_to_be_called_is_called_in_training_too(name: str) -> None:
    network = attached("llama")
    network.train()
    layer = network.get_base_model().model.layers[0].get_submodule(name)
    before = network(input_ids=IDS).logits.detach()
    seen = []
    layer.register_forward_hook(lambda *_: seen.append(name))
    same = network(input_ids=IDS).logits.detach()
    assert seen == [name]
    torch.testing.assert_close(same, before)
    layer.register_forward_hook(lambda _, __, out: out * 0.5)
    changed = network(input_ids=IDS).logits
    with torch.no_grad():
        expected = network(input_ids=IDS).logits
    torch.testing.assert_close(changed.detach(), expected)
    assert not torch.allclose(expected, before, atol=1e-4)
    changed.sum().backward()


@pytest.mark.parametrize("part", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp", "input_layernorm"])
def test_a_family_may_write_into_what_a_layer_gives(part: str) -> None:
    network = attached("llama")
    network.train()
    fuse_norms(network)
    gradients = []
    for write in (lambda out: out.clamp_(-0.1, 0.1), lambda out: out.clamp(-0.1, 0.1)):
        handle = network.get_base_model().model.layers[1].get_submodule(part)
        hook = handle.register_forward_hook(lambda _, __, out, write=write: write(out))
        gradients.append(run(network, bf16=False)[1])
        hook.remove()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


def test_layers_that_are_called_with_other_rows_run_by_themselves() -> None:
    network = attached("llama")
    network.train()
    parts = [getattr(attention_of(network), f"{part}_proj") for part in "qkv"]
    rows, others = torch.randn(1, 5, 32), torch.randn(1, 5, 32)

    def called(inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [part(x) for part, x in zip(parts, inputs, strict=True)]

    together, mixed, twice = called([rows] * 3), called([rows, others, rows]), called([rows] * 3)
    group = parts[0].__dict__["forward"].func
    assert not group.together  # twice as much work is no gain
    assert group.given is None
    assert group.waiting == {}
    unfuse(network)
    for got, expected in ((together, called([rows] * 3)), (mixed, called([rows, others, rows])), (twice, together)):
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_layers_run_together_keep_nothing_waiting_and_nothing_without_gradients() -> None:
    network = attached("llama")
    network.train()
    group = attention_of(network).q_proj.__dict__["forward"].func
    network(input_ids=IDS)
    assert group.together
    assert (group.given, group.waiting) == (None, {})
    with torch.no_grad():
        attention_of(network).q_proj(torch.randn(1, 5, 32))
    assert group.waiting == {}


def test_a_layer_whose_base_weight_trains_keeps_that_gradient() -> None:
    network = attached("llama")
    weight = network.get_base_model().model.layers[0].mlp.up_proj.base_layer.weight.requires_grad_()
    run(network, bf16=False)
    ours = weight.grad.clone()
    unfuse(network)
    run(network, bf16=False)
    torch.testing.assert_close(ours, weight.grad, rtol=1e-4, atol=1e-7)


def test_a_base_in_16_bit_without_autocast_gets_the_update_in_fp32_as_by_peft() -> None:
    network = attached("llama")
    for name, parameter in network.named_parameters():
        if "lora_" not in name:
            parameter.data = parameter.data.bfloat16()
    network.eval()
    with torch.no_grad():
        logits = network(input_ids=IDS).logits
        unfuse(network)
        assert torch.equal(logits, network(input_ids=IDS).logits)


def test_layers_with_a_variant_or_a_bias_of_their_own_are_left_alone() -> None:
    from peft import LoraConfig, get_peft_model

    for options in ({"use_dora": True}, {"lora_bias": True, "target_modules": ["c_fc"]}):
        config = transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)
        network = get_peft_model(transformers.GPT2LMHeadModel(config), LoraConfig(fan_in_fan_out=True, **options))  # type: ignore[arg-type]
        before = [layer.lora_variant.get("default") for layer in layers(network)]
        fuse(network)
        assert [layer.lora_variant.get("default") for layer in layers(network)] == before


def kept(network: Any) -> int:
    """Bytes that a training pass keeps for backward, each storage once."""
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(input_ids=IDS)
    return sum(seen.values())


def test_a_gated_mlp_keeps_neither_its_activation_nor_its_product() -> None:
    network = attached("llama")
    network.train()
    fused = kept(network)
    unfuse_mlps(network)
    tables = 2 * 2 * IDS.numel() * 48 * 4  # two of them in each of two layers, in fp32
    assert kept(network) - fused == tables


def test_an_mlp_that_computes_something_else_is_left_alone() -> None:
    class Doubled(type(attached("llama").get_base_model().model.layers[0].mlp)):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> Any:
            return 2 * super().forward(x)

    network = attached("llama")
    unfuse_mlps(network)
    first, second = (layer.mlp for layer in network.get_base_model().model.layers)
    first.__class__ = Doubled
    fuse_mlps(network)
    assert "forward" not in first.__dict__
    assert "forward" in second.__dict__
