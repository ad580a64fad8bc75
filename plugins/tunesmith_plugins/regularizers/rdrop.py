"""Makes two passes with other dropout agree."""

from typing import TYPE_CHECKING, Self

from tunesmith import Adapter, Chunk, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class RDrop(Regularizer):
    """Divergence between two passes with other dropout (R-Drop, Liang, Wu et al. 2021, arXiv:2106.14448); unit: token.

    At each supervised position, with the distributions p and q of the two passes over the vocabulary,

        weight / 2 * (KL(p || q) + KL(q || p))

    Positions count alike, whatever their loss weight; gradients go through both passes. It takes a second pass with
    its backward: about twice the time and memory. The paper adds up the losses of both passes; here the loss is the
    first one's, whose mean is the same, so the paper's alpha is twice `weight`. Something has to drop out: `dropout` of
    the adapter, or a base that has some.

    Since 0.13.

    Args:
        weight: Factor of the divergence, in nats a token.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = weight

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A weight that counts."""
        return [cls()]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse a weight that would drive the passes apart."""
        check_number(self, "weight")

    def setup(self, model: "nn.Module") -> None:
        """Nothing was seen yet."""
        self._drops = False

    def penalty(self, forward: Forward) -> Term:
        """Sum of both divergences at the supervised positions, times half the weight.

        Raises:
            RecipeError: Nothing drops out.
        """
        import torch
        import torch.nn.functional as F

        device = forward.hidden.device
        before = None if self._drops else _random_state(device)
        second = forward.again()
        # random numbers that were drawn tell it too: LoRA's updates are 0 at first, whatever drops out of them
        still = before is not None and before.equal(_random_state(device))
        if still and torch.equal(forward.hidden, second.hidden):
            msg = (
                "RDrop compares two passes with other dropout, and nothing drops out here\n"
                "set dropout of model.adapter (0.1 for LoRA), take a base with dropout, or leave RDrop out"
            )
            raise RecipeError(msg)
        self._drops = True

        def term(chunk: Chunk, other: Chunk) -> "Tensor":
            p = F.log_softmax(forward.head(chunk.hidden).float(), -1)
            q = F.log_softmax(second.head(other.hidden).float(), -1)
            return ((p.exp() - q.exp()) * (p - q)).sum()

        return Term(self.weight / 2 * forward.total(term, second), "token")


def _random_state(device: "torch.device") -> "Tensor":
    """The state of the generator that dropout draws from."""
    import torch

    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
