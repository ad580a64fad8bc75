"""How rows spread over labels, tasks, sources and the values of columns, by split."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    found = [
        _balance("label", splits, lambda e: e.label, most=2 * _MOST),
        _balance("task", splits, lambda e: e.task or None),
        _balance("source", splits, lambda e: e.origin.source or None, most=1000),
    ]
    names = dict.fromkeys(name for examples in splits.values() for e in examples for name in e.extras)
    found += [_balance(name, splits, _column(name)) for name in names if name not in set(leave_out)]
    return [balance for balance in found if balance is not None]


def _column(name: str) -> Callable[[Example], Any]:
    return lambda example: example.extras.get(name)


def _balance(
    of: str, splits: Mapping[str, Sequence[Example]], value: Callable[[Example], Any], most: int = _MOST
) -> Balance | None:
    counts: dict[str, dict[str, int]] = {}
    missing = rows = 0
    seen: set[str] = set()
    for name, examples in splits.items():
        counter: Counter[str] = Counter()
        for example in examples:
            rows += 1
            values = list(_values(value(example)))
            missing += not values
            counter.update(dict.fromkeys(values, 1))
            if any(len(text) > _LONGEST for text in values):
                return None
            seen.update(values)
            if len(seen) > most:
                return None
        counts[name] = dict(counter.most_common())
    # One row a value is no group either.
    if len(seen) < 2 or rows < _FEW or rows < 2 * len(seen):
        return None
    return Balance(of, counts, missing, _effective(counts))


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
