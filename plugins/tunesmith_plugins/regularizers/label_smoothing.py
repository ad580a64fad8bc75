"""Keeps predictions from becoming too certain."""

import math
from typing import TYPE_CHECKING, Self

from tunesmith import Adapter, Chunk, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor


class LabelSmoothing(Regularizer):
    """Divergence of the uniform distribution from the predictions (Szegedy et al. 2016); unit: token.

    At each supervised position, with the model's distribution q over the vocabulary V,

        weight * KL(u || q) = weight * (-log |V| - mean over v in V of log q(v))

    times the position's loss weight. Added to the cross-entropy of `NextToken` this is label smoothing (Pereyra et al.
    2017, section 3.2), of a loss that is 1 + weight times as large and has a constant besides:

        share of the target that is spread = weight / (1 + weight)

    so a share of 0.1 is a weight of 0.111. Unlike that objective's own option it goes with every objective, is logged
    apart and leaves `loss` as it is; together with it, it is refused.

    Since 0.13.

    Args:
        weight: Factor of the divergence, in nats a token.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A share of 0.2."""
        return [cls(0.25)]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse to smooth what the objective smooths already."""
        check_number(self, "weight")
        if share := getattr(objective, "label_smoothing", 0):
            msg = (
                f"LabelSmoothing smooths what model.objective.init_args.label_smoothing ({share:g}) does already; set "
                "that to 0, or leave the regularizer out"
            )
            raise RecipeError(msg)

    def penalty(self, forward: Forward) -> Term:
        """Sum of the divergences by loss weight, times the weight."""

        def term(chunk: Chunk) -> "Tensor":
            logits = forward.head(chunk.hidden).float()
            apart = logits.logsumexp(-1) - logits.mean(-1) - math.log(logits.shape[-1])
            # by its size: an objective that unlearns a token (a weight below 0) has no more use for certainty
            return apart @ chunk.weights.abs()

        return Term(self.weight * forward.total(term), "token")
