"""How long rows are, in tokens: the usual percentiles and a histogram that a person can read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BINS = 24
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Lengths:
    """How long rows are.

    Args:
        rows: Number of rows.
        total: Tokens of all rows.
        percentiles: By percent (0, 5, 50, 95, 99, 100): tokens, by numpy's linear interpolation.
        edges: Edges of the histogram's bins, in tokens; the last bin holds its upper edge too.
        counts: Rows in each bin; one fewer than edges.
    """

    rows: int
    total: int
    percentiles: dict[int, float]
    edges: list[float]
    counts: list[int]


def lengths(values: Sequence[int], edges: Sequence[float] | None = None) -> Lengths:
    """Measure lengths.

    Args:
        values: Tokens of each row.
        edges: Edges of the bins; without them some 24 bins of a round width, as `round_edges` makes them.
    """
    edges = list(edges) if edges is not None else round_edges(values)
    counts, _ = np.histogram(values, edges)
    points = (0, 5, 50, 95, 99, 100)
    found = np.percentile(values, points) if len(values) else [math.nan] * len(points)
    return Lengths(
        len(values),
        int(sum(values)),
        {point: float(value) for point, value in zip(points, found, strict=True)},
        edges,
        [int(count) for count in counts],
    )


def round_edges(values: Sequence[int]) -> list[float]:
    """Edges from 0 to the longest, apart by 1, 2 or 5 times a power of ten; 24 bins at most.

    Where a few rows are very long, the last bin holds all that is longer than four times the 95th percentile.
    """
    longest = max(values, default=1)
    far = 4 * float(np.percentile(values, 95)) if len(values) else 1.0
    end = min(longest, max(far, 1.0))
    width = next(
        step * 10**power for power in range(12) for step in _STEPS if step * 10**power * _BINS >= end
    )  # 5e11 tokens would be needed to find none
    edges = [float(width * at) for at in range(math.ceil(end / width) + 1)]
    if edges[-1] < longest:
        edges.append(float(longest))
    return edges
