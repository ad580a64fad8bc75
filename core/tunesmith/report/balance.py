"""How rows spread over labels, tasks, sources and the values of columns, by split."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.example import Example

# More values than this are no groups but names, numbers or texts.
_MOST = 20
_FEW = 5
_LONGEST = 60
_SKEWED = 10


@dataclass(frozen=True)
class Balance:
    """How rows spread over the values of one thing.

    Args:
        of: What: `label`, `task`, `source`, or a column's name.
        counts: By split, then by value: rows. A row with a list of values counts for each.
        missing: Rows of all splits without a value.
        effective: Values that would be as even if all were equally frequent: `exp(entropy)` of all splits' rows.
    """

    of: str
    counts: dict[str, dict[str, int]]
    missing: int
    effective: float

    @property
    def total(self) -> Counter[str]:
        """Rows of all splits by value, the most frequent first."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update(counts)
        return Counter(dict(total.most_common()))

    @property
    def skewed(self) -> bool:
        """Whether the most frequent value has ten times the rows of the rarest."""
        counts = self.total.values()
        return len(counts) > 1 and max(counts) >= _SKEWED * min(counts)


def balances(splits: Mapping[str, Sequence[Example]], leave_out: Iterable[str] = ()) -> list[Balance]:
    """The balance of label, task, source, and of every column that has a few values.

    Args:
        splits: Examples by split.
        leave_out: Columns that are not looked at.
    """
    fixed = {"label": _Counting(2 * _MOST), "task": _Counting(_MOST), "source": _Counting(1000)}
    columns: dict[str, _Counting] = {}
    left_out, rows = set(leave_out), 0
    for name, examples in splits.items():  # once through all: rows may lie on the disk
        for example in examples:
            rows += 1
            fixed["label"].add(name, example.label)
            fixed["task"].add(name, example.task)
            fixed["source"].add(name, example.origin.source)
            for column, value in example.extras.items():
                if column not in columns:
                    columns[column] = _Counting(_MOST)
                columns[column].add(name, value)
    counted = [*fixed.items(), *((column, its) for column, its in columns.items() if column not in left_out)]
    found = [its.balance(of, splits, rows) for of, its in counted]
    return [balance for balance in found if balance is not None]


class _Counting:
    """Counts values of one thing, until there are too many or too long ones.

    Args:
        most: Values at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, Counter[str]] = {}
        self._seen: set[str] = set()
        self._with_value = 0
        self._is_none = False

    def add(self, split: str, value: Any) -> None:
        """Count a row."""
        if self._is_none:
            return
        values = dict.fromkeys(_values(value))
        self._with_value += bool(values)
        self._counts.setdefault(split, Counter()).update(values.keys())
        self._seen.update(values)
        self._is_none = len(self._seen) > self._most or any(len(text) > _LONGEST for text in values)

    def balance(self, of: str, splits: Iterable[str], rows: int) -> Balance | None:
        """The balance of so many rows; None where the values are no groups, as one row a value is none."""
        if self._is_none or len(self._seen) < 2 or rows < _FEW or rows < 2 * len(self._seen):
            return None
        counts = {name: dict(self._counts.get(name, Counter()).most_common()) for name in splits}
        return Balance(of, counts, rows - self._with_value, _effective(counts))


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _values(part)
    elif isinstance(value, bool | int | float | str):
        text = str(value).strip()
        if text:
            yield text


def _effective(counts: Mapping[str, Mapping[str, int]]) -> float:
    total: Counter[str] = Counter()
    for split in counts.values():
        total.update(split)
    whole = total.total()
    return math.exp(-sum(n / whole * math.log(n / whole) for n in total.values() if n))
