"""What LoRA's layers multiply, forward and backward, any number of layers over the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


class Layer(NamedTuple):
    """What one layer multiplies by: `[out, in]`, `[out]`, `[rank, in]`, `[out, rank]`."""

    weight: "Tensor"
    bias: "Tensor | None"
    down: "Tensor"
    up: "Tensor"
    scaling: float


def products(rows: "Tensor", layers: Sequence[Layer]) -> "tuple[list[Tensor], Tensor]":
    """The layers' outputs, `[n, out]` each, and their downward products side by side, `[n, ranks]`."""
    hidden = rows @ torch.cat([layer.down for layer in layers]).t()
    outs = []
    for layer, part in zip(layers, _parts(hidden, layers), strict=True):
        outs.append(F.linear(rows, layer.weight, layer.bias).addmm_(part, layer.up.t(), alpha=layer.scaling))
    return outs, hidden


def derivatives(
    of_outs: "Sequence[Tensor]", rows: "Tensor", hidden: "Tensor", layers: Sequence[Layer], of_rows: bool
) -> "tuple[Tensor | None, tuple[Tensor, ...], list[Tensor]]":
    """Gradients of the rows, if asked for, of each layer's `down`, and of each layer's `up`."""
    pairs = list(zip(of_outs, layers, strict=True))
    of_hidden = torch.cat([(of_out @ layer.up).mul_(layer.scaling) for of_out, layer in pairs], 1)
    total = None
    if of_rows:
        total = of_outs[0] @ layers[0].weight
        for of_out, layer in pairs[1:]:
            total.addmm_(of_out, layer.weight)
        total.addmm_(of_hidden, torch.cat([layer.down for layer in layers]))
    of_downs = torch.split(of_hidden.t() @ rows, [len(layer.down) for layer in layers])
    parts = zip(pairs, _parts(hidden, layers), strict=True)
    # transposed: with the narrow table on the left the product takes two thirds of the time on a CPU
    return total, of_downs, [(part.t() @ of_out).mul_(layer.scaling).t() for (of_out, layer), part in parts]


def _parts(hidden: "Tensor", layers: Sequence[Layer]) -> "tuple[Tensor, ...]":
    return torch.split(hidden, [len(layer.down) for layer in layers], 1)


def again(kept: "Sequence[Tensor]", scalings: Sequence[float]) -> list[Layer]:
    """Layers as backward needs them, from the weights that forward kept of each: its own, `down` and `up`."""
    triples = zip(kept[::3], kept[1::3], kept[2::3], scalings, strict=True)
    return [Layer(weight, None, down, up, scaling) for weight, down, up, scaling in triples]
