"""How far numbers of two, or of many, agree: Spearman's rank correlation, Krippendorff's alpha."""

import math
from collections.abc import Iterable, Sequence
from typing import Any


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Spearman's rho (1904): the correlation of ranks, ties with their mean rank; nan where one is constant."""
    import numpy as np

    ranks = [mean_ranks(values) for values in (one, two)]
    if len(one) < 2 or any(float(np.ptp(r)) == 0 for r in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def krippendorff(units: Iterable[Sequence[float]], *, interval: bool = False) -> float:
    """Krippendorff's alpha: 1 where raters agree in all, 0 where they agree as by chance, below it where less.

    `1 - D_o / D_e`, the observed over the expected disagreement of two values: `D_o` of two of one thing, each thing
    weighing as many values as it has, and `D_e` of any two. Raters may be any, and have left things out (K.
    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011).

    Args:
        units: The ratings of each thing; those with fewer than two say nothing.
        interval: Whether two values disagree by the square of their difference, as minutes do, and not by the square
            of the number of ratings between them (ordinal), as grades do.

    Returns:
        Alpha; nan where no thing has two ratings, or all ratings are alike.
    """
    import numpy as np

    paired = [unit for unit in units if len(unit) > 1]
    if not paired:
        return math.nan
    values = np.concatenate([np.asarray(unit, dtype=np.float64) for unit in paired])
    # values between two, half of those at both ends counted: the difference of their mean ranks
    scale = values if interval else mean_ranks(values)
    scale = scale - scale.mean()
    ends = np.cumsum([len(unit) for unit in paired])
    # the sum of squared differences of n values, each pair twice, is 2 (n sum v^2 - (sum v)^2)
    observed = math.fsum(_pairs(part) / (len(part) - 1) for part in np.split(scale, ends[:-1])) / len(scale)
    expected = _pairs(scale) / (len(scale) * (len(scale) - 1))
    return 1 - observed / expected if expected > 0 else math.nan


def mean_ranks(values: Any) -> Any:
    """Ranks from 1; equal values have the mean of theirs."""
    import numpy as np

    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _pairs(values: Any) -> float:
    return float(2 * (len(values) * (values**2).sum() - values.sum() ** 2))
