"""A run's report as Markdown: the same content as the page, in brief, for where no page can be shown."""

import re
from collections.abc import Iterable, Iterator, Sequence

from tunesmith.report.audited import Audited
from tunesmith.report.compared import Compared
from tunesmith.report.markup import visible
from tunesmith.report.metric_notes import noted
from tunesmith.report.mishaps import MEANINGS
from tunesmith.report.numerals import NOTHING, count, probability, signed, span, value
from tunesmith.report.pointed import Pointed
from tunesmith.report.provenance import data_summary, lock_groups, run_facts
from tunesmith.report.run_page import OF_WHAT, notes
from tunesmith.report.run_report import RunReport
from tunesmith.report.seen_rows import Seen, rows_at
from tunesmith.report.verdict import Line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<#|~&])")
_LONGEST = 300
_MOST = 3
_SLICES = 40
_POINTED = 40


def run_markdown(report: RunReport) -> str:
    """The report as Markdown; texts of recipes and audits are escaped, those of rows are not in it."""
    parts = [*_verdict(report), *_metrics(report), *_losses(report), *_slices(report), *_rows(report)]
    parts += [*_data(report), *_audits(report), *_made(report)]
    return visible("\n\n".join(parts) + "\n")


def said(text: object) -> str:
    """A text on one line that Markdown shows as it stands, cut where it is long."""
    line = " ".join(str(text).split())
    return _SPECIAL.sub(r"\\\1", line if len(line) <= _LONGEST else f"{line[:_LONGEST]} […]")


def code(text: str) -> str:
    """A text as code, whatever backticks it holds."""
    line = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    rule = ["---" if at < numbers_from else "---:" for at in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(heads), rule, *map(list, rows)])


def _absent(what: str, command: str) -> str:
    return f"{what}: {code(command)}"


def _verdict(report: RunReport) -> Iterator[str]:
    began = f", begun {report.began}" if report.began else ""
    yield f"# {said(report.recipe)}"
    yield f"Run {code(str(report.files.path))}{began}. With rows and plots: [report.html](report.html)"
    yield f"**{said(report.decision.headline)}**"
    yield from _thresholds(report.decision.lines)
    yield from (said(note) for note in [*notes(report), *(f"Cannot be read: {t}" for t in report.files.troubles)])
    if report.files.test is None:
        yield _absent("The test was not run", report.command("test"))


def _thresholds(lines: Iterable[Line]) -> Iterator[str]:
    listed = []
    for line in lines:
        because = f" (because: {said(line.because)})" if line.because else ""
        listed.append(f"- {line.state}: {code(line.key)} {said(line.sentence)}{because}")
    yield from ["\n".join(listed)] if listed else []


def _of_validation(report: RunReport) -> str:
    return ", on validation rows" if report.files.is_validation else ""


def _metrics(report: RunReport) -> Iterator[str]:
    for name, metrics in report.compared.items():
        yield f"## Metrics against {said(name)}{_of_validation(report)}"
        heads = (
            "metric",
            said(name),
            "tuned",
            "difference",
            "",
            "95 % interval",
            "p (Holm)",
            "effect",
            "rows",
            "needed",
        )
        yield _table(heads, [_metric(one) for one in metrics])
        notes_of = [f"- {said(note)}: {said(on)}" for note, on in noted(metrics)]
        yield from ["\n".join(notes_of)] if notes_of else []


def _metric(one: Compared) -> list[str]:
    change = one.change if one.difference is not None else ""
    needed = f"{one.needed:,}" if one.needed else ""
    cells = [*_both(one), signed(one.difference), change]
    cells += [span(one.interval) or NOTHING, probability(one.p), signed(one.effect), f"{one.rows:,}", needed]
    return [code(one.name), *(said(cell) for cell in cells)]


def _both(one: Compared) -> list[str]:
    return [value(one.base, one.unit), value(one.tuned, one.unit)]


def _losses(report: RunReport) -> Iterator[str]:
    yield "## Losses"
    result = report.files.result or {}
    if result.get("said"):
        yield said(result["said"])
    if report.validation:
        yield "Validation loss by step: " + ", ".join(
            f"{step:,.0f}: {loss:.3f}" for step, loss in _few(report.validation)
        )
    if report.tasks:
        last = ", ".join(f"{code(name)} {points[-1][1]:.3f}" for name, points in report.tasks.items())
        yield f"Last validation loss by task: {last}"
    if not result.get("complete"):
        yield _absent("Training did not end", report.command("fit", "--ckpt_path", "last"))


def _few(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The first, the last, and some between at even distances."""
    step = max(1, -(-(len(points) - 1) // 10))
    yield from (point for at, point in enumerate(points) if at % step == 0 or at == len(points) - 1)


def _slices(report: RunReport) -> Iterator[str]:
    for kind in report.slices:
        of = f"{count(kind.values, 'slice')}, the smallest of {count(kind.smallest, 'row')}"
        yield f"## By {said(kind.kind)}: {of}{_of_validation(report)}"
        rows = [
            [code(one.name), said(name), f"{one.rows:,}", *_both(one), signed(one.difference), one.change]
            for name, one in kind.lines[:_SLICES]
        ]
        yield _table(("metric", "slice", "rows", "base", "tuned", "difference", ""), rows, 2)
        if len(kind.lines) > _SLICES:
            yield f"{len(kind.lines) - _SLICES:,} more lines in report.html"


def _rows(report: RunReport) -> Iterator[str]:
    seen = report.seen
    if seen is None or not seen.rows:
        return
    if seen.changes:
        yield f"## Rows that got better and worse{_of_validation(report)}"
        ids = _ids(report)
        rows = [
            [code(c.name), f"{c.better:,}", f"{c.worse:,}", f"{c.same:,}", _named(c.most, ids), _named(c.least, ids)]
            for c in seen.changes
        ]
        yield _table(("metric", "better", "worse", "same", "most better", "most worse"), rows)
    if seen.said:
        yield f"## Errors by kind{_of_validation(report)}"
        beside = [f"{one.counts['base']:,} of the base" if "base" in seen.models else "" for one in seen.mishaps]
        lines = [
            f"- {said(MEANINGS[one.kind])}: {one.counts['tuned']:,} of {count(seen.rows, 'answer')}"
            + (f", {other}" if other else "")
            for one, other in zip(seen.mishaps, beside, strict=True)
        ]
        lines += [f"- {code(w.name)} at its worst, {value(w.value)}: {w.rows:,}" for w in seen.worst if w.is_error]
        yield "\n".join(lines)
    if seen.pointed:
        yield f"## What evaluators point at{_of_validation(report)}"
        yield "\n".join(_pointed(one, seen) for one in seen.pointed[:_POINTED])


def _pointed(one: Pointed, seen: Seen) -> str:
    beside = f", {one.counts['base']:,} of the base" if "base" in seen.models else ""
    return f"- {said(one.label)}: {one.counts['tuned']:,} of {count(seen.rows, 'answer')}{beside}"


def _ids(report: RunReport) -> dict[int, str]:
    assert report.seen is not None
    places = [place for c in report.seen.changes for moved in (c.most, c.least) for place in _first(moved)]
    rows = zip(places, rows_at(report.files.predictions, places), strict=True)
    return {place: str(row.get("id")) for place, row in rows}


def _first(moved: Sequence[tuple[float, int]]) -> list[int]:
    return [-place for _, place in sorted(moved, reverse=True)[:_MOST]]


def _named(moved: Sequence[tuple[float, int]], ids: dict[int, str]) -> str:
    return ", ".join(code(ids[place]) for place in _first(moved))


def _data(report: RunReport) -> Iterator[str]:
    yield "## Data"
    data = data_summary(report.files.data, report.files.card)
    lines = [f"- {name}: {count(rows, 'row')}, {count(tokens, 'token')}" for name, rows, tokens in data.splits]
    lines += [f"- {said(name)}: {said(what)}" for name, what in data.facts]
    yield from ["\n".join(lines)] if lines else []
    if data.card:
        scores = ", ".join(f"{said(name)} {NOTHING if n is None else f'{n:.0f}'}" for name, n, _ in data.quality)
        other = "; it is of other rows than this run's" if data.is_other else ""
        yield f"[Data card](../data/card.html){other}: {scores}"
    else:
        yield _absent("No data card was written", report.command("prepare"))


def _audits(report: RunReport) -> Iterator[str]:
    yield "## Audits"
    if report.files.audited_others:
        yield _absent("The newest audit of the data looked at other rows than this run's", report.command("audit"))
    lines = [_audit(one) for one in report.audits]
    yield from ["\n".join(lines)] if lines else []
    changes = [change for one in report.audits for change in one.changes]
    if changes:
        yield _table(("metric", "before", "now", "difference"), [[code(name), *rest] for name, *rest in changes])
    if report.drift is not None:
        yield f"Drift of logged outputs ({said(report.drift.title)}):"
        rows = [[code(first[0]), *(said(text) for text, _ in rest)] for first, *rest in report.drift.rows]
        yield _table(report.drift.columns, rows)
    for where, judged in report.judged.items():
        yield f"Thresholds, as `audit` decided them{OF_WHAT[where]}:"
        yield from _thresholds(judged)
    if not report.audited:
        there = report.names("audits")
        yield _absent("`audit` was not run", report.command("audit")) if there else "The recipe names no audits"


def _audit(one: Audited) -> str:
    before = f" ({said(one.before)}: {said(one.before_severity)})" if one.before else ""
    parts = [f"- {code(one.name)} (by {one.where}): severity {said(one.level)}{before}. {said(one.summary)}"]
    parts += [f"  - to do: {said(one.advice)}"] if one.advice else []
    more = f" and {one.more_evidence:,} more" if one.more_evidence else ""
    parts += [f"  - shown by rows {', '.join(code(key) for key in one.evidence)}{more}"] if one.evidence else []
    return "\n".join(parts)


def _made(report: RunReport) -> Iterator[str]:
    yield "## What it was made from"
    lines = [f"- {said(name)}: {said(what)}" for name, what in run_facts(report.files.result)]
    lines += [
        f"- {said(name)}: {', '.join(f'{said(key)} {said(what)}' for key, what in facts)}"
        for name, facts in lock_groups(report.files.lock)
    ]
    yield from ["\n".join(lines)] if lines else []
    yield "The recipe with every default is [config.yaml](config.yaml)."
    yield "[The model card](README.md), and [a profile by NIST's AI risk management framework](nist-ai-rmf.md)."
