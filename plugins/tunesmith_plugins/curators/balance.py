"""Balance: no group so large that the others are not learnt."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from tunesmith import Curator, DataError, Example, RecipeError, Record, did_you_mean
from tunesmith_plugins.audits.groups import Grouping, refuse_unread

_KINDS = ("label", "task")
_LEXICON = "lexicon:"


class Balance(Curator):
    """Makes groups of training rows alike in size: rows of large groups are dropped, or those of small ones repeated.

    Which rows is drawn by the recipe's seed and the row's id, so that rows which are added change little. Rows without
    a value are left alone. Copies get ids of their own and stand behind their row.

    Since 0.9.

    Args:
        by: What makes a group: `label`, `task`, a column of the rows, or `lexicon:gender` (or another category of the
            audits' lexicon): the one group that a row's texts name; those that name none or several are left alone.
        ratio: The largest group may have at most so many times the rows of the smallest, 1 or more.
        method: `cap` drops rows of groups that are larger; `repeat` copies rows of groups that are smaller.
        most_copies: A row is repeated at most so many times, even if its group stays small.
        lexicon: With `lexicon:`, JSON file whose categories are added to the built-in ones or replace them. Since 0.13.
    """

    scope = "train"

    def __init__(
        self,
        by: str = "label",
        ratio: float = 2.0,
        method: Literal["cap", "repeat"] = "cap",
        most_copies: int = 3,
        lexicon: Path | None = None,
    ) -> None:
        self.by = by
        self.ratio = ratio
        self.method = method
        self.most_copies = most_copies
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By label, task, a column and words, both ways."""
        return [
            cls(ratio=1.0),
            cls("task", method="repeat"),
            cls("group", 1.5, "repeat", 1),
            cls("lexicon:gender", 1.0),
        ]

    def check(self) -> None:
        """Refuse a ratio below 1, and copies that are none.

        Raises:
            RecipeError: One is; or the lexicon has no such category.
        """
        if self.ratio < 1:
            msg = f"ratio is {self.ratio}; the largest group has at least 1 times the rows of the smallest"
            raise RecipeError(msg)
        if self.most_copies < 1:
            msg = f"most_copies is {self.most_copies}; 1 or more are needed"
            raise RecipeError(msg)
        if not self.by.startswith(_LEXICON):
            refuse_unread(type(self).__name__, f"by is {self.by}", lexicon=self.lexicon)
        self._grouping()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Drop or repeat rows.

        Raises:
            DataError: `by` names a column that no row has.
        """
        held, grouping = list(examples), self._grouping()
        groups: dict[str, list[Example]] = defaultdict(list)
        for example in held:
            value = grouping.of(example) if grouping else self._value(example)
            if value is not None:
                groups[value].append(example)
        if held and not grouping and self.by not in _KINDS and not any(self.by in example.extras for example in held):
            columns = sorted({name for example in held for name in example.extras})
            near = did_you_mean(self.by, [*_KINDS, *columns])
            known = ", ".join([*_KINDS, *columns])
            msg = f"by: {self.by} is no column of the training rows{near}; one of {known}"
            raise DataError(msg)
        if held and not groups:
            record.remark(f"no training row has a {grouping.name if grouping else self.by}, so none is balanced")
        drawn = {key: sorted(group, key=lambda one: _draw(one, record.seed)) for key, group in groups.items()}
        yield from self._capped(held, drawn, record) if self.method == "cap" else self._repeated(held, drawn, record)

    def _grouping(self) -> Grouping | None:
        """What tells a row's group by its words; None where `by` is no category of the lexicon."""
        if not self.by.startswith(_LEXICON):
            return None
        return Grouping(type(self).__name__, None, self.by.removeprefix(_LEXICON), self.lexicon)

    def _capped(self, held: list[Example], drawn: dict[str, list[Example]], record: Record) -> Iterator[Example]:
        most = int(self.ratio * min(map(len, drawn.values()), default=0))
        gone = {example.id for group in drawn.values() for example in group[most:]}
        for example in held:
            if example.id in gone:
                record.drop(example, "of a large group")
            else:
                yield example

    def _repeated(self, held: list[Example], drawn: dict[str, list[Example]], record: Record) -> Iterator[Example]:
        largest = max(map(len, drawn.values()), default=0)
        copies: dict[str, int] = {}
        for group in drawn.values():
            missing = min(_least(largest, self.ratio) - len(group), self.most_copies * len(group))
            for at, example in enumerate(group):
                copies[example.id] = max(0, (missing - at - 1) // len(group) + 1)
        taken = {example.id for example in held}
        for example in held:
            yield example
            number = 0
            for _ in range(copies.get(example.id, 0)):
                number = next(n for n in range(number + 1, number + len(held) + 2) if f"{example.id}+{n}" not in taken)
                copy = example.with_(id=f"{example.id}+{number}")
                record.add(copy, "repeated for a small group")
                yield copy

    def _value(self, example: Example) -> str | None:
        value: Any = example.label if self.by == "label" else example.extras.get(self.by)
        if self.by == "task":
            value = example.task or None
        return None if value is None or value == "" else json.dumps(value, sort_keys=True, default=str)


def _draw(example: Example, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{example.id}".encode(), digest_size=16).digest()


def _least(largest: int, ratio: float) -> int:
    """The fewest rows of which `ratio` times as many are `largest`: in integers, since 19 // 1.9 is 9."""
    rows = int(largest / ratio)
    while rows * ratio < largest:
        rows += 1
    while rows > 1 and (rows - 1) * ratio >= largest:
        rows -= 1
    return rows
