"""LoRA's layers in as few passes over full-width tensors as they need, forward and backward.

peft computes `result + lora_B(lora_A(x)) * scaling`: three full-width tensors a layer, and under autocast it first
casts the input to the weights' fp32, which autocast casts back. In backward, autograd adds the two gradients of the
layer's input. Here the update is added by the matrix product itself (`addmm`), into the layer's output and into the
gradient of its input. An in-place product that autograd records would be no gain: where it writes into a view,
backward copies the whole gradient three times. So the derivative is written out, as one function.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora.layer import Linear, LoraLayer, LoraVariant
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tunesmith_plugins.adapters.fused_products import Layer, again, derivatives, products

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAME = "default"


class _Adapted(Function):
    """`x W^T + b + scaling * x A^T B^T` of rows `[n, in]` with frozen W and b; all of one dtype."""

    @staticmethod
    def forward(
        ctx: Any, rows: "Tensor", weight: "Tensor", bias: "Tensor | None", down: "Tensor", up: "Tensor", scaling: float
    ) -> "Tensor":
        (out,), hidden = products(rows, (Layer(weight, bias, down, up, scaling),))
        ctx.save_for_backward(rows, hidden, weight, down, up)
        ctx.scaling = scaling
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: "Tensor") -> Any:
        rows, hidden, *kept = ctx.saved_tensors
        layers = again(kept, [ctx.scaling])
        of_rows, (of_down,), (of_up,) = derivatives((gradient,), rows, hidden, layers, ctx.needs_input_grad[0])
        return of_rows, None, None, of_down, of_up, None


class _Added(Function):
    """`result + scaling * x A^T B^T`, written into `result`; all of one dtype."""

    @staticmethod
    def forward(ctx: Any, result: "Tensor", x: "Tensor", down: "Tensor", up: "Tensor", scaling: float) -> "Tensor":
        rows = x.reshape(-1, x.shape[-1])
        hidden = rows @ down.t()
        result.view(-1, result.shape[-1]).addmm_(hidden, up.t(), alpha=scaling)
        ctx.save_for_backward(rows, hidden, down, up)
        ctx.scaling = scaling
        ctx.mark_dirty(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: "Tensor") -> Any:
        rows, hidden, down, up = ctx.saved_tensors
        of_rows = gradient.reshape(-1, gradient.shape[-1])
        of_hidden = (of_rows @ up).mul_(ctx.scaling)
        of_input = (of_hidden @ down).view(*gradient.shape[:-1], -1) if ctx.needs_input_grad[1] else None
        return gradient, of_input, of_hidden.t() @ rows, (of_rows.t() @ hidden).mul_(ctx.scaling), None


class Fused(LoraVariant):
    """The forward pass of plain LoRA, `result + scaling * x A^T B^T`, behind any base layer."""

    @staticmethod
    def forward(module: Any, active_adapter: str, x: "Tensor", result: "Tensor", **_: Any) -> "Tensor":
        """Add the update to a layer's output.

        Args:
            module: peft's layer.
            active_adapter: Name of the adapter.
            x: The layer's input, `[..., in]`.
            result: The base layer's output, `[..., out]`; written into where that is safe.
            **_: What other variants take.
        """
        first, second = module.lora_A[active_adapter], module.lora_B[active_adapter]
        down, up = first.weight, second.weight
        scaling = module.scaling[active_adapter]
        x = module.lora_dropout[active_adapter](x)
        dtype = _autocast(x) or down.dtype
        alike = dtype == result.dtype and result.is_contiguous() and result.device.type == "cpu"
        if not alike or hooked(first) or hooked(second):
            summed: Tensor = result + second(first(x.to(dtype))) * scaling
            return summed.to(result.dtype)
        # neither a linear layer nor peft's clone of a quantised one's output is needed in backward
        added: Tensor = _Added.apply(result, x.to(dtype), down.to(dtype), up.to(dtype), scaling)  # type: ignore[no-untyped-call]
        return added


def alone(layer: Any, x: "Tensor", *args: Any, **kwargs: Any) -> "Tensor":
    """The whole layer at once where it is plain; else peft's own forward, with `Fused` inside."""
    dtype = None if args or kwargs else plain(layer, x)
    if dtype is None:
        result: Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return result
    out: Tensor = _Adapted.apply(rows_of(x, dtype), *operands(layer, dtype))  # type: ignore[no-untyped-call]
    return out.view(*x.shape[:-1], -1)


def plain(layer: Any, x: "Tensor") -> torch.dtype | None:
    """The dtype in which a layer can run at once; None where it cannot: no update, dropout, hooks, a base that trains.

    On a GPU none can: there it is not known to be a gain.
    """
    weight, bias = layer.base_layer.weight, layer.base_layer.bias
    # without autocast nothing is cast: the weights of the update have to be of the input's dtype
    dtype = _autocast(x) or layer.lora_A[_NAME].weight.dtype
    if (
        x.device.type != "cpu"
        or layer.disable_adapters
        or layer.merged
        or layer.active_adapters != [_NAME]
        or (layer.training and getattr(layer.lora_dropout[_NAME], "p", 0))
        or weight.requires_grad
        or weight.dtype != dtype
        or (bias is not None and (bias.requires_grad or bias.dtype != dtype))
        or (x.dtype != dtype and _autocast(x) is None)
        or any(map(hooked, (layer.base_layer, layer.lora_A[_NAME], layer.lora_B[_NAME], layer.lora_dropout[_NAME])))
    ):
        return None
    return dtype


def hooked(module: Any) -> bool:
    """Whether something waits for a module to be called."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind, None) for kind in kinds)


def rows_of(x: "Tensor", dtype: torch.dtype) -> "Tensor":
    """All positions as rows, `[n, in]`; a function's output that is a view could not be written into by a family."""
    return x.reshape(-1, x.shape[-1]).to(dtype)


def operands(layer: Any, dtype: torch.dtype) -> Layer:
    """What a layer multiplies by."""
    down, up = layer.lora_A[_NAME].weight.to(dtype), layer.lora_B[_NAME].weight.to(dtype)
    return Layer(layer.base_layer.weight, layer.base_layer.bias, down, up, layer.scaling[_NAME])


def _autocast(x: "Tensor") -> torch.dtype | None:
    """The dtype in which autocast would multiply; None without it."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def fuse(model: "nn.Module") -> None:
    """Make peft's plain LoRA layers run fused; layers with a variant of their own (DoRA, ...) keep it."""
    from bitsandbytes.nn.modules import Int8Params

    for layer in _layers(model):
        # bitsandbytes' product in 8 bit gives a view, which must not be written into
        eight = isinstance(getattr(layer.get_base_layer(), "weight", None), Int8Params)
        if (
            not eight
            and _NAME not in layer.lora_variant
            and layer.lora_A[_NAME].weight.ndim == 2
            and not layer.lora_bias[_NAME]
        ):
            layer.lora_variant[_NAME] = Fused()
            layer.cast_input_dtype_enabled = False
            if type(layer) is Linear and type(layer.base_layer) is torch.nn.Linear:
                layer.__dict__["forward"] = partial(alone, layer)


def is_fused(layer: "nn.Module") -> bool:
    """Whether a layer runs at once where it is plain."""
    return "forward" in layer.__dict__ and isinstance(layer, LoraLayer)


def unfuse(model: "nn.Module") -> None:
    """Give the layers back to peft, which merges plain layers only."""
    for layer in _layers(model):
        if isinstance(layer.lora_variant.get(_NAME), Fused):
            del layer.lora_variant[_NAME]
            layer.cast_input_dtype_enabled = True
            layer.__dict__.pop("forward", None)


def _layers(model: "nn.Module") -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer) and _NAME in module.lora_A]
