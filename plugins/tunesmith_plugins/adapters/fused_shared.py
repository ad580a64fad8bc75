"""LoRA's layers that read the same rows, run together: query, key and value of an attention, gate and up of an MLP.

Their downward products are one product, with all ranks side by side, and so are its derivatives; the gradients of the
rows are added by the products themselves. Alone, each layer reads the rows once more, forward and backward, and
autograd adds the gradients up.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tunesmith_plugins.adapters.fused_lora import alone, is_fused, operands, plain, rows_of
from tunesmith_plugins.adapters.fused_products import Layer, again, derivatives, products

if TYPE_CHECKING:
    from torch import Tensor, nn

_PARTS = ("q_proj", "k_proj", "v_proj")


class _Shared(Function):
    """`products` of rows `[n, in]` with frozen weights; all of one dtype."""

    @staticmethod
    def forward(ctx: Any, rows: "Tensor", *flat: Any) -> "tuple[Tensor, ...]":
        layers = [Layer(*flat[start:end]) for start, end in pairwise(range(0, len(flat) + 1, 5))]
        outs, hidden = products(rows, layers)
        ctx.save_for_backward(rows, hidden, *(t for layer in layers for t in (layer.weight, layer.down, layer.up)))
        ctx.scalings = [layer.scaling for layer in layers]
        return tuple(outs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: "Tensor") -> Any:
        rows, hidden, *flat = ctx.saved_tensors
        layers = again(flat, ctx.scalings)
        total, of_downs, of_ups = derivatives(gradients, rows, hidden, layers, ctx.needs_input_grad[0])
        return total, *(part for pair in zip(of_downs, of_ups, strict=True) for part in (None, None, *pair, None))


class _Group:
    """Layers that are called in turn with one input: the first call runs all, the next ones fetch what is theirs."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers
        self.given: Tensor | None = None
        self.waiting: dict[int, Tensor] = {}
        self.together = True

    def __call__(self, index: int, x: "Tensor", *args: Any, **kwargs: Any) -> "Tensor":
        if x is self.given and index in self.waiting:
            out = self.waiting.pop(index)
            self.given = x if self.waiting else None
            return out
        if self.waiting:  # a model that calls them otherwise: from now on each by itself
            self.together, self.given, self.waiting = False, None, {}
        dtype = None if index or args or kwargs else self._dtype(x)
        if dtype is None:
            return alone(self.layers[index], x, *args, **kwargs)
        flat = [part for layer in self.layers for part in operands(layer, dtype)]
        outs = _Shared.apply(rows_of(x, dtype), *flat)  # type: ignore[no-untyped-call]
        first: Tensor
        first, *others = (out.view(*x.shape[:-1], -1) for out in outs)
        self.given, self.waiting = x, dict(enumerate(others, 1))
        return first

    def _dtype(self, x: "Tensor") -> "torch.dtype | None":
        """The dtype in which all can run; None where they cannot."""
        if not self.together or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        dtypes = {plain(layer, x) for layer in self.layers}
        return dtypes.pop() if len(dtypes) == 1 else None


def share(model: "nn.Module") -> None:
    """Let attentions' projections run together that `fuse` made run at once."""
    for module in model.modules():
        layers = [getattr(module, part, None) for part in _PARTS]
        if all(layer is not None and is_fused(layer) for layer in layers):
            group = _Group(layers)
            for index, layer in enumerate(layers):
                layer.__dict__["forward"] = partial(group, index)
