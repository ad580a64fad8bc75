"""Metrics of a whole test set that are computed from sums over its rows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith import Measure

Statistics = NDArray[np.float64]


def summed(
    name: str,
    statistics: Statistics,
    score: Callable[[Statistics], float],
    row_score: Callable[[Statistics], float] | None = None,
) -> Measure:
    """A measure whose value on rows is `score` of the sum of their statistics, and not the mean of their scores.

    Args:
        name: Of the measure.
        statistics: `[rows, numbers]`; a row of nan is left out.
        score: From `[numbers]`, the sum over some rows.
        row_score: The same of a single row, where it is another.
    """
    applies = ~np.isnan(statistics.sum(axis=1))
    known = np.where(applies[:, None], statistics, 0.0)

    def together(indices: Sequence[int]) -> float:
        rows = np.fromiter(indices, dtype=np.int64)
        return score(known[rows].sum(axis=0)) if applies[rows].any() else float("nan")

    single = row_score or score
    values = [single(row) if there else float("nan") for row, there in zip(known, applies, strict=True)]
    return Measure(name, values, corpus=together)
