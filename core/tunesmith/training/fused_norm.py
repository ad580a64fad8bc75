"""RMS norms (Zhang and Sennrich 2019, arXiv:1910.07467) in half the passes over memory, on a CPU.

Written out in transformers, a norm keeps four tables for backward and reads or writes some thirty; here it keeps its
input and one number a row. Each norm of a model is tried, value and derivative, and else left alone.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Rows at a time, so that their fp32 copies stay in a core's cache.
_ROWS = 256
_TOLERANCE = 1e-5


class _Norm(Function):
    """`x / sqrt(mean(x^2) + eps) * scale` along the last dimension, in fp32; the scale does not train."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, inverse)
        out = torch.empty_like(rows)
        for part, factor, into in _together(rows, inverse, out):
            into.copy_((part.float() * factor).mul_(scale))
        return out.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, scale, inverse = ctx.saved_tensors
        width = x.shape[-1]
        rows, of_out = x.reshape(-1, width), gradient.reshape(-1, width)
        cubed = inverse.pow(3).div_(-width)
        out = torch.empty_like(rows)
        for part, outer, factor, cube, into in _together(rows, of_out, inverse, cubed, out):
            scaled, values = outer.float() * scale, part.float()
            along = torch.linalg.vecdot(scaled, values)[:, None].mul_(cube)
            into.copy_(scaled.mul_(factor).addcmul_(values, along))
        return out.view_as(x), None, None


def _together(*tables: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same few rows of each."""
    return zip(*(torch.split(table, _ROWS) for table in tables), strict=True)


def fuse_norms(model: nn.Module) -> None:
    """Make the RMS norms of a model run fused that compute what is said above."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and (offset := _offset(module)) is not None:
            module.__dict__["forward"] = partial(_forward, module, offset)


def _forward(norm: Any, offset: float, x: Tensor) -> Tensor:
    weight = norm.weight
    if x.device.type != "cpu" or x.dtype != weight.dtype or weight.requires_grad or torch.compiler.is_compiling():
        own: Tensor = type(norm).forward(norm, x)
        return own
    out: Tensor = _Norm.apply(x, weight.float() + offset, _eps(norm))  # type: ignore[no-untyped-call]
    return out


def _eps(norm: Any) -> float:
    return float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)))


def _offset(norm: nn.Module) -> float | None:
    """What is added to the weights (Gemma: 1); None where the norm computes something else."""
    weight = getattr(norm, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 1 or weight.device.type != "cpu":
        return None
    try:
        tried: Any = deepcopy(norm).float().requires_grad_(False)
        x, outer = (torch.randn(2, 3, len(weight), generator=torch.Generator().manual_seed(n)) for n in (0, 1))
        x.requires_grad_()
        with torch.enable_grad():
            expected = tried(x)
            derived = torch.autograd.grad(expected, x, outer)[0]
            for offset in (0.0, 1.0):
                got = _Norm.apply(x, tried.weight + offset, _eps(norm))  # type: ignore[no-untyped-call]
                if _same(got, expected) and _same(torch.autograd.grad(got, x, outer)[0], derived):
                    return offset
    except (RuntimeError, TypeError):
        return None
    return None


def _same(got: Tensor, expected: Tensor) -> bool:
    return got.shape == expected.shape and bool((got - expected).norm() <= _TOLERANCE * expected.norm())
