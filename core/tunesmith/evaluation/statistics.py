"""Paired statistics of two models on the same rows: intervals, p-values, their correction, effect sizes, power."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.measure import Measure

RESAMPLES = 2_000
FLIPS = 10_000
CONFIDENCE = 0.95
POWER = 0.8
ENOUGH = 20
"""Fewer rows than this give no interval: a bootstrap of so few is too narrow."""
Floats = NDArray[np.float64]
_EXACT_UP_TO = 14
_AT_ONCE = 2**22


def resampled(measures: Sequence[Measure], seed: int, resamples: int = RESAMPLES) -> list[Floats]:
    """Values of metrics on resamples of the rows, drawn with replacement, the same rows for all.

    Paired bootstrap (Efron and Tibshirani, 1993; for metrics of generated text Koehn, 2004, EMNLP). Metrics that are
    no means are computed anew on each resample.

    Args:
        measures: Values of the same rows in the same order.
        seed: Of the draws.
        resamples: Number of draws.

    Returns:
        One `[resamples]` a measure; nan where a resample holds no row that a metric applies to.
    """
    random = np.random.default_rng(seed)
    n = len(measures[0].values)
    out = [np.empty(resamples) for _ in measures]
    step = max(1, _AT_ONCE // max(1, n))
    for start in range(0, resamples, step):
        rows = random.integers(0, n, size=(min(step, resamples - start), n))
        for values, measure in zip(out, measures, strict=True):
            values[start : start + len(rows)] = _values(measure, rows)
    return out


def bootstrap(tuned: Measure, base: Measure, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Differences `tuned - base` on resamples of the rows; args and result as `resampled`."""
    mine, theirs = resampled([tuned, base], seed, resamples)
    return mine - theirs


def percentiles(values: Floats, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """The interval of resampled values; None where more than half of the resamples have none."""
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2 or not len(known):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def sign_flip(differences: Floats, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p-value of a mean of paired differences, by flipping their signs (Fisher, 1935).

    Under the null hypothesis it is chance which of the two models made which output of a row. All sign patterns are
    enumerated where the pairs that differ are few, else drawn, with the observed one counted in (Phipson and Smyth,
    2010, doi:10.2202/1544-6115.1585).

    Args:
        differences: `[n]`, no nan.
        seed: Of the drawn patterns.
        flips: Number of drawn patterns.

    Returns:
        The p-value; 1 where nothing differs.
    """
    moved = differences[differences != 0]
    k = len(moved)
    if k == 0:
        return 1.0
    # Sums in another order differ in their last bits; equal ones must count as equal.
    limit = abs(float(moved.sum())) - 1e-9 * float(np.abs(moved).sum())
    if k <= _EXACT_UP_TO:
        patterns = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ moved) >= limit))
    random = np.random.default_rng(seed)
    extreme = 0
    step = max(1, _AT_ONCE // k)
    for start in range(0, flips, step):
        signs = 1 - 2 * random.integers(0, 2, size=(min(step, flips - start), k), dtype=np.int8)
        extreme += int((np.abs(signs @ moved) >= limit).sum())
    return (extreme + 1) / (flips + 1)


def inverted(differences: Floats) -> float | None:
    """Two-sided p-value of a metric that cannot be mixed from two models' rows: where its bootstrap leaves 0.

    Resamples tell no p-value below 2 in their number, which Holm's correction of some fifty metrics would take for
    chance. Where none of them leaves 0, the tail of the normal distribution with their mean and deviation goes on from
    there, down to the least that `sign_flip` can tell.
    """
    known = differences[np.isfinite(differences)]
    if not len(known):
        return None
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    least = min(1.0, 2 * (tail + 1) / (len(known) + 1))
    if tail:
        return least
    spread = float(np.std(known))
    beyond = 2 * NormalDist().cdf(-abs(float(np.mean(known))) / spread) if spread else 0.0
    return min(least, max(beyond, 1 / (FLIPS + 1)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values of several metrics, each corrected for there being several (Holm, 1979, Scand. J. Statist. 6).

    Rejecting those at most alpha keeps the chance of a single false one below alpha, whatever their dependence.

    Args:
        p_values: One a metric; None where there is none, which counts for nothing.

    Returns:
        `max over j <= i of min(1, (m - j + 1) * p_(j))`, in the order given.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    out: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        out[i] = highest
    return out


def effect_size(difference: float, spread: float) -> float | None:
    """Cohen's d of paired values (Cohen, 1988, d_z): the mean difference in units of the differences' deviation.

    Args:
        difference: Mean of the rows' differences.
        spread: Their standard deviation, see `spread_of`.

    Returns:
        None where rows do not differ in their differences.
    """
    return difference / spread if spread > 1e-12 * max(1.0, abs(difference)) else None


def spread_of(tuned: Measure, base: Measure, differences: Floats | None) -> float:
    """Standard deviation of one row's difference.

    Args:
        tuned: One model's values.
        base: The other's.
        differences: Their resampled differences, for metrics that are no means: the standard error times the root of
            the number of rows.

    Returns:
        nan where fewer than two rows have values of both.
    """
    mine, theirs = (np.asarray(m.values, dtype=np.float64) for m in (tuned, base))
    paired = ~(np.isnan(mine) | np.isnan(theirs))
    n = int(paired.sum())
    if n < 2:
        return math.nan
    if tuned.corpus is None:
        return float(np.std(mine[paired] - theirs[paired], ddof=1))
    return math.nan if differences is None else float(np.nanstd(differences, ddof=1)) * math.sqrt(n)


def rows_needed(difference: float, spread: float, confidence: float = CONFIDENCE, sides: int = 2) -> int | None:
    """Rows that show a difference of this size four times out of five.

    `((z_confidence + z_power) * spread / difference)^2`, the normal approximation of the paired t-test (Cohen, 1988).

    Args:
        difference: What is to be seen.
        spread: Standard deviation of a row's difference.
        confidence: Of the test.
        sides: 2 for a difference in either direction, 1 for one in a given direction.

    Returns:
        At least `ENOUGH`; None where nothing differs or it cannot be told.
    """
    if not (math.isfinite(difference) and math.isfinite(spread)) or difference == 0:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - (1 - confidence) / sides) + normal.inv_cdf(POWER)
    needed = (z * spread / abs(difference)) ** 2
    return max(ENOUGH, math.ceil(needed)) if math.isfinite(needed) else None


def _values(measure: Measure, rows: NDArray[np.int64]) -> Floats:
    if measure.corpus is not None:
        return np.array([measure.at(row) for row in rows], dtype=np.float64)
    values = np.asarray(measure.values, dtype=np.float64)[rows]
    applying = ~np.isnan(values)
    count = applying.sum(1)
    total = np.where(applying, values, 0.0).sum(1)
    means: Floats = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
    return means
