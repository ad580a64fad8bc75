"""Gated MLPs that keep two tables for backward instead of four.

`down(act(gate(x)) * up(x))` is what most families compute between attentions. Autograd keeps gate, up, the activation
and the product, each as wide as the MLP: more than half of all that a layer keeps. Activation and product are made
again in backward, which costs two passes over them and saves as many; no product of matrices is repeated (as in
Unsloth's fused MLP, and in Liger's SwiGLU, Hsu et al. 2024, arXiv:2410.10989).
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tunesmith_plugins.adapters.fused_lora import hooked, is_fused, operands, plain, rows_of
from tunesmith_plugins.adapters.fused_products import Layer, again, derivatives, products

if TYPE_CHECKING:
    from torch import Tensor, nn

Activation = Callable[["Tensor"], "Tensor"]
_PARTS = ("gate_proj", "up_proj", "down_proj")


class _Gated(Function):
    """`down(act(gate(x)) * up(x))` of rows `[n, in]` with frozen weights; all of one dtype."""

    @staticmethod
    def forward(ctx: Any, rows: "Tensor", act: Activation, *flat: Any) -> "Tensor":
        first, second, last = (Layer(*flat[start : start + 5]) for start in (0, 5, 10))
        (gate, up), hidden = products(rows, (first, second))
        (out,), inner = products(act(gate) * up, (last,))
        weights = (t for layer in (first, second, last) for t in (layer.weight, layer.down, layer.up))
        ctx.save_for_backward(rows, gate, up, hidden, inner, *weights)
        ctx.act, ctx.scalings = act, (first.scaling, second.scaling, last.scaling)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: "Tensor") -> Any:
        rows, gate, up, hidden, inner, *flat = ctx.saved_tensors
        layers = again(flat, ctx.scalings)
        leaf = gate.detach().requires_grad_()
        with torch.enable_grad():
            activated = ctx.act(leaf)
        product = activated.detach() * up
        of_product, *of_last = derivatives((gradient,), product, inner, layers[2:], True)
        assert of_product is not None
        of_up = torch.mul(of_product, activated.detach(), out=product)
        (of_gate,) = torch.autograd.grad(activated, leaf, of_product.mul_(up))
        of_rows, *of_first = derivatives((of_gate, of_up), rows, hidden, layers[:2], ctx.needs_input_grad[0])
        pairs = (pair for parts in (of_first, of_last) for pair in zip(*parts, strict=True))
        return of_rows, None, *(part for pair in pairs for part in (None, None, *pair, None))


def fuse_mlps(model: "nn.Module") -> None:
    """Make gated MLPs run fused whose layers do, and which compute what their names say: each is tried once."""
    for module in model.modules():
        named = callable(getattr(module, "act_fn", None)) and all(is_fused(getattr(module, p, module)) for p in _PARTS)
        if named and _is_gated(module):
            module.__dict__["forward"] = partial(_forward, module)


def unfuse_mlps(model: "nn.Module") -> None:
    """Give the MLPs back."""
    for module in model.modules():
        if getattr(module.__dict__.get("forward"), "func", None) is _forward:
            del module.__dict__["forward"]


def _forward(mlp: Any, x: "Tensor") -> "Tensor":
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        layers = [getattr(mlp, part) for part in _PARTS]
        waited_for = any(map(hooked, (*layers, mlp.act_fn)))  # none of these is called
        dtypes = {plain(layer, x) if is_fused(layer) and not waited_for else None for layer in layers}
        dtype = dtypes.pop()
        if not dtypes and dtype is not None:
            flat = [part for layer in layers for part in operands(layer, dtype)]
            out: Tensor = _Gated.apply(rows_of(x, dtype), mlp.act_fn, *flat)  # type: ignore[no-untyped-call]
            return out.view(*x.shape[:-1], -1)
    own: Tensor = type(mlp).forward(mlp, x)
    return own


@torch.no_grad()
def _is_gated(mlp: Any) -> bool:
    weight = mlp.gate_proj.base_layer.weight
    x = torch.linspace(-1, 1, 2 * weight.shape[1], device=weight.device, dtype=weight.dtype).view(1, 2, -1)
    try:
        own = type(mlp).forward(mlp, x)
        said = mlp.down_proj(mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x))
    except (TypeError, RuntimeError):
        return False
    return bool(torch.equal(own, said))
