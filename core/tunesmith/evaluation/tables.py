"""What `test`, `predict` and `audit` show in a terminal: readable at 80 columns, without colour and in plain ASCII."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from tunesmith.evaluation.compare import Comparison
from tunesmith.evaluation.finding_tables import show_findings as show_findings
from tunesmith.evaluation.measure import Sample
from tunesmith.evaluation.metric_name import MetricName
from tunesmith.evaluation.run_test import Evaluation, Sliced
from tunesmith.evaluation.signs import Marks as Marks
from tunesmith.evaluation.signs import marks_of as _marks
from tunesmith.evaluation.signs import number as _value
from tunesmith.evaluation.signs import probability as _p
from tunesmith.evaluation.signs import put as _print
from tunesmith.evaluation.signs import signed as _signed
from tunesmith.evaluation.statistics import ENOUGH
from tunesmith.evaluation.success import Verdict
from tunesmith.printable import printable

_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "same": "dim"}
_STATES = {"met": "green", "missed": "red", "undecided": "yellow", "pending": "cyan"}
_BESIDE = 16


def show_evaluation(evaluation: Evaluation, console: Console, samples: int = 0) -> None:
    """Print metrics, notes, findings, a few rows and, last, the verdicts.

    Args:
        evaluation: What to print.
        console: Where.
        samples: Rows to show side by side.
    """
    marks = _marks(console)
    if samples:
        show_samples(evaluation.tuned, evaluation.base, console, samples)
    if evaluation.comparisons:
        _print(console, metrics_table(evaluation.comparisons, len(evaluation.examples), marks))
        for line in _notes(evaluation, marks):
            _print(console, Padding(Text(line, style="dim"), (0, 0, 0, 1)))
    for name, other in evaluation.others.items():
        _print(console, metrics_table(other.comparisons, len(evaluation.examples), marks, name))
        for line in _noted(other.comparisons, evaluation.comparisons):
            _print(console, Padding(Text(line, style="dim"), (0, 0, 0, 1)))
    for kind in dict.fromkeys(one.part.kind for one in evaluation.slices):
        _print(console, slices_table([one for one in evaluation.slices if one.part.kind == kind], marks))
    show_findings(evaluation.findings, console, evaluation.before, evaluation.evidence)
    if evaluation.verdicts:
        _print(console, verdict_table(evaluation.verdicts, marks))


def show_samples(tuned: Sequence[Sample], base: Sequence[Sample] | None, console: Console, limit: int = 3) -> None:
    """Print the first rows: prompt, reference, and both answers below each other."""
    for i, mine in enumerate(tuned[:limit]):
        table = RichTable(
            box=box.SIMPLE, show_header=False, pad_edge=False, title=f"row {mine.id}", title_justify="left"
        )
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("prompt", Text(mine.prompt[-1].content if mine.prompt else ""))
        if mine.reference:
            table.add_row("reference", Text(mine.reference))
        if base is not None:
            table.add_row("base", Text(_answer(base[i])))
        table.add_row("tuned", Text(_answer(mine)))
        _print(console, table)


def metrics_table(
    comparisons: Mapping[str, Comparison], n: int, marks: Marks | None = None, base: str = "base"
) -> RichTable:
    """A baseline beside tuned, a row a metric, with the difference's interval."""
    marks = marks or Marks()
    table = RichTable(
        title=f"{n} example{'s' if n != 1 else ''}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("metric", overflow="fold")
    for heading in (printable(base), "tuned", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, c in comparisons.items():
        sign = getattr(marks, c.change) if not math.isnan(c.base) else marks.nothing
        interval = _interval(c, marks)
        cells = (_value(c.base, c.unit, marks), _value(c.tuned, c.unit, marks))
        difference = marks.nothing if math.isnan(c.difference) else f"{_signed(c.difference)} {sign}"
        p_value = marks.nothing if c.p_adjusted is None else _p(c.p_adjusted)
        table.add_row(MetricName(name), *cells, Text(difference, style=_STYLES[c.change]), interval, p_value)
    return table


def slices_table(slices: Sequence[Sliced], marks: Marks | None = None) -> RichTable:
    """Slices of one kind: base and tuned of each metric, where they differ, and how many rows that is of."""
    marks = marks or Marks()
    smallest = min(len(one.part.rows) for one in slices)
    title = f"by {printable(slices[0].part.kind)}, the smallest of {smallest} row{'s' if smallest != 1 else ''}"
    table = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric, slice", overflow="fold")
    for heading in ("rows", "base", "tuned", "difference", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in slices[0].comparisons:
        # a line of its own: beside its slices it would have no room
        table.add_row(MetricName(name))
        for one in slices:
            c = one.comparisons[name]
            interval = _interval(c, marks)
            sign = getattr(marks, c.change) if not math.isnan(c.base) else marks.nothing
            difference = marks.nothing if math.isnan(c.difference) else f"{_signed(c.difference)} {sign}"
            cells = (_value(c.base, c.unit, marks), _value(c.tuned, c.unit, marks))
            shown = Text(difference, style=_STYLES[c.change])
            label = Padding(MetricName(one.part.value), (0, 0, 0, 2))
            table.add_row(label, str(c.n), *cells, shown, interval)
    return table


def verdict_table(verdicts: Sequence[Verdict], marks: Marks | None = None) -> RichTable:
    """Each threshold, whether it was met, and why it was set."""
    marks = marks or Marks()
    counts = {state: sum(verdict.state == state for verdict in verdicts) for state in ("undecided", "pending")}
    missed = sum(not verdict.passes for verdict in verdicts)
    title = f"success: {missed} of {len(verdicts)} not met" if missed else f"success: all {len(verdicts)} met"
    if counts["pending"]:
        title = title if missed else f"success: {len(verdicts) - counts['pending']} of {len(verdicts)} met"
        title += f", {counts['pending']} pending"
    if counts["undecided"]:
        title += f", {counts['undecided']} of them undecided"
    table = RichTable(title=title, title_justify="left", box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for verdict in verdicts:
        mark = Text(getattr(marks, verdict.state), style=_STATES[verdict.state])
        sentence = verdict.sentence.replace("≥", marks.at_least).replace("≤", marks.at_most)
        because = f"\nbecause: {printable(verdict.because)}" if verdict.because else ""
        table.add_row(mark, MetricName(verdict.key), Text(printable(sentence)).append(because, style="dim"))
    return table


def _notes(evaluation: Evaluation, marks: Marks) -> Iterator[str]:
    if evaluation.base is not None:
        undecided, same = f"{marks.undecided} undecided", f"{marks.same} no difference"
        yield f"{marks.better} better  {marks.worse} worse  {undecided}  {same}  p: by chance alone (Holm)"
    known = evaluation.comparisons
    by_count: dict[int, list[str]] = {}
    for name, c in known.items():
        by_count.setdefault(c.n, []).append(name)
    yield from _noted(known, {})
    wanted = {name: c.rows_needed for name, c in known.items() if c.rows_needed is not None and c.n >= ENOUGH}
    if wanted:
        more = ", ".join(f"{rows:,} for {name}" for name, rows in wanted.items())
        yield f"rows that would decide a difference like these: about {more}"
    fewer = [f"{n} for {_listed(names, known)}" for n, names in by_count.items() if n < len(evaluation.examples)]
    if fewer:
        yield f"on fewer examples: {'; '.join(fewer)}"
    cut = {"base": evaluation.base or (), "tuned": evaluation.tuned}
    for model, samples in cut.items():
        if count := sum(not sample.stopped for sample in samples):
            yield f"{count} of {len(samples)} answers of {model} were cut at generation.max_new_tokens"


def _noted(known: Mapping[str, Comparison], before: Mapping[str, Comparison]) -> Iterator[str]:
    """Notes on metrics, each with the metrics that it is on, but for those that were said of them before."""
    by_note: dict[str, list[str]] = {}
    for name, c in known.items():
        for note in c.notes:
            if name not in before or note not in before[name].notes:
                by_note.setdefault(note, []).append(name)
    yield from (f"{note}: {_listed(names, known)}" for note, names in by_note.items())


def _listed(names: Sequence[str], known: Collection[str]) -> str:
    """Metrics of a note, in short: `all metrics`, `alerts/*` for all of an evaluator, `*/rate` for one of several."""
    if len(names) == len(known):
        return "all metrics"
    return ", ".join(dict.fromkeys(_pattern(name, names, known) for name in names))


def _pattern(name: str, names: Collection[str], known: Collection[str]) -> str:
    """A pattern that of all known metrics matches several of `names` and no other; else the name."""
    owner, _, leaf = name.partition("/")
    for pattern, start, end in ((f"{owner}/*", f"{owner}/", ""), (f"*/{leaf}", "", f"/{leaf}")):
        alike = [k for k in known if k.startswith(start) and k.endswith(end)]
        if len(alike) > 1 and all(k in names for k in alike):
            return pattern
    return name


def _answer(sample: Sample) -> str:
    share = sample.probabilities.get(sample.output)
    said = sample.output if share is None else f"{sample.output} ({share:.3f})"
    return said if sample.stopped else f"{said} [cut]"


def _interval(found: Comparison, marks: Marks) -> str:
    """The interval of a difference, its ends below each other where beside each other they would squeeze the names."""
    if found.interval is None:
        return marks.nothing
    low, high = map(_signed, found.interval)
    return f"{low}..{high}" if len(low + high) <= _BESIDE else f"{low}..\n{high}"
