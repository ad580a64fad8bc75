"""Tuned against base, row by row: the difference, how sure it is, and whether chance explains it."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.evaluation.measure import Measure
from tunesmith.evaluation.statistics import (
    CONFIDENCE,
    ENOUGH,
    bootstrap,
    effect_size,
    holm,
    inverted,
    percentiles,
    rows_needed,
    sign_flip,
    spread_of,
)


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
        n: Rows that the metric applies to for both models (for the tuned one, where there is no base); all of them
            where it is one value about all.
        higher_is_better: Where an improvement lies.
        unit: What the metric is counted in.
        notes: What a reader must know; empty where all is well.
        p_adjusted: `p_value`, corrected for all metrics that were compared (Holm); None where there is none.
        effect_size: Cohen's d of the paired rows; None where there is no base, or no spread.
        rows_needed: Rows that would show a difference like this one four times out of five, at the level that the
            correction leaves it, where it is undecided.
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
    p_adjusted: float | None = None
    effect_size: float | None = None
    rows_needed: int | None = None

    @property
    def change(self) -> str:
        """`better` or `worse` where the interval excludes 0 and the corrected p-value agrees, else `undecided`.

        `same` where the values are equal.
        """
        if self.difference == 0:
            return "same"
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "undecided"
        p = self.p_adjusted if self.p_adjusted is not None else self.p_value
        if p is not None and p > 1 - CONFIDENCE + 1e-9:
            return "undecided"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"


def compare_all(tuned: Mapping[str, Measure], base: Mapping[str, Measure] | None, seed: int) -> dict[str, Comparison]:
    """Compare every metric of two models on the same rows, in the metrics' order, corrected for their number."""
    found = [compare(name, m, base[name] if base is not None else None, seed) for name, m in tuned.items()]
    return {one.name: one for one in corrected(found)}


def noted(found: Mapping[str, Comparison], evaluators: Collection[str], note: str) -> dict[str, Comparison]:
    """Comparisons with a note on all metrics of some evaluators."""
    return {
        name: replace(one, notes=(*one.notes, note)) if name.split("/", 1)[0] in evaluators else one
        for name, one in found.items()
    }


def corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with their p-values corrected for one another, and the rows that undecided ones would need.

    Rows are counted for the level at which Holm's correction compares that p-value: for one alone they would be fewer
    than those that left it undecided.
    """
    adjusted = holm([one.p_value for one in found])
    order = sorted(at for at, one in enumerate(found) if one.p_value is not None)
    order.sort(key=lambda at: found[at].p_value or 0.0)
    tests = {at: len(order) - rank for rank, at in enumerate(order)}
    out = []
    for at, (one, p) in enumerate(zip(found, adjusted, strict=True)):
        level = 1 - (1 - CONFIDENCE) / tests.get(at, 1)
        rows = None if one.effect_size is None else rows_needed(one.effect_size, 1.0, level)
        new = replace(one, p_adjusted=p, rows_needed=rows)
        out.append(new if new.change == "undecided" else replace(new, rows_needed=None))
    return out


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
        n = len(mine) if tuned.single else int((~np.isnan(mine)).sum())
        direction, said = tuned.higher_is_better, tuple(filter(None, [tuned.note]))
        return Comparison(name, tuned.value, math.nan, math.nan, None, None, n, direction, tuned.unit, said)
    theirs = np.asarray(base.values, dtype=np.float64)
    if len(mine) != len(theirs):
        msg = f"{name}: {len(mine)} rows of the tuned model, {len(theirs)} of the base"
        raise ValueError(msg)
    paired = ~(np.isnan(mine) | np.isnan(theirs))
    n = len(mine) if tuned.single else int(paired.sum())
    notes = [f"{model}: {measure.note}" for model, measure in (("base", base), ("tuned", tuned)) if measure.note]
    notes = [tuned.note] if tuned.note and tuned.note == base.note else notes
    if unpaired := int((np.isnan(mine) != np.isnan(theirs)).sum()):
        notes.append(f"{unpaired} rows apply to one model only")
    differences = bootstrap(tuned, base, seed) if n >= ENOUGH and not tuned.single else None
    if n < ENOUGH:
        notes.append(f"undecided: fewer than {ENOUGH} rows give no interval")
    if tuned.single:
        p_value = None
    elif tuned.corpus is None:
        p_value = sign_flip(mine[paired] - theirs[paired], seed) if n else None
    else:
        p_value = inverted(differences) if differences is not None else None
    value, reference = tuned.value, base.value
    spread = spread_of(tuned, base, differences)
    return Comparison(
        name,
        value,
        reference,
        value - reference,
        percentiles(differences) if differences is not None else None,
        p_value,
        n,
        tuned.higher_is_better,
        tuned.unit,
        tuple(notes),
        effect_size=effect_size(value - reference, spread),
        rows_needed=rows_needed(value - reference, spread),
    )
