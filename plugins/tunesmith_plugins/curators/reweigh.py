"""Reweigh: loss weights by which label and group are independent."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

from tunesmith import Curator, DataError, Example, Message, RecipeError, Record, did_you_mean
from tunesmith_plugins.audits.groups import Grouping, columns_of, label_of, refuse_unread


class Reweigh(Curator):
    """Weighs training rows so that label and group are independent (Kamiran, Calders 2012).

    A row of group g with label y weighs P(g) P(y) / P(g, y), from the counts of the training rows: more than 1 where a
    group has a label more seldom than if the two had nothing to do with each other, less where more often. Weighted,
    each group has each label as often as all rows have it, and the weights' sum is the number of rows (Knowledge and
    Information Systems 33, https://doi.org/10.1007/s10115-011-0463-8).

    The loss of a row's assistant turns, or of segments with a weight, is multiplied by it, beside a weight that they
    have; of a text with a class (objective Classification) that of the class is. Of a row that is weighed only these
    are learnt, also under `supervise: all`. Rows that name no group of the category, or several, or have no label,
    weigh what they did; so do preference pairs, whose loss is no sum over tokens, and rows with neither answer nor
    text. No row is added or dropped; a group that never has a
    label cannot be given it, which is said.

    Since 0.13.

    Args:
        group: Column with the group; if None the words of `category` tell it.
        category: Of the lexicon.
        label: `label` for the examples' own, `answer` for their last answer, or a column.
        most: No row weighs more than this: a single row of a rare kind would be learnt by heart.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    scope = "train"

    def __init__(
        self,
        group: str | None = None,
        category: str = "gender",
        label: str = "label",
        most: float = 10.0,
        lexicon: Path | None = None,
    ) -> None:
        self.group = group
        self.category = category
        self.label = label
        self.most = most
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words and the answer, and by columns."""
        return [cls(label="answer"), cls("group", label="score")]

    def check(self) -> None:
        """Refuse a bound below 1, and a category that is not there.

        Raises:
            RecipeError: One is so.
            DataError: The lexicon cannot be read.
        """
        if self.most < 1:
            msg = f"most is {self.most}; it is 1 or more, since rows weigh 1 on average"
            raise RecipeError(msg)
        if self.group is not None:
            refuse_unread(type(self).__name__, "group names a column", lexicon=self.lexicon)
        self._grouping()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Weigh the rows.

        Raises:
            DataError: `group` or `label` names a column that no row has.
        """
        held, grouping = list(examples), self._grouping()
        columns = columns_of(held)
        for option, name, fixed in (("group", self.group, []), ("label", self.label, ["label", "answer"])):
            if held and name is not None and name not in [*fixed, *columns]:
                known = [*fixed, *columns]
                near = did_you_mean(name, known)
                msg = f"{option}: {name} is no column of the training rows{near}; one of {', '.join(known) or 'none'}"
                raise DataError(msg)
        cells = [self._cell(example, grouping) for example in held]
        weights = _weights(Counter(cell for cell in cells if cell))
        if weights:
            missing = len({g for g, _ in weights}) * len({y for _, y in weights}) - len(weights)
            over = sum(weight > self.most for weight in weights.values())
            if missing:
                record.remark(f"{missing} pairs of {grouping.name} and label have no row: no weight evens them out")
            if over:
                record.remark(f"{over} pairs of {grouping.name} and label would weigh more than {self.most:g}")
        elif held:
            record.remark(f"no training row has both a {grouping.name} and a label, so none is weighed")
        for example, cell in zip(held, cells, strict=True):
            weight = min(weights[cell], self.most) if cell else 1.0
            if weight == 1:
                yield example
                continue
            record.change(example, "weighed")
            yield _weighed(example, weight)

    def _grouping(self) -> Grouping:
        return Grouping(type(self).__name__, self.group, self.category, self.lexicon)

    def _cell(self, example: Example, grouping: Grouping) -> tuple[str, str] | None:
        """Group and label of a row that can be weighed."""
        learnt = any(turn.role == "assistant" or turn.weight for turn in example.messages)
        if not learnt and not any(piece.weight for piece in example.segments):
            return None
        group, label = grouping.of(example), label_of(example, self.label)
        return (group, label) if group is not None and label is not None else None


def _weights(counts: Counter[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """P(g) P(y) / P(g, y) of each pair that has rows."""
    groups: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for (group, label), number in counts.items():
        groups[group] += number
        labels[label] += number
    total = counts.total()
    return {(g, y): groups[g] * labels[y] / (total * number) for (g, y), number in counts.items()}


def _weighed(example: Example, weight: float) -> Example:
    def turn(one: Message) -> Message:
        own = one.weight if one.weight is not None else (1.0 if one.role == "assistant" else None)
        return replace(one, weight=own * weight) if own else one

    pieces = tuple(replace(piece, weight=piece.weight * weight) for piece in example.segments)
    return example.with_(messages=tuple(map(turn, example.messages)), segments=pieces)
