"""How runs beside each other are shown."""

import math
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
