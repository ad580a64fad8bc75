"""The proof that a curator lost, made and changed nothing without a record (trap 38)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from tunesmith.data.example import Example

OUT_OF_ORDER = "changes the order of the examples"


class Recorded(Protocol):
    """What a curator recorded: ids, in the order of its words."""

    dropped: list[str]
    added: list[str]
    changed: set[str]


class Account:
    """What went into a curator and what came out, by id.

    Args:
        ids: Of the examples that went in, in order.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._index = {key: at for at, key in enumerate(ids)}
        self._out = bytearray(len(self._index))
        self._new: dict[str, None] = {}
        self._twice: list[str] = []
        self._last = -1
        self.in_order = True

    def out(self, example: Example) -> int | None:
        """Note that an example came out; returns its place among those that went in, if it was there."""
        at = self._index.get(example.id)
        if self._out[at] if at is not None else example.id in self._new:
            self._twice.append(example.id)
        if at is None:
            self._new[example.id] = None
            return None
        self._out[at] = 1
        self.in_order &= at > self._last
        self._last = at
        return at

    def wrong(self, recorded: Recorded) -> str:
        """What is not accounted for, as the rest of a sentence about the curator; empty where all is."""
        if self._twice:
            return f"returns id {self._twice[0]} twice"
        if len(set(recorded.dropped)) < len(recorded.dropped):
            return f"records the drop of {_twice(recorded.dropped)} twice"
        gone = {key for key, at in self._index.items() if not self._out[at]}
        if set(recorded.dropped) != gone:
            return _mismatch("drop", "drops", gone, set(recorded.dropped))
        if set(recorded.added) != self._new.keys() or len(recorded.added) != len(set(recorded.added)):
            return _mismatch("addition", "makes", set(self._new), set(recorded.added))
        return ""


def problem(before: Sequence[Example], after: Sequence[Example], recorded: Recorded) -> str:
    """What a curator did without a record, as the rest of a sentence about it; empty where all is accounted for."""
    account = Account(example.id for example in before)
    places = [account.out(example) for example in after]
    if wrong := account.wrong(recorded):
        return wrong
    for at, example in zip(places, after, strict=True):
        if at is not None and (wrong := difference(before[at], example, example.id in recorded.changed)):
            return wrong
    return "" if account.in_order else OUT_OF_ORDER


def difference(old: Example, new: Example, is_recorded: bool) -> str:
    """What became of an example that should not, as `problem` says it."""
    if new.origin != old.origin:
        return f"changes the origin of {new.id}"
    if not is_recorded and new is not old and new != old:
        return f"changes {new.id} without a record"
    return ""


def _twice(ids: Sequence[str]) -> str:
    return next(key for key, count in Counter(ids).items() if count > 1)


def _mismatch(what: str, does: str, real: set[str], recorded: set[str]) -> str:
    if real - recorded:
        return f"{does} {len(real - recorded)} examples without a record (first: {min(real - recorded)})"
    wrong = recorded - real
    if wrong:
        return f"records the {what} of {len(wrong)} examples where there was none (first: {min(wrong)})"
    return f"records the {what} of one example twice"
