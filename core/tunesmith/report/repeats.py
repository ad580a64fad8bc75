"""Training rows that repeat others: word for word, nearly, or but for numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.example import Example
from tunesmith.data.near import NearDuplicateIndex
from tunesmith.data.split import content_key

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Repeats:
    """How many rows repeat another one; each row is counted once, as the closest kind.

    Args:
        rows: Rows that were compared with each other.
        exact: Rows that say what an earlier one says, case and white space aside.
        near: Rows that do not, but resemble one that repeats none itself, as `NearDuplicateIndex` finds them.
        numbers: Rows that are neither, but say what an earlier one says if all numbers are taken as equal.
    """

    rows: int
    exact: int
    near: int
    numbers: int

    @property
    def rate(self) -> float | None:
        """The share of rows that repeat another exactly or nearly, in [0, 1]; None without rows."""
        return (self.exact + self.near) / self.rows if self.rows else None


def repeats(examples: Sequence[Example]) -> Repeats:
    """Compare rows with each other.

    Args:
        examples: In the order of precedence: of rows that are alike the first repeats none.
    """
    index = NearDuplicateIndex()
    seen: set[bytes] = set()
    seen_without: set[bytes] = set()
    exact: set[int] = set()
    numbers: set[int] = set()
    for at, example in enumerate(examples):
        index.add(example)
        for key, known, found in (
            (content_key(example), seen, exact),
            (content_key(example.map_texts(lambda text: _DIGITS.sub("0", text))), seen_without, numbers),
        ):
            if key in known:
                found.add(at)
            known.add(key)
    near = {at for at, repeated in enumerate(index.repeats()) if repeated} - exact
    return Repeats(len(examples), len(exact), len(near), len(numbers - near - exact))
