"""Norms and rotary positions that run fused on a CPU: as transformers' own, kept or left alone one by one."""

import importlib
from collections.abc import Iterator
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.olmo2.modeling_olmo2 import Olmo2RMSNorm

from tunesmith.training.fused_norm import fuse_norms
from tunesmith.training.fused_rotary import fuse_rotary

PACKAGE = "transformers.models"
ROTATING = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "olmo2", "granite", "smollm3", "stablelm"]
# interleaved pairs, an fp32 detour, or cosines of half the width: another function
OTHERS = ["cohere", "gpt_oss", "glm"]


def derived(run: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.detach().clone().requires_grad_()
    out = run(leaf)
    return out.detach(), torch.autograd.grad(out, leaf, torch.ones_like(out).cumsum(-1) / out.shape[-1])[0]


def apart(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Gemma2RMSNorm, Olmo2RMSNorm])
@pytest.mark.parametrize("shape", [(1, 1, 24), (1, 700, 24), (2, 3, 5, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fused_norm_is_the_familys_own(kind: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm = kind(24, eps=1e-3).to(dtype).requires_grad_(False)
    norm.weight.copy_(torch.randn(24))
    plain = deepcopy(norm)
    fuse_norms(nn.ModuleList([norm]))
    assert "forward" in vars(norm)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    (got, fused), (expected, own) = derived(norm, x), derived(plain, x)
    assert torch.equal(got, expected)
    assert fused.dtype == dtype
    assert apart(fused, own) < (1e-6 if dtype == torch.float32 else 0.01)


def test_a_fused_norm_keeps_its_input_and_a_number_a_row() -> None:
    norm = LlamaRMSNorm(24).requires_grad_(False)
    fuse_norms(nn.ModuleList([norm]))
    kept: list[int] = []
    x = torch.randn(50, 24, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        norm(x)
    assert sum(kept) == 50 * 24 + 50 + 24


def test_norms_that_train_or_compute_something_else_stay_as_they_are() -> None:
    class OtherRMSNorm(LlamaRMSNorm):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 1.01  # type: ignore[no-any-return]

    other, trains, mixed = OtherRMSNorm(8), LlamaRMSNorm(8), LlamaRMSNorm(8).requires_grad_(False)
    fuse_norms(nn.ModuleList([other, trains, mixed]))
    assert "forward" not in vars(other)
    x = torch.randn(3, 8)
    trains(x).sum().backward()  # its weights may be frozen later
    assert trains.weight.grad is not None
    assert torch.equal(mixed(x.bfloat16()), LlamaRMSNorm(8)(x.bfloat16()))  # fp32 weights, bf16 input: its own words


@pytest.fixture
def modeling() -> Iterator[Any]:
    """A family's module, whose rotary function is put back in the end."""
    kept: dict[ModuleType, Any] = {}

    def take(family: str) -> tuple[ModuleType, Any]:
        module = importlib.import_module(f"{PACKAGE}.{family}.modeling_{family}")
        kept[module] = module.apply_rotary_pos_emb
        own = getattr(module.apply_rotary_pos_emb, "__wrapped__", module.apply_rotary_pos_emb)
        module.apply_rotary_pos_emb = own
        return module, own

    yield take
    for module, own in kept.items():
        module.apply_rotary_pos_emb = own


def layer_of(module: ModuleType) -> nn.Module:
    """A module whose class says that it is of this file."""
    return type("Layer", (nn.Module,), {"__module__": module.__name__})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", ROTATING)
def test_fused_rotary_positions_are_the_familys_own(family: str, modeling: Any) -> None:
    module, own = modeling(family)
    fuse_rotary(layer_of(module))
    fused = module.apply_rotary_pos_emb
    assert fused is not own
    fuse_rotary(layer_of(module))  # another model of the family
    assert module.apply_rotary_pos_emb is fused
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 7, heads, 16, generator=generator).transpose(1, 2) for heads in (4, 2))
    cos, sin = (torch.randn(1, 7, 16, generator=generator) for _ in range(2))
    for dtype, limit in ((torch.float64, 1e-12), (torch.bfloat16, 0.02)):
        results = []
        for run in (fused, own):
            leaves = [x.to(dtype).requires_grad_() for x in (q, k)]
            out = run(*leaves, *(x.to(dtype) for x in (cos, sin)))
            results.append((out, torch.autograd.grad([x.square().sum() for x in out], leaves)))
        (values, gradients), (expected, others) = results
        assert all(map(torch.equal, values, expected))
        for got, wanted in zip(gradients, others, strict=True):
            assert got.dtype == dtype
            assert apart(got, wanted) < limit


@pytest.mark.parametrize("family", OTHERS)
def test_rotary_functions_that_compute_something_else_stay(family: str, modeling: Any) -> None:
    module, own = modeling(family)
    fuse_rotary(layer_of(module))
    assert module.apply_rotary_pos_emb is own


def test_cosines_narrower_than_the_heads_are_the_familys_business(modeling: Any) -> None:
    module, own = modeling("stablelm")
    fuse_rotary(layer_of(module))
    q, cos = torch.randn(1, 2, 3, 8), torch.randn(1, 3, 1)
    for got, expected in zip(module.apply_rotary_pos_emb(q, q, cos, cos), own(q, q, cos, cos), strict=True):
        assert torch.equal(got, expected)
