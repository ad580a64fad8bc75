"""A measure in groups: each group's value with its interval, the gap, and whether chance explains it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith import Measure

if TYPE_CHECKING:
    import numpy as np

_RESAMPLES, _PERMUTATIONS = 1000, 1999
_OF_A_CORPUS = 199
"""Resamples, and permutations, of measures that are computed anew each time."""


@dataclass(frozen=True)
class GroupMeans:
    """A measure by group.

    Args:
        values: Of the groups, in order.
        intervals: 95 % intervals of them, by resampling rows.
        gap: The best group's value less the worst one's, 0 or more.
        gap_interval: 95 % interval of the difference between these two groups; it knows not that they were chosen.
        p: Probability of a gap as large where groups are dealt out by chance.
        effect: The gap over the standard deviation within groups; nan of measures that have no value a row.
        worst: The group whose value is worst.
        best: The group whose value is best.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    gap: float
    gap_interval: tuple[float, float]
    p: float
    effect: float
    worst: str
    best: str


def group_means(measure: Measure, groups: Sequence[str | None], least: int, seed: int = 0) -> GroupMeans | None:
    """Compare a measure between groups.

    The p-value is of a permutation test (groups exchanged among the rows, largest difference of two groups), so that it
    holds however many groups there are.

    Args:
        measure: With a value for each row, or one that computes itself for some rows.
        groups: Of each row; None for none.
        least: Groups with fewer rows that have a value are left out.
        seed: Of what is drawn.

    Returns:
        None where fewer than two groups are left.
    """
    import numpy as np

    corpus = measure.corpus is not None
    has = [corpus or not math.isnan(value) for value in measure.values]
    places: dict[str, list[int]] = {}
    for at, group in enumerate(groups):
        if group is not None and has[at]:
            places.setdefault(group, []).append(at)
    places = {group: held for group, held in sorted(places.items()) if len(held) >= max(1, least)}
    if len(places) < 2:
        return None
    draw = np.random.default_rng(seed)
    values = {group: measure.at(held) for group, held in places.items()}
    if any(math.isnan(value) for value in values.values()):
        return None
    draws = {group: _resampled(measure, held, draw) for group, held in places.items()}
    sign = 1 if measure.higher_is_better else -1
    worst, best = (pick(values, key=lambda group: sign * values[group]) for pick in (min, max))
    gap = abs(values[best] - values[worst])
    between = sign * (draws[best] - draws[worst])
    return GroupMeans(
        values,
        {group: _ends(found) for group, found in draws.items()},
        gap,
        _ends(between),
        _permuted(measure, list(places.values()), gap, draw),
        math.nan if corpus else _effect([[measure.values[at] for at in held] for held in places.values()], gap),
        worst,
        best,
    )


def _resampled(measure: Measure, held: Sequence[int], draw: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    rows = np.asarray(held)
    if measure.corpus is not None:
        return np.array([measure.at(draw.choice(rows, len(rows)).tolist()) for _ in range(_OF_A_CORPUS)])
    values = np.asarray(measure.values, dtype=np.float64)[rows]
    return np.array([values[draw.integers(0, len(values), len(values))].mean() for _ in range(_RESAMPLES)])


def _permuted(measure: Measure, places: Sequence[Sequence[int]], gap: float, draw: "np.random.Generator") -> float:
    import numpy as np

    whole = np.concatenate([np.asarray(held) for held in places])
    ends = np.cumsum([len(held) for held in places])[:-1]
    times = _OF_A_CORPUS if measure.corpus is not None else _PERMUTATIONS
    values = np.asarray(measure.values, dtype=np.float64)
    larger = 0
    for _ in range(times):
        parts = np.split(draw.permutation(whole), ends)
        found = [measure.at(p.tolist()) if measure.corpus is not None else float(values[p].mean()) for p in parts]
        larger += max(found) - min(found) >= gap - 1e-12
    return (larger + 1) / (times + 1)


def _effect(sides: Sequence[Sequence[float]], gap: float) -> float:
    means = [math.fsum(side) / len(side) for side in sides]
    within = math.fsum((v - m) ** 2 for side, m in zip(sides, means, strict=True) for v in side)
    n = sum(map(len, sides))
    if within < 1e-12:  # no spread within groups: that of all
        middle = math.fsum(v for side in sides for v in side) / n
        within = math.fsum((v - middle) ** 2 for side in sides for v in side)
    return gap / math.sqrt(within / (n - len(sides))) if within >= 1e-12 and n > len(sides) else 0.0


def _ends(found: "np.ndarray") -> tuple[float, float]:
    import numpy as np

    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)
