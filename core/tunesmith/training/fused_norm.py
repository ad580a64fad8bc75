"""RMS norms (Zhang and Sennrich 2019, arXiv:1910.07467) in a third of the passes over memory, on a CPU.

Written out in transformers, a norm keeps three tables for backward and reads or writes some thirty; here it keeps its
input and one number a row. Each norm of a model is tried: values bit by bit in fp32 and bf16, and the derivative; or
else it is left alone.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Rows at a time, so that what is computed of them stays in a core's cache.
_ROWS = 256
_TOLERANCE = 1e-5


class Kind(NamedTuple):
    """How families differ: what is added to the weights (Gemma: 1); whether rows are rounded before them (Llama)."""

    offset: float
    rounds: bool


_KINDS = (Kind(0.0, True), Kind(0.0, False), Kind(1.0, False))


class _Norm(Function):
    """`x / sqrt(mean(x^2) + eps) * (weight + offset)` along the last dimension, in fp32; the weight does not train."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, kind: Kind) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scale = weight if kind.rounds else weight.float() + kind.offset
        # itself, not a view of it, is what comes out: families write into it
        out, inverse = torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty(len(rows), 1)
        for part, factor, into in _together(rows, inverse, out.view(rows.shape)):
            values = part.float()
            torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps, out=factor)
            values = values * factor
            into.copy_((values.to(x.dtype) if kind.rounds else values).mul_(scale))
        ctx.save_for_backward(x, weight, inverse)
        ctx.offset = kind.offset
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight, inverse = ctx.saved_tensors
        width, scale = x.shape[-1], weight.float() + ctx.offset
        rows, of_out = x.reshape(-1, width), gradient.reshape(-1, width)
        cubed = inverse.pow(3).div_(-width)
        out = torch.empty_like(rows)
        for part, outer, factor, cube, into in _together(rows, of_out, inverse, cubed, out):
            scaled, values = outer.float() * scale, part.float()
            along = torch.linalg.vecdot(scaled, values)[:, None].mul_(cube)
            into.copy_(scaled.mul_(factor).addcmul_(values, along))
        return out.view_as(x), None, None, None


def _together(*tables: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same few rows of each."""
    return zip(*(torch.split(table, _ROWS) for table in tables), strict=True)


def fuse_norms(model: nn.Module) -> None:
    """Make the RMS norms of a model run fused that compute what is said above."""
    for module in model.modules():
        if not type(module).__name__.endswith("RMSNorm") or is_fused_norm(module):
            continue
        if (kind := _kind(module)) is not None:
            module.__dict__["forward"] = partial(_forward, module, kind)


def is_fused_norm(module: nn.Module) -> bool:
    """Whether `fuse_norms` replaced its forward."""
    return getattr(module.__dict__.get("forward"), "func", None) is _forward


def _forward(norm: Any, kind: Kind, x: Tensor) -> Tensor:
    weight = norm.weight
    alike = x.device.type == "cpu" and x.dtype == weight.dtype and not weight.requires_grad
    if alike and x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        out: Tensor = _Norm.apply(x, weight, _eps(norm), kind)  # type: ignore[no-untyped-call]
        return out
    own: Tensor = type(norm).forward(norm, x)
    return own


def _eps(norm: Any) -> float:
    return float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)))


def _kind(norm: nn.Module) -> Kind | None:
    """What a norm is; None where it computes something else."""
    weight = getattr(norm, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 1 or weight.device.type != "cpu":
        return None
    generator = torch.Generator().manual_seed(0)
    x, outer, other = (torch.randn(2, 3, len(weight), generator=generator) for _ in range(3))
    tried: list[Any] = [deepcopy(norm).to(dtype).requires_grad_(False) for dtype in (torch.float32, torch.bfloat16)]
    for one in tried:
        one.weight.copy_(other[0, 0])  # a norm as it was initialised would hide where its weights come in
    try:
        return next((kind for kind in _KINDS if _is(kind, tried, x, outer)), None)
    except (RuntimeError, TypeError):
        return None


@torch.enable_grad()
def _is(kind: Kind, tried: list[Any], x: Tensor, outer: Tensor) -> bool:
    for norm in tried:
        leaf = x.to(norm.weight.dtype).requires_grad_()
        expected, got = norm(leaf), _Norm.apply(leaf, norm.weight, _eps(norm), kind)  # type: ignore[no-untyped-call]
        if expected.dtype != got.dtype or not torch.equal(got, expected):
            return False
        if leaf.dtype == torch.float32:
            own, fused = (torch.autograd.grad(out, leaf, outer)[0] for out in (expected, got))
            if (fused - own).norm() > _TOLERANCE * own.norm():
                return False
    return True
