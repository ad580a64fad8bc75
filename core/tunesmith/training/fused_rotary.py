"""Rotary positions (Su et al. 2021, arXiv:2104.09864) in four passes over memory instead of sixteen, on a CPU.

Most families turn queries and keys by a function of their module, `apply_rotary_pos_emb`, which copies both halves
several times. It is replaced there, for the whole process, as Liger (Hsu et al. 2024, arXiv:2410.10989) replaces it;
each family's own is tried first, values bit by bit, and derivatives; or else it is left alone.
"""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_NAME = "apply_rotary_pos_emb"
_MARK = "fused"
_TOLERANCE = 1e-5

Apply = Callable[..., tuple[Tensor, Tensor]]


class _Rotated(Function):
    """`x * cos + rotate_half(x) * sin`, where `rotate_half` of halves `(a, b)` is `(-b, a)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        out = x * cos
        # rounded one by one, as they are written out
        out[..., :half].sub_(x[..., half:] * sin[..., :half])
        out[..., half:].add_(x[..., :half] * sin[..., half:])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        half = gradient.shape[-1] // 2
        out = gradient * cos
        out[..., :half].addcmul_(gradient[..., half:], sin[..., half:])
        out[..., half:].addcmul_(gradient[..., :half], sin[..., :half], value=-1)
        return out, None, None


def fuse_rotary(model: nn.Module) -> None:
    """Replace the rotary function of the modules that a model's layers are from, where it is what is said above."""
    for name in {type(module).__module__ for module in model.modules()}:
        own = vars(sys.modules[name]).get(_NAME)
        if own is not None and not hasattr(own, _MARK) and _is_plain(own):
            setattr(sys.modules[name], _NAME, _replacing(own))


def unfuse_rotary(model: nn.Module) -> None:
    """Give the modules that a model's layers are from their own function back, for the whole process."""
    for name in {type(module).__module__ for module in model.modules()}:
        ours: Any = vars(sys.modules[name]).get(_NAME)
        if hasattr(ours, _MARK):
            setattr(sys.modules[name], _NAME, ours.__wrapped__)


def turns_fused(model: nn.Module) -> bool:
    """Whether the modules that a model's layers are from have the replaced function."""
    return any(hasattr(vars(sys.modules[type(module).__module__]).get(_NAME), _MARK) for module in model.modules())


def _replacing(own: Apply) -> Apply:
    @wraps(own)
    def apply(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
        alike = all(x.device.type == "cpu" and x.dtype == cos.dtype and x.shape[-1] == cos.shape[-1] for x in (q, k))
        trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad) and not cos.requires_grad
        if not (alike and trains) or torch.compiler.is_compiling():
            return own(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return _Rotated.apply(q, cos, sin), _Rotated.apply(k, cos, sin)  # type: ignore[no-untyped-call]

    setattr(apply, _MARK, True)
    return apply


def _is_plain(own: Apply) -> bool:
    if list(inspect.signature(own).parameters) != ["q", "k", "cos", "sin", "unsqueeze_dim"]:
        return False
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 2, 3, 8), (1, 1, 3, 8), (1, 3, 8), (1, 3, 8))
    q, k, cos, sin = (torch.randn(*shape, generator=generator) for shape in shapes)
    inputs = [q.requires_grad_(), k.requires_grad_()]
    results = []
    try:
        for apply in (own, _replacing(own)):
            with torch.enable_grad():
                out = apply(*inputs, cos, sin)
                results.append((out, torch.autograd.grad([x.square().sum() for x in out], inputs)))
    except (RuntimeError, TypeError, ValueError):
        return False
    (values, derived), (ours, fused) = results
    same = all(map(torch.equal, values, ours))
    return same and all(bool((x - y).norm() <= _TOLERANCE * x.norm()) for x, y in zip(derived, fused, strict=True))
