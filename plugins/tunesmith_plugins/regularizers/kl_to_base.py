"""Keeps the tuned model near its base, token by token."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from tunesmith import Adapter, Chunk, Forward, Objective, Regularizer, Term
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor


class KLToBase(Regularizer):
    """Divergence of the tuned model's predictions from the base's; unit: token.

    At each supervised position, with the base's distribution p and the tuned model's q over the vocabulary V,

        weight * sum over v in V of p(v) * (log p(v) - log q(v))

    that is KL(p || q), the forward direction of knowledge distillation (Hinton et al. 2015; Li & Hoiem 2016): the tuned
    model must not lose what the base finds likely. Positions count alike, whatever their loss weight. The base is the
    model without its adapter, in evaluation mode: it costs one more forward pass and draws no random number.

    Since 0.1.

    Args:
        weight: Factor of the divergence, in nats a token; the loss itself is in nats a token as well.
    """

    model_classes: ClassVar[frozenset[Literal["causal", "masked", "classification"]]] = frozenset({"causal", "masked"})

    def __init__(self, weight: float) -> None:
        self.weight = weight

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A weight that counts."""
        return [cls(0.5)]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse a negative weight, which would drive the model away from its base."""
        check_number(self, "weight")

    def penalty(self, forward: Forward) -> Term:
        """Sum of the divergences at the supervised positions, times the weight."""
        import torch.nn.functional as F

        base = forward.baseline()

        def term(chunk: Chunk, anchor: Chunk) -> "Tensor":
            expected = F.log_softmax(base.head(anchor.hidden).float(), -1)
            got = F.log_softmax(forward.head(chunk.hidden).float(), -1)
            return F.kl_div(got, expected, reduction="sum", log_target=True)

        return Term(self.weight * forward.total(term, base), "token")
