"""Where each row belongs, decided by the row as it was read and by earlier rows of its source."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.example import Example
from tunesmith.data.moments import moment
from tunesmith.data.near import NearDuplicateIndex
from tunesmith.data.rows import canonical
from tunesmith.data.sources import SplitName
from tunesmith.data.split import SPLITS, Place, Split, content_key, group_of
from tunesmith.errors import DataError
from tunesmith.nearest import did_you_mean


class Placing:
    """Places rows one after the other, by rules 1 and 2 of `split`.

    Args:
        split: How rows are split.
        fixed: By source, the split that it declares.
    """

    def __init__(self, split: Split, fixed: Mapping[str, SplitName | None]) -> None:
        self.split = split
        self.places: list[Place] = []
        self.moved = 0
        self.timeless = 0
        self._fixed = fixed
        self._columns: set[str] = set()
        self._strata: Counter[tuple[str, str]] = Counter()
        begins: dict[SplitName, tuple[str, float] | None] = {
            "test": moment(split.test_from),
            "validation": moment(split.validation_from),
        }
        self._begins = {name: begin for name, begin in begins.items() if begin is not None}
        self._moments: list[tuple[tuple[str, float], Any]] = []
        self._timed = 0
        self._index = None if split.near_duplicates is None else NearDuplicateIndex(split.near_duplicates)
        self._sources = array("i")
        self._numbers = {name: number for number, name in enumerate(fixed)}

    def note(self, example: Example, row: Mapping[str, Any]) -> None:
        """Place an example by its source, its row's columns, or its content; called for each in order."""
        self._columns.update(row)
        self.places.append(self._place(example, row, self._fixed[example.origin.source]))
        if self._index is not None:
            self._index.add(example)
            self._sources.append(self._numbers[example.origin.source])

    def numbers(self) -> dict[str, NDArray[Any]]:
        """The places as numbers that say of no row whose it is; `restored` makes them places again."""
        names: dict[str | None, int] = {None: -1}
        groups = [names.setdefault(at.group, len(names) - 1) for at in self.places]
        return {
            "split": np.array([SPLITS.index(at.split) for at in self.places], np.uint8),
            "fixed": np.array([at.fixed for at in self.places], np.bool_),
            "group": np.array(groups, np.int64),
        }

    def restore(self, numbers: Mapping[str, NDArray[Any]]) -> None:
        """Take places over that `numbers` gave; their groups are others than those of rows that come later."""
        columns = (numbers[name].tolist() for name in ("split", "fixed", "group"))
        self.places = [
            _place(SPLITS[split], fixed, None if group < 0 else f"{group}")
            for split, fixed, group in zip(*columns, strict=True)
        ]
        self._index = None if self.split.near_duplicates is None else NearDuplicateIndex(self.split.near_duplicates)

    def made(self, example: Example) -> Place:
        """Where an example belongs that a curator made."""
        return self._place(example, example.extras, None, made=True)

    def finish(self) -> None:
        """Put rows with the first row of their source that they resemble.

        Raises:
            DataError: A column is in no source, or points in time cannot be compared or are not chosen yet.
        """
        for key in ("keep_together", "by_time", "stratify"):
            self._check_column(key, getattr(self.split, key))
        if self.split.by_time:
            self._check_moments()
        if self._index is None:
            return
        for at, first in enumerate(self._index.first_alike(self._sources)):
            place = self.places[at]
            if first < 0 or place.fixed or place.group is not None:
                continue
            there = self.places[first].split
            if there != place.split:
                self.places[at] = _place(there, False, None)
                self.moved += 1

    def index(self, examples: Sequence[Example], as_read: Sequence[int]) -> NearDuplicateIndex | None:
        """Signatures of examples as they are now, in their order.

        Args:
            examples: The examples.
            as_read: The number of each among those that were noted, if it is the same as then, so that its signature is
                there; else -1.
        """
        if self._index is None:
            return None
        fresh = NearDuplicateIndex(self._index.threshold)
        order = array("q", as_read)
        for at, number in enumerate(as_read):
            if number < 0:
                order[at] = len(self._index) + len(fresh)
                fresh.add(examples[at])
        return self._index.joined(fresh).select(order)

    def _place(self, example: Example, row: Mapping[str, Any], fixed: SplitName | None, made: bool = False) -> Place:
        split = self.split
        group = group_of(row.get(split.keep_together)) if split.keep_together else None
        if fixed is not None:
            return _place(fixed, True, group)
        if split.by_time:
            return _place(self._by_time(row.get(split.by_time)), True, group)
        if split.stratify and not made:
            stratum = _stratum(example, row, split.stratify)
            number = self._strata[example.origin.source, stratum]
            self._strata[example.origin.source, stratum] += 1
            return _place(split.nth(stratum, number), False, group)
        return _place(split.of(f"group {group}" if group else f"row {content_key(example).hex()}"), False, group)

    def _by_time(self, value: Any) -> SplitName:
        at = moment(value)
        if at is None or any(begin[0] != at[0] for begin in self._begins.values()):
            self.timeless += 1
            return "train"
        self._timed += 1
        if not self._begins:
            self._moments.append((at, value))
        return next((name for name, begin in self._begins.items() if begin <= at), "train")

    def _check_column(self, key: str, name: str | None) -> None:
        if not name or name in self._columns or (key == "stratify" and name in ("label", "task")):
            return
        msg = (
            f"data.split.{key}: {name} is not a column of any source{did_you_mean(name, self._columns)}; "
            f"columns: {', '.join(sorted(self._columns))}"
        )
        raise DataError(msg)

    def _check_moments(self) -> None:
        split, key = self.split, f"data.split.by_time: {self.split.by_time}"
        if not self._timed:
            kinds = {kind for kind, _ in self._begins.values()} or {"number", "time"}
            said = {"number": "numbers", "time": "dates or times in ISO 8601 (2026-11-28, 2026-11-28T09:30:00Z)"}
            msg = f"{key} holds no {' and no '.join(said[kind] for kind in sorted(kinds))}"
            raise DataError(msg)
        if not self._begins:
            ordered = [value for _, value in sorted(self._moments, key=lambda pair: pair[0])]
            shares = {"validation_from": split.train, "test_from": split.train + split.validation}
            told = [f"{n}: {ordered[min(int(s * len(ordered)), len(ordered) - 1)]}" for n, s in shares.items() if s < 1]
            msg = (
                f"{key} says which rows are the latest, but not from where on they are held out; write that down, "
                f"so that rows which are added later move no other\nby the shares it is now {', '.join(told)}"
            )
            raise DataError(msg)


@lru_cache(maxsize=4096)  # one object for all rows of a place: a million of them take a hundred megabytes
def _place(split: SplitName, fixed: bool, group: str | None) -> Place:
    return Place(split, fixed, group)


def _stratum(example: Example, row: Mapping[str, Any], name: str) -> str:
    if name == "task":
        return example.task
    value = example.label if name == "label" and example.label is not None else row.get(name)
    return canonical(value)
