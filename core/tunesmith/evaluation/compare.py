"""Tuned against base, row by row: the difference, how sure it is, and whether chance explains it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.measure import Measure

RESAMPLES = 2_000
FLIPS = 10_000
CONFIDENCE = 0.95
ENOUGH = 20
"""Fewer rows than this give no interval: a bootstrap of so few is too narrow."""
_EXACT_UP_TO = 14
_AT_ONCE = 2**22
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of the tuned model beside the base's.

    Args:
        name: The metric, as `success` names it.
        tuned: Value for the tuned model.
        base: Value for the base; nan where there is none.
        difference: `tuned - base`.
        interval: Bounds of the difference's 95 % interval; None where the rows are too few or there is no base.
        p_value: Probability of a difference at least as large if both models were alike; None where there is no base.
        n: Rows that the metric applies to for both models (for the tuned one, where there is no base).
        higher_is_better: Where an improvement lies.
        unit: What the metric is counted in.
        notes: What a reader must know; empty where all is well.
    """

    name: str
    tuned: float
    base: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    n: int
    higher_is_better: bool
    unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def change(self) -> str:
        """`better` or `worse` where the interval excludes 0, else `undecided`; `same` where the values are equal."""
        if self.difference == 0:
            return "same"
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "undecided"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"


def compare_all(tuned: Mapping[str, Measure], base: Mapping[str, Measure] | None, seed: int) -> dict[str, Comparison]:
    """Compare every metric of two models on the same rows, in the metrics' order."""
    return {name: compare(name, m, base[name] if base is not None else None, seed) for name, m in tuned.items()}


def compare(name: str, tuned: Measure, base: Measure | None, seed: int) -> Comparison:
    """Compare one metric of two models on the same rows.

    Args:
        name: What the metric is called in the result.
        tuned: The tuned model's values.
        base: The base's, for the same rows in the same order; None where there is no base.
        seed: Of the resamples and the flips.

    Raises:
        ValueError: The two hold different numbers of rows.
    """
    mine = np.asarray(tuned.values, dtype=np.float64)
    if base is None:
        n = int((~np.isnan(mine)).sum())
        direction, said = tuned.higher_is_better, tuple(filter(None, [tuned.note]))
        return Comparison(name, tuned.value, math.nan, math.nan, None, None, n, direction, tuned.unit, said)
    theirs = np.asarray(base.values, dtype=np.float64)
    if len(mine) != len(theirs):
        msg = f"{name}: {len(mine)} rows of the tuned model, {len(theirs)} of the base"
        raise ValueError(msg)
    paired = ~(np.isnan(mine) | np.isnan(theirs))
    n = int(paired.sum())
    notes = [f"{model}: {measure.note}" for model, measure in (("base", base), ("tuned", tuned)) if measure.note]
    if unpaired := int((np.isnan(mine) != np.isnan(theirs)).sum()):
        notes.append(f"{unpaired} rows apply to one model only")
    interval: tuple[float, float] | None = None
    differences: _Floats | None = None
    if n >= ENOUGH:
        differences = bootstrap(tuned, base, seed)
        interval = _percentiles(differences)
    else:
        notes.append(f"undecided: fewer than {ENOUGH} rows give no interval")
    if tuned.corpus is None:
        p_value = sign_flip(mine[paired] - theirs[paired], seed) if n else None
    else:
        p_value = _inverted(differences) if differences is not None else None
    value, reference = tuned.value, base.value
    return Comparison(
        name,
        value,
        reference,
        value - reference,
        interval,
        p_value,
        n,
        tuned.higher_is_better,
        tuned.unit,
        tuple(notes),
    )


def bootstrap(tuned: Measure, base: Measure, seed: int, resamples: int = RESAMPLES) -> _Floats:
    """Differences `tuned - base` on resamples of the rows, drawn with replacement, the same rows for both.

    Paired bootstrap (Efron and Tibshirani, 1993; for metrics of generated text Koehn, 2004, EMNLP). Metrics that are
    no means are computed anew on each resample.

    Returns:
        `[resamples]`; nan where a resample holds no row that a metric applies to.
    """
    random = np.random.default_rng(seed)
    n = len(tuned.values)
    out = np.empty(resamples)
    step = max(1, _AT_ONCE // max(1, n))
    for start in range(0, resamples, step):
        rows = random.integers(0, n, size=(min(step, resamples - start), n))
        where = slice(start, start + len(rows))
        out[where] = _values(tuned, rows) - _values(base, rows)
    return out


def sign_flip(differences: _Floats, seed: int, flips: int = FLIPS) -> float:
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


def _values(measure: Measure, rows: NDArray[np.int64]) -> _Floats:
    if measure.corpus is not None:
        return np.array([measure.at(row) for row in rows], dtype=np.float64)
    values = np.asarray(measure.values, dtype=np.float64)[rows]
    applying = ~np.isnan(values)
    count = applying.sum(1)
    total = np.where(applying, values, 0.0).sum(1)
    means: _Floats = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
    return means


def _percentiles(differences: _Floats) -> tuple[float, float] | None:
    known = differences[np.isfinite(differences)]
    if len(known) < len(differences) / 2:
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _inverted(differences: _Floats) -> float | None:
    """P-value of a metric that cannot be mixed from two models' rows: where the bootstrap leaves 0."""
    known = differences[np.isfinite(differences)]
    if not len(known):
        return None
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(known) + 1))
