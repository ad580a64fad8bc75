"""A run's report as HTML that stands alone: style, script and plots inside, nothing loaded from anywhere."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.report.intervals import interval
from tunesmith.report.loss_plot import TASKS, is_logarithmic, loss_plot, task_plot
from tunesmith.report.markup import visible, yaml
from tunesmith.report.metric_notes import noted, tally
from tunesmith.report.mishaps import MEANINGS
from tunesmith.report.numerals import NOTHING, count, probability, signed, span, value
from tunesmith.report.page import render
from tunesmith.report.pointed import EXAMPLES
from tunesmith.report.provenance import data_summary, lock_groups, run_facts
from tunesmith.report.run_report import RunReport
from tunesmith.report.shown_rows import Shown, excerpts, shown_rows

_HERE = Path(__file__).parent
_SECTIONS = {
    "metrics": "metrics",
    "losses": "losses",
    "slices": "slices",
    "rows": "rows",
    "errors": "errors",
    "data": "data",
    "audits": "audits",
    "made": "recipe and lock",
}
_SEVERITIES = {"none": "good", "low": "fair", "medium": "fair", "high": "poor"}
_SAID_BY = {"test": "The test", "validate": "The validation", "audit": "The audit"}
OF_WHAT = {"audit": "", "audit of the data": ", of the data alone", "audit of logs": ", of logged outputs"}
"""What thresholds of audits were judged on, by what ran them."""
_FACETS = 60
_POINTED = 40


@dataclass(frozen=True)
class Errors:
    """One kind of error, with a few rows that show it."""

    title: str
    rows: int
    beside: str
    examples: Sequence[Shown]


def run_page(report: RunReport) -> str:
    """The report as HTML; texts of rows, models and recipes are shown and never obeyed."""
    files, seen = report.files, report.seen
    rows, cut_at = shown_rows(files.predictions, seen, report.directions) if seen else ([], 0)
    script = (_HERE / "run.js").read_text("utf-8")
    result = files.result or {}
    train = files.losses.train if files.losses else []
    page = render(
        "run_report.html.jinja",
        styles=("style.css", "run.css"),
        report=report,
        files=files,
        base=(report.options.get("model") or {}).get("base"),
        version=(files.lock or {}).get("version"),
        notes=notes(report),
        of_validation=", on validation rows" if files.is_validation else "",
        sections=list(_SECTIONS.items()),
        losses=loss_plot(train, report.validation, report.kept, "Training and validation loss"),
        logarithmic=is_logarithmic(train, report.validation),
        tasks=list(report.tasks)[:TASKS],
        task_losses=task_plot(report.tasks, report.kept, "Validation loss by task"),
        tasks_left=max(0, len(report.tasks) - TASKS),
        said_of_fit=result.get("said") or "",
        rows=rows,
        cut_at=cut_at,
        facets=_facets(rows),
        errors=errors(report),
        pointed=pointed(report),
        data=data_summary(files.data, files.card),
        run=run_facts(files.result),
        lock=lock_groups(files.lock),
        severities=_SEVERITIES,
        of_what=OF_WHAT,
        interval=interval,
        noted=noted,
        tally=tally,
        moved=lambda row: _moved(row)[0],
        gained=lambda row: _moved(row)[1],
        script=script,
        script_hash=_hash(script),
        nothing=NOTHING,
        count=count,
        probability=probability,
        signed=signed,
        span=span,
        value=value,
        yaml=yaml,
    )
    return visible(page)


def notes(report: RunReport) -> list[str]:
    """What a reader must know before anything else."""
    seen = report.seen
    out = []
    files = report.files
    if files.is_validation:
        out.append(
            "What follows is no test: metrics, rows and errors are of the validation split, by which the step that is "
            "kept was chosen; they decide nothing"
        )
    measuring = ("validate", files.validation) if files.is_validation else ("test", files.test)
    for verb, record in (measuring, ("audit", files.audit_verdicts)):
        if (step := files.outdated(record)) is not None:
            now = f"its weights are of step {files.kept}" if files.kept is not None else "it has not ended yet"
            out.append(
                f"{_SAID_BY[verb]} is of step {step}, and the run was trained further since: {now}. "
                f"Run it again: {report.command(verb)}"
            )
    if seen and seen.broken:
        out.append(f"{count(seen.broken, 'line')} of {files.folder}/predictions.jsonl cannot be read and left out")
    if seen and files.measured and seen.rows != files.measured.get("n"):
        of = "validation" if files.is_validation else "test"
        held = f"{files.folder}/predictions.jsonl holds {count(seen.rows, 'row')}"
        out.append(f"{held}: it is not of this {of}, or not whole")
    return out


def errors(report: RunReport) -> list[Errors]:
    """The kinds of error that the rows show, those of any task first."""
    seen, path = report.seen, report.files.predictions
    if seen is None or not seen.rows or not seen.said:
        return []
    out = [
        Errors(
            MEANINGS[one.kind].capitalize(),
            one.counts["tuned"],
            f", {one.counts['base']:,} of the base" if "base" in seen.models else "",
            excerpts(path, one.places),
        )
        for one in seen.mishaps
        if one.counts["tuned"]
    ]
    for worst in seen.worst:
        if worst.is_error:
            title = f"{worst.name} at its worst, {value(worst.value)}"
            out.append(Errors(title, worst.rows, "", excerpts(path, worst.places[:EXAMPLES])))
    return out


def pointed(report: RunReport) -> list[Errors]:
    """What evaluators point at in answers, and in the references that answers fall short of."""
    seen = report.seen
    if seen is None:
        return []
    return [
        Errors(
            one.label,
            one.counts["tuned"],
            f", {one.counts['base']:,} of the base" if "base" in seen.models else "",
            excerpts(report.files.predictions, one.places),
        )
        for one in seen.pointed[:_POINTED]
    ]


def _facets(rows: Sequence[Shown]) -> list[str]:
    """What rows can be chosen by: what some of them have in common, and not all."""
    counts = Counter(facet for row in rows for facet in row.facets)
    shared = [facet for facet, number in counts.most_common() if 1 < number < len(rows)]
    return sorted(shared[:_FACETS])


def _moved(row: Shown) -> tuple[str, str]:
    """How a row moved by the first metric: the kind and in words, as the script says it for any metric."""
    gain = row.gains[0] if row.gains else None
    if gain is None:
        return "none", "no value" if row.gains else ""
    kind = "better" if gain > 0 else "worse" if gain < 0 else "same"
    return kind, kind if not gain else f"{kind} by {value(abs(gain))}"


def _hash(script: str) -> str:
    """What the page's own policy knows its one script by; no other is run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
