"""Values of rows with one group in them less those of the same rows with another."""

import math
from collections.abc import Sequence

from tunesmith_plugins.audits.swapped_rows import SwappedRow

Values = tuple[Sequence[float], Sequence[float]]
"""Of the rows as they stand, and of their swaps."""


def contrasts(rows: Sequence[SwappedRow]) -> list[tuple[str, str]]:
    """Which groups are held against which: two against each other, more each against all that it is exchanged with."""
    known = [row for row in rows if row.group]
    pairs = {frozenset(row.pair) for row in known}
    groups = sorted({group for row in known for group in row.pair})
    return [(groups[0], groups[1])] if len(pairs) == 1 else [(group, "others") for group in groups]


def oriented(rows: Sequence[SwappedRow], values: Values, group: str) -> list[float]:
    """The value with a group less the value with the other one, of each row that is exchanged with it.

    Rows that name both groups say nothing of either, and rows without a value are left out.
    """
    found = []
    for row, before, after in zip(rows, *values, strict=True):
        if row.group and group in row.pair and not math.isnan(before - after):
            found.append(before - after if row.group == group else after - before)
    return found


def deviation(values: Values) -> float:
    """Standard deviation of all values, of rows and swaps alike; 0 of fewer than two."""
    held = [value for side in values for value in side if not math.isnan(value)]
    if len(held) < 2:
        return 0.0
    middle = math.fsum(held) / len(held)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in held) / (len(held) - 1))
