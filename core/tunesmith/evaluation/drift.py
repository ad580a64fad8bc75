"""How the metrics of audits have moved from some logged outputs to others, with intervals and tests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tunesmith.evaluation.logs import Logs
from tunesmith.evaluation.measure import Measure
from tunesmith.evaluation.statistics import CONFIDENCE, ENOUGH, holm
from tunesmith.evaluation.student import quantile, two_sided
from tunesmith.plugins.interfaces import Audit

GROUPS = 20
"""Parts of the rows, of which one after the other is left out."""
Change = Literal["better", "worse", "undecided", "same"]
_ALPHA = 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class Drift:
    """One metric now and before.

    Args:
        key: As `success` names it.
        value: Now.
        before: Of the baseline.
        higher_is_better: The direction in which an improvement lies.
        interval: 95 % interval of the difference; None where it cannot be told.
        p_value: Of no difference (Welch's t); None as well.
        p_adjusted: Corrected by Holm for all metrics of all audits.
        note: Why there is no interval.
    """

    key: str
    value: float
    before: float
    higher_is_better: bool = True
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    note: str = ""

    @property
    def difference(self) -> float:
        """Now less before."""
        return self.value - self.before

    @property
    def change(self) -> Change:
        """In words; `undecided` where chance may explain it."""
        if self.difference == 0:
            return "same"
        if self.p_adjusted is None or self.p_adjusted > _ALPHA:
            return "undecided"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"


def drifts(
    audits: Mapping[str, Audit],
    known: Mapping[str, Measure],
    now: tuple[Logs, Mapping[str, float]],
    before: tuple[Logs, Mapping[str, float]],
    seed: int = 0,
) -> list[Drift]:
    """Compare each metric of each audit on two sets of outputs, of which no row is paired with another.

    An audit's metric may be anything, such as the largest of several gaps, so its error is found by looking again: each
    side is dealt into 20 parts at random, and the audit looks at all but one of them, one after the other (jackknife
    with a group left out; Shao and Wu, 1989, Ann. Statist. 17: with large parts it holds for metrics that are not
    smooth). The difference is tested by Welch's t with the degrees of freedom of Satterthwaite. p-values do not drift:
    metrics that are called `p`, or end in `_p`, are left out.

    Args:
        audits: By name in the recipe; each looks at logged outputs.
        known: What they produce, by `name in the recipe/metric`.
        now: The outputs, and their metrics by the same names.
        before: The same of the baseline.
        seed: Of the parts.
    """
    found = []
    keys = [key for key in known if key.split("/", 1)[0] in audits and not _is_p(key)]
    spread = [_errors(audits, logs, seed + at) for at, (logs, _) in enumerate((now, before))]
    for key in keys:
        value, old = (metrics.get(key, math.nan) for _, metrics in (now, before))
        if math.isnan(value) and math.isnan(old):
            continue  # of a group that neither side names
        one = Drift(key, value, old, known[key].higher_is_better)
        found.append(_tested(one, [errors.get(key) for errors in spread], [len(now[0]), len(before[0])]))
    corrected = holm([one.p_value for one in found])
    return [replace(one, p_adjusted=p) for one, p in zip(found, corrected, strict=True)]


def _is_p(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name == "p" or name.endswith("_p")


def _tested(one: Drift, errors: Sequence[float | None], sizes: Sequence[int]) -> Drift:
    if math.isnan(one.difference):
        return replace(one, note="has no value on one side")
    if min(sizes) < ENOUGH:
        return replace(one, note=f"{ENOUGH} rows on each side are needed")
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return replace(one, note="has no value where some rows are left out")
    variance = math.fsum(error**2 for error in known)
    if variance == 0:
        return replace(one, note="does not vary with the rows" if one.difference else "")
    each = math.fsum(error**4 / (min(GROUPS, n) - 1) for error, n in zip(known, sizes, strict=True))
    degrees, scale = max(1, math.floor(variance**2 / each)), math.sqrt(variance)
    half = quantile(CONFIDENCE, degrees) * scale
    interval = (one.difference - half, one.difference + half)
    return replace(one, interval=interval, p_value=two_sided(one.difference / scale, degrees))


def _errors(audits: Mapping[str, Audit], logs: Logs, seed: int) -> dict[str, float | None]:
    """Standard errors by metric; None where a metric has no value without some rows."""
    if len(logs) < ENOUGH:
        return {}
    values: dict[str, list[float]] = {}
    for part in _parts(len(logs), seed):
        subject = logs.at(part).subject
        for name, audit in audits.items():
            for metric, value in audit.examine(subject).metrics.items():
                values.setdefault(f"{name}/{metric}", []).append(value)
    return {key: _jackknife(found) for key, found in values.items()}


def _parts(n: int, seed: int) -> Iterator[list[int]]:
    """The rows without each of the groups that they are dealt into."""
    group = np.random.default_rng(seed).permutation(n) % GROUPS
    for left_out in range(GROUPS):
        yield np.flatnonzero(group != left_out).tolist()


def _jackknife(values: Sequence[float]) -> float | None:
    if any(map(math.isnan, values)):
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt((len(values) - 1) / len(values) * math.fsum((value - mean) ** 2 for value in values))
