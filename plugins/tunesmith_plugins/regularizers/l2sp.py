"""Keeps the trained weights near the base's, weight by weight."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Adapter, Forward, Objective, RecipeError, Regularizer, Term, did_you_mean
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class L2SP(Regularizer):
    """Squared distance of the trained weights from their start (L2-SP, Li et al. 2018, arXiv:1802.01483); unit: step.

        weight / 2 * (||w - w0||^2 + new_factor * ||v||^2)

    once an optimizer step: w are the trained weights that the base brings, w0 their values before the first step, v
    those that are new and named by `new`, such as a fresh head. The gradient is weight * (w - w0): weight decay towards
    the base instead of towards 0. Set the optimizer's own `weight_decay` to 0 beside it.

    Of LoRA, what counts is what an update adds to its matrix, as that is how far the weights have moved:

        ||w - w0||^2 = ||s * (B A - B0 A0)||^2   with s = alpha / rank (rsLoRA: alpha / sqrt(rank))

    computed from the products of each pair with itself, without a matrix of the base's size. All other trained weights
    (all of Full and BitFit, DoRA's magnitudes, virtual tokens, updates of other kinds) count by themselves. It holds a
    copy of them as they were at the start.

    Since 0.13.

    Args:
        weight: Factor of the distance, alpha in the paper.
        new: Parts of names of weights that the base did not bring (`score`): they are drawn to 0.
        new_factor: How much more their squares count, beta / alpha in the paper; 1 counts all alike.
    """

    def __init__(self, weight: float, new: list[str] = [], new_factor: float = 1.0) -> None:  # noqa: B006
        self.weight = weight
        self.new = new
        self.new_factor = new_factor

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A weight that counts; and with the norms taken for new."""
        return [cls(0.5), cls(0.5, new=["norm"], new_factor=0.1)]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse factors that would drive weights away."""
        check_number(self, "weight")
        check_number(self, "new_factor")
        if self.new_factor != 1 and not self.new:
            msg = f"L2SP.new_factor is {self.new_factor:g}, but `new` names no weights for it"
            raise RecipeError(msg)

    def setup(self, model: "nn.Module") -> None:
        """Keep what the weights are before the first step; a resumed run finds the same.

        Raises:
            RecipeError: A name of `new` is part of no trained weight's.
        """
        from tunesmith_plugins.regularizers.anchors import anchors

        self._products = list(_products(model))
        paired = {id(factor) for pair in self._products for factor in (pair.a.weight, pair.b.weight)}
        rest = list(anchors(model, paired))
        for part in self.new:
            if not any(part in anchor.name for anchor in rest):
                near = did_you_mean(part, {word for anchor in rest for word in anchor.name.split(".")})
                msg = f"L2SP.new: no trained weight's name has {part} in it{near}"
                raise RecipeError(msg)
        self._fresh = [anchor for anchor in rest if any(part in anchor.name for part in self.new)]
        self._kept = [anchor for anchor in rest if anchor not in self._fresh]
        for anchor in self._fresh:
            anchor.start = None

    def penalty(self, forward: Forward) -> Term:
        """Half the squared distance, times the weight."""
        import torch

        total = forward.hidden.new_zeros((), dtype=torch.float32)
        for product in self._products:
            total = total + product.half_square()
        for anchor in self._kept:
            total = total + anchor.half_square()
        for anchor in self._fresh:
            total = total + self.new_factor * anchor.half_square()
        return Term(self.weight * total, "step")


@dataclass
class _Product:
    """A pair of LoRA's factors.

    Args:
        a: Holds A as `weight`, `[experts * rank, in]`.
        b: Holds B as `weight`, `[out, rank * experts]`.
        scale: Of their product.
        experts: Matrices that the pair updates, each by its own part of the factors; 1 but for mixtures of experts.
        starts: A and B before the first step, where their product was not 0 then.
    """

    a: Any
    b: Any
    scale: float
    experts: int
    starts: "tuple[Tensor, Tensor] | None"

    def half_square(self) -> "Tensor":
        """Half the squared norm of what the product has become more than it was.

        With A = A0 + dA and B = B0 + dB it is dB A + B0 dA: differences first, or small ones drown.
        """
        import torch

        from tunesmith_plugins.regularizers.anchors import whole

        a, b = self._apart(whole(self.a.weight), whole(self.b.weight))
        if self.starts is not None:
            self.starts = self.starts[0].to(a.device), self.starts[1].to(b.device)
            a0, b0 = self._apart(*self.starts)
            a, b = torch.cat([a, a - a0], 1), torch.cat([b - b0, b0], 2)
        return self.scale**2 / 2 * ((b.mT @ b) * (a @ a.mT)).sum()

    def _apart(self, a: "Tensor", b: "Tensor") -> "tuple[Tensor, Tensor]":
        """A as `[experts, rank, in]` and B as `[experts, out, rank]`, as peft cuts them."""
        return a.reshape(self.experts, -1, a.shape[-1]), b.reshape(len(b), -1, self.experts).permute(2, 0, 1)


def _products(model: "nn.Module") -> "Iterator[_Product]":
    """LoRA's pairs of linear layers, as peft has them."""
    import torch
    from torch import nn

    layer: Any
    for layer in model.modules():
        downs, ups = getattr(layer, "lora_A", None), getattr(layer, "lora_B", None)
        if not isinstance(downs, nn.ModuleDict) or not isinstance(ups, nn.ModuleDict):
            continue  # AdaLoRA's are weights without a layer, and have a third factor
        a: Any
        b: Any
        for name, a in downs.items():
            b = ups[name]
            pair = (a.weight, b.weight)
            if any(factor.ndim != 2 for factor in pair) or not any(factor.requires_grad for factor in pair):
                continue
            product = _Product(a, b, layer.scaling[name], getattr(layer, "num_experts", 1), None)
            with torch.no_grad():
                if float(product.half_square()) > 0:  # PiSSA and others begin with a part of the base's matrix
                    product.starts = (a.weight.detach().clone(), b.weight.detach().clone())
            yield product
