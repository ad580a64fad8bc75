"""Whether a model is as often right as it is sure."""

import math
from collections.abc import Sequence
from typing import Any

from tunesmith import Measure

BINS = 15


def calibration(shares: Any, gold: Any, note: str = "") -> list[Measure]:
    """`calibration_error` and `brier` of rows.

    The error is the expected one of Guo et al. 2017: rows are put into bins by the probability of the likeliest class,
    each open below and closed above; it is the mean over rows of the gap between how often their bin is right and how
    sure it is.

    Args:
        shares: Probabilities, `[rows, classes]` in numpy; a row of nan is left out.
        gold: The right class of each row, negative where there is none.
        note: Of both measures.
    """
    import numpy as np

    known = (gold >= 0) & ~np.isnan(shares).any(axis=1)
    safe = np.where(known[:, None], shares, 0.0)
    sure, right = safe.max(axis=1), (safe.argmax(axis=1) == gold).astype(np.float64)
    bins = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = right - sure

    def together(indices: Sequence[int]) -> float:
        rows = np.asarray(indices, dtype=np.int64)
        rows = rows[known[rows]]
        if not len(rows):
            return math.nan
        # the rows of a bin times the gap between its means is the sum of its rows' gaps
        return float(np.abs(np.bincount(bins[rows], gaps[rows], BINS)).sum() / len(rows))

    wanted = np.arange(shares.shape[1]) == gold[:, None]
    squares = np.where(known, ((safe - wanted) ** 2).sum(axis=1), math.nan)
    alone = np.where(known, np.abs(gaps), math.nan)
    return [
        Measure("calibration_error", alone.tolist(), higher_is_better=False, corpus=together, note=note),
        Measure("brier", squares.tolist(), higher_is_better=False, note=note),
    ]
