"""What audits found, in a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from tunesmith.evaluation.before import Before, EvidenceRow, among_all, changes
from tunesmith.evaluation.drift import Drift
from tunesmith.evaluation.fitting_table import FittingTable
from tunesmith.evaluation.measure import Findings
from tunesmith.evaluation.metric_name import MetricName
from tunesmith.evaluation.signs import Marks, is_probability, marks_of, number, probability, put, signed
from tunesmith.printable import printable

_SEVERITIES = {"none": "green", "low": "yellow", "medium": "dark_orange", "high": "red"}
_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "same": "dim"}
_SHOWN = 2
_SURE = 0.05
_ROWS = 12


def show_findings(
    findings: Mapping[str, Findings],
    console: Console,
    before: Mapping[str, Before] | None = None,
    evidence: Mapping[str, Sequence[EvidenceRow]] | None = None,
) -> None:
    """Print what audits found.

    Args:
        findings: By name in the recipe.
        console: Where.
        before: What they found elsewhere.
        evidence: Rows that show it.
    """
    among = among_all(findings)
    for name, found in findings.items():
        there, rows = (before or {}).get(name), (evidence or {}).get(name, ())
        p = among.get(name) if len(among) > 1 else None
        for part in findings_tables(name, found, marks_of(console), there, rows, p):
            put(console, part)
    if len(among) > 1:
        said = f"p of each audit, corrected for {len(among)} audits (Holm): "
        put(console, Text(said + ", ".join(f"{name} {probability(p)}" for name, p in among.items()) + "\n"))


def findings_tables(
    name: str,
    found: Findings,
    marks: Marks | None = None,
    before: Before | None = None,
    rows: Sequence[EvidenceRow] = (),
    among: float | None = None,
) -> Iterator[RenderableType]:
    """One audit: severity and summary, its tables, metrics beside those of before, advice and evidence.

    Args:
        name: In the recipe.
        found: What it found.
        marks: Signs of tables.
        before: What it found elsewhere.
        rows: Rows that show it.
        among: Its p-value among those of all audits.
    """
    marks = marks or Marks()
    head = Text.assemble((f"audit {name}", "bold"), ": severity ", (found.severity, _SEVERITIES[found.severity]))
    if found.metrics and all(map(math.isnan, found.metrics.values())):
        head.append(", nothing judged")
    if before is not None:
        head.append(f" ({printable(before.what)}: {printable(before.severity)})")
    # what is severe though its own p-value is large rests on something else, such as a rate with its interval
    own = found.metrics.get("p", math.nan)
    if among is not None and own <= _SURE < among and found.severity != "none":
        head.append(f"; p {probability(among)} among all audits: chance may explain it")
    yield Text.assemble(head, "\n", found.summary)
    for table in found.tables:
        yield FittingTable(table, marks, _ROWS)
        if len(table.rows) > _ROWS:
            yield Text(f"and {len(table.rows) - _ROWS} more rows, in findings and report\n")
    moved = list(changes(found.metrics, before)) if before is not None else []
    if before is not None and moved:
        yield _changes_table(name, before.what, moved, marks)
    known = {key: v for key, v in found.metrics.items() if not math.isnan(v) and key not in {m[0] for m in moved}}
    if known:
        metrics = ", ".join(f"{name}/{key} {_value(key, value, marks)}" for key, value in known.items())
        yield Text(f"metrics: {metrics}")
    if found.advice:
        yield Text(f"advice: {found.advice}")
    if found.evidence:
        more = f" and {len(found.evidence) - 5} more" if len(found.evidence) > 5 else ""
        yield Text(f"evidence: rows {', '.join(found.evidence[:5])}{more}")
        for row in rows[:_SHOWN]:
            yield Text(f"  {row.origin or row.id}: {row.text}", style="dim")
    yield Text("")


def drift_table(drifts: Sequence[Drift], rows: tuple[int, int], baseline: str, marks: Marks | None = None) -> RichTable:
    """Metrics of logged outputs beside those of a baseline.

    Args:
        drifts: By metric.
        rows: How many outputs there are, and were.
        baseline: What they were of.
        marks: Signs of tables.
    """
    marks = marks or Marks()
    title = f"drift: {rows[0]:,} outputs, against {rows[1]:,} of {printable(baseline)}"
    table = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold")
    for heading in ("before", "now", "difference", "95 % interval", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in drifts:
        nothing = math.isnan(one.difference)
        shown = marks.nothing if nothing else f"{signed(one.difference)} {getattr(marks, one.change)}"
        interval = marks.nothing if one.interval is None else "..".join(map(signed, one.interval))
        p = marks.nothing if one.p_adjusted is None else probability(one.p_adjusted)
        cells = number(one.before, "", marks), number(one.value, "", marks)
        table.add_row(MetricName(one.key), *cells, Text(shown, style=_STYLES[one.change]), interval, p)
    return table


def _changes_table(name: str, what: str, moved: Sequence[tuple[str, float, float]], marks: Marks) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold")
    for heading in (printable(what), "now", "difference"):
        table.add_column(heading, justify="right", overflow="fold")
    for key, old, value in moved:
        cells = _value(key, old, marks), _value(key, value, marks)
        table.add_row(MetricName(f"{name}/{key}"), *cells, signed(value - old))
    return table


def _value(key: str, value: float, marks: Marks) -> str:
    return probability(value) if is_probability(key) else number(value, "", marks)
