"""Intervals for rows that are not independent: several were made from one template, or come in pairs."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

from tunesmith_plugins.audits.statistics import wilson

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

T = TypeVar("T")

_RESAMPLES = 2000


def by_turns(rows: Iterable[T], cluster: Callable[[T], Hashable]) -> list[T]:
    """One row of each cluster, then the second of each, and so on: the first few are of as many clusters as can be.

    Args:
        rows: In an order that is kept within a cluster, and of the first rows.
        cluster: Which cluster a row is of.
    """
    seen: Counter[Hashable] = Counter()
    turns = []
    for row in rows:
        turns.append((seen[of := cluster(row)], row))
        seen[of] += 1
    return [row for _, row in sorted(turns, key=lambda turn: turn[0])]


def effective(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Number of independent rows that would say as much about the mean as these do.

    The number of rows over the design effect (Kish 1965), which is the variance of the mean by clusters (linearised)
    over that of independent rows; never more than there are rows. Where all values are the same nothing tells how alike
    those of a cluster are: it is the number of clusters.

    Args:
        values: Of the rows, 0 to 1.
        clusters: Which cluster each row is of.
    """
    n = len(values)
    sums: defaultdict[Hashable, float] = defaultdict(float)
    if not n:
        return 0.0
    mean = math.fsum(values) / n
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    alone = math.fsum((value - mean) ** 2 for value in values) / n / n
    if len(sums) == n:
        return float(n)
    if len(sums) < 2 or alone < 1e-15:
        return float(len(sums))
    within = len(sums) / (len(sums) - 1) * math.fsum(total**2 for total in sums.values()) / n**2
    return n / max(1.0, within / alone)


def share(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """95 % interval of a share: Wilson's of the effective number of rows (as Korn and Graubard 1998 for exact ones).

    Args:
        values: Of the rows, 0 to 1; a half counts for both.
        clusters: Which cluster each row is of.
    """
    n = effective(values, clusters)
    return wilson(math.fsum(values) / len(values) * n if values else 0.0, n)


def bootstrap(
    rows: "Array | Sequence[Sequence[float]]",
    clusters: Sequence[Hashable],
    statistic: "Callable[[Array], Array]",
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """A statistic with its interval, by resampling whole clusters (percentiles of 2,000 draws).

    Percentiles are those of Hesterberg 2015 (https://doi.org/10.1080/00031305.2015.1089789, section 5.3), further out
    than usual, since resamples of few clusters vary too little: of 14 the usual 95 % leave out the truth in 11 %.

    Args:
        rows: What is summed over rows, `[rows, columns]`.
        clusters: Which cluster each row is of.
        statistic: From sums over rows, `[..., columns]`, to the value, `[...]`; nan where there is none.
        seed: Of the draws.
        level: Of the interval.

    Returns:
        Value, lower and upper end; nan where there are fewer than two clusters, or hardly a draw has a value.
    """
    import numpy as np

    table = np.asarray(rows, dtype=np.float64)
    if not len(table):
        return math.nan, math.nan, math.nan
    places = {cluster: at for at, cluster in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(places), table.shape[1]))
    np.add.at(sums, [places[cluster] for cluster in clusters], table)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(table.sum(axis=0)))
        if len(places) < 2:
            return value, math.nan, math.nan
        draws = np.random.default_rng(seed).multinomial(len(places), [1 / len(places)] * len(places), _RESAMPLES)
        found = np.asarray(statistic(draws.astype(np.float64) @ sums))
    held = found[np.isfinite(found)]
    if len(held) < _RESAMPLES / 2:
        return value, math.nan, math.nan
    tail = expanded_tail((1 - level) / 2, len(places))
    low, high = np.quantile(held, [tail, 1 - tail])
    return value, float(low), float(high)


def expanded_tail(tail: float, n: int) -> float:
    """The tail of resamples that has the size of Student's, of a mean of n: Phi(-sqrt(n / (n - 1)) t(1 - tail, n - 1)).

    Student's quantile is by the first terms of Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5).

    Args:
        tail: On one side, as of a normal distribution.
        n: How many independent parts are resampled, 2 or more.
    """
    z, v = NormalDist().inv_cdf(1 - tail), n - 1
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    t = z + math.fsum(term / v**power for power, term in enumerate(terms, 1))
    return NormalDist().cdf(-math.sqrt(n / v) * t)


def change(before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float, float]:
    """Mean of the change of paired values, with its 95 % interval (`bootstrap`)."""
    rows = [[late - early, 1.0] for early, late in zip(before, after, strict=True)]
    return bootstrap(rows, clusters, lambda sums: sums[..., 0] / sums[..., 1])
