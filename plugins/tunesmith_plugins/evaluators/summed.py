"""Metrics of a whole test set that are computed from sums over its rows."""

from collections.abc import Callable, Sequence
from typing import Any

from tunesmith import Measure

Statistics = Any
"""Numbers in a numpy array, float64; numpy is loaded where it is used, since `plugins list` loads evaluators."""


def summed(
    name: str,
    statistics: Statistics,
    score: Callable[[Statistics], float],
    row_score: Callable[[Statistics], float] | None = None,
    higher_is_better: bool = True,
) -> Measure:
    """A measure whose value on rows is `score` of the sum of their statistics, and not the mean of their scores.

    Args:
        name: Of the measure.
        statistics: `[rows, numbers]`; a row of nan is left out.
        score: From `[numbers]`, the sum over some rows.
        row_score: The same of a single row, where it is another.
        higher_is_better: The direction in which an improvement lies.
    """
    import numpy as np

    applies = ~np.isnan(statistics.sum(axis=1))
    known = np.where(applies[:, None], statistics, 0.0)

    def together(indices: Sequence[int]) -> float:
        rows = np.asarray(indices, dtype=np.int64)
        return score(known[rows].sum(axis=0)) if applies[rows].any() else float("nan")

    single = row_score or score
    values = [single(row) if there else float("nan") for row, there in zip(known, applies, strict=True)]
    return Measure(name, values, higher_is_better, corpus=together)
