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

from tunesmith_plugins.adapters.fused_lora import derivative, is_fused, operands, plain, product

if TYPE_CHECKING:
    from torch import Tensor, nn

Activation = Callable[["Tensor"], "Tensor"]
_PARTS = ("gate_proj", "up_proj", "down_proj")


class _Gated(Function):
    """`product` of `act(gate) * up`; all of one dtype."""

    @staticmethod
    def forward(
        ctx: Any,
        gate: "Tensor",
        up: "Tensor",
        act: Activation,
        weight: "Tensor",
        bias: "Tensor | None",
        lora_down: "Tensor",
        lora_up: "Tensor",
        scaling: float,
    ) -> "Tensor":
        rows = (act(gate) * up).reshape(-1, gate.shape[-1])
        out, hidden = product(rows, weight, bias, lora_down, lora_up, scaling)
        ctx.save_for_backward(gate, up, hidden, weight, lora_down, lora_up)
        ctx.act, ctx.scaling = act, scaling
        return out.view(*gate.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: "Tensor") -> Any:
        gate, up, hidden, weight, lora_down, lora_up = ctx.saved_tensors
        of_out = gradient.reshape(-1, gradient.shape[-1])
        of_rows, of_hidden, of_lora_up = derivative(of_out, hidden, weight, lora_down, lora_up, ctx.scaling, True)
        assert of_rows is not None
        of_product = of_rows.view(gate.shape)
        leaf = gate.detach().requires_grad_()
        with torch.enable_grad():
            activated = ctx.act(leaf)
        of_lora_down = of_hidden.t() @ (activated.detach() * up).view(-1, gate.shape[-1])
        of_up = of_product * activated.detach()
        (of_gate,) = torch.autograd.grad(activated, leaf, of_product.mul_(up))
        return of_gate, of_up, None, None, None, of_lora_down, of_lora_up, None


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
        gate, up = mlp.gate_proj(x), mlp.up_proj(x)
        dtype = plain(mlp.down_proj, gate) if is_fused(mlp.down_proj) else None
        if dtype is not None and dtype == gate.dtype == up.dtype and gate.requires_grad:
            out: Tensor = _Gated.apply(gate, up, mlp.act_fn, *operands(mlp.down_proj, dtype))  # type: ignore[no-untyped-call]
            return out
        result: Tensor = mlp.down_proj(mlp.act_fn(gate) * up)
        return result
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
