"""Unlikelihood: negative examples, what not to say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Chunk, Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term
from tunesmith_plugins.objectives.answers import apart, last_alone

if TYPE_CHECKING:
    from torch import Tensor


class Unlikelihood(Objective):
    """Cross-entropy of wanted answers, and the unlikelihood of unwanted ones; unit: token.

    A token t of an unwanted answer costs weight * -log(1 - p(t)), with the probability p that the model gives it there
    (Welleck et al. 2019, arXiv:1908.04319, equation 4); one of a wanted answer -log p(t), as in NextToken. What is
    unlikely already costs nothing, so that the model is not driven away from its base without end.

    Unwanted are the last answers of rows whose label is false (formatter UnpairedPreference), and the worse answers of
    preference pairs, whose better ones are wanted; all other rows are wanted. Of an unwanted answer its words count,
    not the token that ends it, which would teach to go on, nor what stands before it. Weights of turns, segments and
    spans hold, so that one wrong word of an answer can be unlearnt alone. Mix unwanted rows with wanted ones: by
    themselves they say nothing of what to say instead.

    Logged beside the loss, a token: `parts/wanted` and `parts/unwanted`, which add up to it.

    Since 0.13.

    Args:
        weight: Of the unlikelihood against the likelihood (the paper's alpha).
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both alike, and unwanted answers more."""
        return [cls(), cls(weight=2.0)]

    def logs(self) -> Sequence[str]:
        """What each kind costs."""
        return ("parts/wanted", "parts/unwanted")

    def check(self) -> None:
        """Refuse a weight that is not above 0.

        Raises:
            RecipeError: It is not.
        """
        if self.weight <= 0:
            msg = f"model.objective.init_args.weight is {self.weight}; it must be above 0"
            raise RecipeError(msg)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """One sequence, or the two of a pair.

        Raises:
            RowError: The example has no content.
        """
        if example.chosen and example.rejected:
            _, worse = apart(example.chosen, example.rejected)
            return [
                renderer.conversation(example.chosen, example.tools),
                _without_end(renderer.conversation(worse, example.tools)),
            ]
        unwanted = example.label is False
        if example.segments:
            found = renderer.text([(piece.text, piece.weight) for piece in example.segments])
            return [_without_end(found) if unwanted and example.segments[-1].weight else found]
        turns = example.messages or example.chosen
        if not turns:
            field = "messages"
            raise RowError(field, "the example has neither messages nor text")
        found = renderer.conversation(last_alone(turns) if unwanted else turns, example.tools)
        return [_without_end(found) if unwanted else found]

    def loss(self, forward: Forward) -> Term:
        """Sum over the tokens, in fp32."""
        unwanted = _unwanted(forward.batch)
        weights = forward.weights

        def costs(chunk: Chunk) -> "Tensor":
            from tunesmith_plugins.objectives.cross_entropy import cross_entropies

            logits, bad = forward.head(chunk.hidden), unwanted[chunk.sequence]
            found = chunk.weights.new_zeros(len(chunk.weights))
            found = found.index_put((~bad,), cross_entropies(logits[~bad], chunk.targets[~bad]))
            return found.index_put((bad,), self.weight * unlikelihood(logits[bad], chunk.targets[bad]))

        each = forward.each(costs) * weights
        total, bad = each.sum(), unwanted[forward.batch.sequence[forward.supervised]]
        parts = each.detach()
        return Term(total, "token", dict(zip(self.logs(), (parts[~bad].sum(), parts[bad].sum()), strict=True)))


def unlikelihood(logits: "Tensor", targets: "Tensor") -> "Tensor":
    """-log(1 - p) of each target, `[n]`, in fp32; finite and exact in its derivative for p near 0 and near 1.

    With the logit z of the target and those of all others, p is the sigmoid of l = z - log(sum of exp(others)), so that
    it is softplus(l).

    Args:
        logits: `[n, vocabulary]`.
        targets: Ids, `[n]`.
    """
    import torch
    import torch.nn.functional as F

    logits = logits.float()
    row = torch.arange(len(targets), device=targets.device)
    others = logits.index_put((row, targets), logits.new_tensor(float("-inf")))
    return F.softplus(logits[row, targets] - others.logsumexp(-1))


def _unwanted(batch: Any) -> "Tensor":
    """Which sequences are unwanted, `[n]`: the second of a pair, and those of rows whose label is false."""
    import torch

    owner = batch.sequence_example
    labels = torch.tensor([example.label is False for example in batch.examples], device=owner.device)
    second = torch.zeros_like(owner, dtype=torch.bool)
    second[1:] = owner[1:] == owner[:-1]
    return labels[owner] | second


def _without_end(sequence: Encoded) -> Encoded:
    """The sequence without a weight on the last token that has one."""
    last = max((at for at, weight in enumerate(sequence.weights) if weight), default=None)
    weights = tuple(0.0 if at == last else weight for at, weight in enumerate(sequence.weights))
    return replace(sequence, weights=weights)
