"""Makes predictions the same where one group takes the place of another."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from tunesmith import Adapter, Chunk, Example, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.fairness.exchange import Exchange
from tunesmith_plugins.regularizers.alignment import aligned
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor, nn

_SEEN = 1000


class CounterfactualConsistency(Regularizer):
    """Divergence between a row and the same row about another group; unit: token, or example of a head for classes.

    Each row is swapped as `CounterfactualAugment` does it, prompt and answer alike, and read by the model in a second
    pass. At each position that predicts a token with a loss weight which both have, with the distributions p and q over
    the vocabulary given the row and given its swap,

        weight / 2 * (KL(p || q) + KL(q || p))

    Gradients go through both passes. It is the pairing of counterfactual logits (Garg et al. 2019, arXiv:1809.10610),
    on distributions as Huang et al. 2020 (arXiv:1911.03064) do it for language models. Where an objective trains a head
    for classes, p and q are those of the row's class, or of each class where it may be of several. The labels of
    swapped rows are never learnt: only their difference counts, so that `CounterfactualAugment` may go with it.

    Tokens of row and swap are aligned by what they share. Positions whose own token is swapped (`he` in an answer, a
    name) are left out: there another prediction is right. Rows that name no group, that say what holds of one alone,
    or that are cut into pieces have no swap; they cost nothing, but count among the tokens that the sum is divided by.
    Dropout draws anew in the second pass, so that it counts as a difference, as in `RDrop`. Time and memory grow by
    the share of rows that have a swap, at most twice.

    Logged beside it, of tokens or rows: `compared`, the share that had a counterpart.

    Since 0.13.

    Args:
        weight: Factor of the divergence, in nats a token (or row).
        category: Of the lexicon: gender, age, religion, origin, ethnicity, disability, socioeconomic.
        groups: Two groups that are exchanged; if None those that the lexicon compares where these are two, else the
            group that a row names most with another one, drawn anew in each epoch.
        names: Whether given names (of gender) or surnames (of ethnicity) are exchanged too, where they are sure.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    model_classes: ClassVar[frozenset[Literal["causal", "masked", "classification"]]] = frozenset(
        {"causal", "classification"}
    )

    def __init__(
        self,
        weight: float = 1.0,
        category: str = "gender",
        groups: list[str] | None = None,
        names: bool = True,
        lexicon: Path | None = None,
    ) -> None:
        self.weight = weight
        self.category = category
        self.groups = groups
        self.names = names
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Of two groups, and of one of many with another."""
        return [cls(), cls(category="age")]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse a weight that would drive row and swap apart, and groups that cannot be exchanged.

        Raises:
            RecipeError: One is so.
            DataError: The lexicon cannot be read.
        """
        check_number(self, "weight")
        self._made().check()
        self._classes = objective.model_class == "classification"
        self._several = objective.base_config().get("problem_type") == "multi_label_classification"

    def setup(self, model: "nn.Module") -> None:
        """Read the lexicon; nothing was seen yet."""
        self._exchange = self._made()
        self._seen, self._swapped = 0, 0

    def logs(self) -> tuple[str, ...]:
        """The share of positions that could be compared."""
        return ("compared",)

    def penalty(self, forward: Forward) -> Term:
        """Sum of both divergences at the positions that row and swap share, times half the weight.

        Raises:
            RecipeError: None of many rows has a swap.
        """
        import torch

        unit: Literal["token", "example"] = "example" if self._classes else "token"
        second = forward.over(self._swaps(forward))
        if second is None:
            nothing = forward.hidden.new_zeros((), dtype=torch.float32)
            return Term(nothing, unit, {"compared": nothing})
        here, there = _partners(forward, second, self._classes)
        if self._classes:
            p, q = (one.head(one.pooled()).float() for one in (forward, second))
            total = _of_classes(p[here], q[there], self._several)
        else:

            def term(chunk: Chunk, other: Chunk) -> "Tensor":
                p, q = (one.head(part.hidden).float() for one, part in ((first, chunk), (then, other)))
                return _divergence(p.log_softmax(-1), q.log_softmax(-1)).sum()

            first, then = forward.at(here), second.at(there)
            total = first.total(term, then)
        compared = torch.tensor(float(len(here)), device=total.device)
        return Term(self.weight / 2 * total, unit, {"compared": compared})

    def _made(self) -> Exchange:
        return Exchange(type(self).__name__, self.category, self.groups, self.names, self.lexicon)

    def _swaps(self, forward: Forward) -> list[Example]:
        """What is made of the rows of a pass that name a group.

        Raises:
            RecipeError: None of many rows does.
        """
        window = forward.batch.window
        made = []
        for example in forward.batch.examples:
            pair = self._exchange.pair(example, window.epoch if window else 0)
            swap = self._exchange.made(example, pair) if pair else None
            if swap is not None:
                made.append(swap)
        self._seen += len(forward.batch.examples)
        self._swapped += len(made)
        if self._seen >= _SEEN and not self._swapped:
            msg = (
                f"none of {self._seen:,} rows names a group of {self.category}, so that nothing is compared\n"
                "choose another category, add words by lexicon, or leave CounterfactualConsistency out"
            )
            raise RecipeError(msg)
        return made


def _partners(forward: Forward, second: Forward, classes: bool) -> "tuple[Tensor, Tensor]":
    """Where a pass and that over the swaps say something of the same: positions, or sequences."""
    import torch

    at = {} if second.batch.ghost else {example.id: row for row, example in enumerate(second.batch.examples)}
    mine, theirs = _sequences(forward), _sequences(second)
    learned = set(forward.supervised.tolist())
    here: list[int] = []
    there: list[int] = []
    for row, example in enumerate(forward.batch.examples):
        if example.id not in at:
            continue
        for (number, start, ids), (other, begin, swapped) in zip(mine[row], theirs[at[example.id]], strict=False):
            if classes:
                here, there = [*here, number], [*there, other]
                continue
            pairs = [(start + a - 1, begin + b - 1) for a, b in aligned(ids, swapped) if a and b]
            here += [a for a, _ in pairs if a in learned]
            there += [b for a, b in pairs if a in learned]
    device = forward.hidden.device
    return tuple(torch.tensor(found, dtype=torch.int64, device=device) for found in (here, there))  # type: ignore[return-value]


def _sequences(forward: Forward) -> dict[int, list[tuple[int, int, list[int]]]]:
    """Of each row its sequences: number, first token's place, and ids."""
    batch = forward.batch
    ids, ends = batch.input_ids.tolist(), batch.cu_seqlens.tolist()
    found: dict[int, list[tuple[int, int, list[int]]]] = {row: [] for row in range(len(batch.examples))}
    for number, row in enumerate(batch.sequence_example.tolist()):
        start, end = ends[number], ends[number + 1]
        found[row].append((number, start, ids[start:end]))
    return found


def _of_classes(p: "Tensor", q: "Tensor", several: bool) -> "Tensor":
    """Sum over rows of the divergences of their classes; of several at once, the mean over the classes."""
    import torch.nn.functional as F

    if not several:
        return _divergence(p.log_softmax(-1), q.log_softmax(-1)).sum()
    both = sum(_divergence(F.logsigmoid(sign * p), F.logsigmoid(sign * q)) for sign in (1, -1))
    return both.mean(-1).sum()  # type: ignore[union-attr]


def _divergence(p: "Tensor", q: "Tensor") -> "Tensor":
    """KL(p || q) + KL(q || p) of log-probabilities, outcome by outcome."""
    return (p.exp() - q.exp()) * (p - q)
