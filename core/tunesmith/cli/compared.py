"""How runs beside each other are shown."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Protocol

from rich import box
from rich.table import Table

from tunesmith.cli.runs import Run, compared, value_at
from tunesmith.evaluation.compare import Comparison
from tunesmith.evaluation.measure import Measure
from tunesmith.recipe.lock_file import differences

_MOST = 12
_LONGEST = 48


class Ranked(Protocol):
    """What is shown of a run."""

    @property
    def run(self) -> Run:
        """It."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def success(self) -> str:
        """Its thresholds, met of all."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Its metrics."""


def leaderboard(ranked: Sequence[Ranked], by: str, beside: Mapping[str, Comparison]) -> Table:
    """Runs, the best first, each with its difference to the best.

    Args:
        ranked: In their order.
        by: The metric.
        beside: Each but the best, beside the best, by name; p-values corrected for their number.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", no_wrap=True)
    for heading in ("success", by.rpartition("/")[2], "to the best", "95 % interval", "p"):
        table.add_column(heading, justify="right")
    for one in ranked:
        value = one.measures[by].value
        cells = [one.name, one.success or ".", "." if math.isnan(value) else f"{value:.4g}"]
        if (found := beside.get(one.name)) is None:
            table.add_row(*cells, ".", ".", ".")
            continue
        interval = f"{found.interval[0]:+.3g}..{found.interval[1]:+.3g}" if found.interval else "."
        p_value = "." if found.p_adjusted is None else f"{found.p_adjusted:.3f}"
        gap = "." if math.isnan(found.difference) else f"{found.difference:+.4g}"
        table.add_row(*cells, gap, interval, "<0.001" if p_value == "0.000" else p_value)
    return table


def of_seeds(ranked: Sequence[Ranked]) -> list[list[Ranked]]:
    """The runs that differ in nothing but their seed, where there are several, in their order."""
    alike: dict[str, list[Ranked]] = {}
    for one in ranked:
        lock = one.run.lock
        method = {key: value for key, value in (lock.get("method") or {}).items() if key != "seed_everything"}
        parts = [compared(method), *(lock.get(part) for part in ("data", "base", "code", "packages"))]
        alike.setdefault(json.dumps(parts, sort_keys=True, default=str), []).append(one)
    return [ones for ones in alike.values() if len({one.run.lock.get("seed") for one in ones}) > 1]


def over_seeds(ones: Sequence[Ranked]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation (of n - 1), lowest and highest value of each metric that all of them have."""
    found = {}
    for name in ones[0].measures:
        values = [one.measures[name].value for one in ones]
        if all(map(math.isfinite, values)):
            spread = statistics.stdev(values)
            found[name] = {"mean": statistics.fmean(values), "sd": spread, "low": min(values), "high": max(values)}
    return found


def seeds_line(ones: Sequence[Ranked], by: str) -> str:
    """A metric over the seeds of one recipe, in words."""
    said = f"{len(ones)} runs of one recipe with other seeds ({', '.join(one.name for one in ones)})"
    if (found := over_seeds(ones).get(by)) is None:
        return f"{said}: not all have a value of {by}"
    spread = f"standard deviation {found['sd']:.4g}, {found['low']:.4g} to {found['high']:.4g}"
    return f"{said}: {by} {found['mean']:.4g} on average, {spread}; the best of them is lucky, their mean is not"


def difference_lines(one: Run, other: Run) -> list[str]:
    """In what the recipes, rows and code of two runs differ, a line each."""
    then, now = (compared(run.lock.get("method") or {}) for run in (one, other))
    whole = [run.lock.get("method") for run in (one, other)]
    lines = []
    for key, *pair in differences(then, now):
        # an option that equals its default is left out of what is compared, and has a value all the same
        a, b = (value_at(method, key) if v is None else v for method, v in zip(whole, pair, strict=True))
        lines.append(f"{key}: {_said(a)} there, {_said(b)} here")
    for part, what in (("data", "rows of"), ("base", "base"), ("code", "code of"), ("packages", "package")):
        then, now = (run.lock.get(part) or {} for run in (one, other))
        lines += [f"{what} {key}: {_said(a)} there, {_said(b)} here" for key, a, b in differences(then, now)]
    more = f"and {len(lines) - _MOST} more, see lock.json of both"
    return [*lines[:_MOST], *([more] if len(lines) > _MOST else [])] or ["in nothing that lock.json knows of"]


def _said(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
