"""Distances of trained weights from where they started, whole or in shards: what `L2SP` and `EWC` share."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.autograd import Function
from torch.distributed import ReduceOp, all_reduce
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from torch import nn


@dataclass(eq=False)
class Anchor:
    """A trained weight and what belongs to it, by place: in shards it is another tensor than before.

    Args:
        name: Of the weight.
        module: The module that holds it.
        attribute: Its name there.
        start: Its value at the start; None stands for 0.
    """

    name: str
    module: "nn.Module"
    attribute: str
    start: Tensor | None

    @property
    def weight(self) -> Tensor:
        """The weight as it is now: whole, or this process's shard of it."""
        found: Tensor = getattr(self.module, self.attribute)
        return found

    def half_square(self, importance: Tensor | None = None) -> Tensor:
        """Half the sum of the squares of its way from the start, each times its importance, as a scalar.

        Args:
            importance: Whole, or like the weight; None for 1.
        """
        weight = self.weight
        self.start = None if self.start is None else beside(weight, self.start)
        total: Tensor = _HalfSquare.apply(weight, self.start, importance)  # type: ignore[no-untyped-call]
        return total


class _HalfSquare(Function):
    """Keeps nothing but its inputs: a difference of all trained weights would be another copy of them."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, start: Tensor | None, importance: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, start, importance)
        gap = _local(weight) if start is None else _local(weight) - _local(start)
        total = (gap * gap if importance is None else gap * gap * _local(importance)).sum() / 2
        if isinstance(weight, DTensor):
            all_reduce(total, ReduceOp.SUM, group=weight.device_mesh.get_group())
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        weight, start, importance = ctx.saved_tensors
        gap = weight if start is None else weight - start
        return outer[0] * (gap if importance is None else gap * importance), None, None


def anchors(model: "nn.Module", but: Collection[int] = ()) -> Iterator[Anchor]:
    """The trained weights of a model, each once, with their values of now.

    Args:
        model: With its adapter.
        but: Identities of those that are left out.
    """
    seen = set(but)
    for prefix, module in model.named_modules():
        for attribute, weight in module.named_parameters(recurse=False):
            if weight.requires_grad and id(weight) not in seen:
                seen.add(id(weight))
                name = f"{prefix}.{attribute}" if prefix else attribute
                yield Anchor(name, module, attribute, weight.detach().clone())


def beside(weight: Tensor, other: Tensor) -> Tensor:
    """A tensor of a weight's shape where the weight is: on its device, and in the shards that it is in.

    Args:
        weight: Whole or a shard.
        other: Whole, the same on all processes; or as this gave it before.
    """
    if isinstance(weight, DTensor) and not isinstance(other, DTensor):
        mesh, places = weight.device_mesh, weight.placements
        return distribute_tensor(other.to(_local(weight).device), mesh, places, src_data_rank=None)
    return other.to(weight.device) if isinstance(weight, DTensor) else whole(other).to(weight.device)


def whole(weight: Tensor) -> Tensor:
    """All of a weight, gathered where it is in shards, with a gradient; all processes must call it."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
