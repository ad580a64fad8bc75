"""What audits found, as a report shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tunesmith.evaluation.signs import is_probability
from tunesmith.report.numerals import NOTHING, probability, signed, span, value

Json = Any
_ROWS = 40
_EVIDENCE = 5
_RANKS = ("none", "low", "medium", "high")


@dataclass(frozen=True)
class Cells:
    """A table of an audit: cells as text, with what they are sorted by; `left_out` counts rows that are not shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, float | None], ...], ...]
    left_out: int


@dataclass(frozen=True)
class Audited:
    """The findings of one audit.

    Args:
        name: Its name in the recipe.
        where: What ran it with these findings.
        severity: The worst of what was found.
        summary: What was found.
        advice: What to do about it.
        metrics: Its scalars by name, those that have a value.
        tables: Its tables.
        evidence: Ids of the first rows that show it.
        more_evidence: How many more there are.
        rows: What the first of them say, with the place of each.
        before: Where it looked before: `base`, `raw rows`, a run; empty where nowhere.
        before_severity: The worst of what it found there.
        changes: Its scalars there and here, and the difference.
        judged: Whether any of its metrics has a value; where none has, it found too little to judge.
        p: Its smallest p-value, and the same corrected for the number of audits; empty where it tells none.
    """

    name: str
    where: str
    severity: str
    summary: str
    advice: str
    metrics: tuple[tuple[str, str], ...]
    tables: tuple[Cells, ...]
    evidence: tuple[str, ...]
    more_evidence: int
    rows: tuple[tuple[str, str], ...] = ()
    before: str = ""
    before_severity: str = ""
    changes: tuple[tuple[str, str, str, str], ...] = ()
    judged: bool = True
    p: tuple[str, str] | None = None

    @property
    def level(self) -> str:
        """The severity, which is none as well where nothing was judged."""
        return self.severity if self.judged else f"{self.severity}, nothing judged"


def audited(found: Mapping[str, Mapping[str, Json] | None]) -> list[Audited]:
    """The findings of several files, the worst first; what two of them say alike of an audit is one.

    Args:
        found: By what made them: the content of a `findings.json`.
    """
    out: list[tuple[str, list[str], Mapping[str, Json]]] = []
    for name in dict.fromkeys(name for findings in found.values() for name in findings or ()):
        for where, findings in found.items():
            if not findings or name not in findings:
                continue
            same = next((one for one in out if one[0] == name and _alike(one[2], findings[name])), None)
            if same:
                same[1].append(where)
            else:
                out.append((name, [where], findings[name]))
    told = [_audited(name, " and ".join(where), findings) for name, where, findings in out]
    return sorted(told, key=lambda one: -_RANKS.index(one.severity) if one.severity in _RANKS else 0)


def drift_cells(drift: Mapping[str, Json] | None) -> Cells | None:
    """The metrics of logged outputs beside those of a baseline; None where there is none."""
    moved = (drift or {}).get("drift") or ()
    if not drift or not moved:
        return None
    rows = tuple(_moved(one) for one in moved[:_ROWS])
    against = drift.get("baseline") or {}
    rows_there = f"{against.get('rows') or 0:,} of {against.get('what') or 'a baseline'}"
    title = f"{drift.get('rows') or 0:,} logged outputs, against {rows_there}"
    columns = ("metric", "before", "now", "difference", "change", "95 % interval", "p (Holm)")
    return Cells(title, columns, rows, max(0, len(moved) - _ROWS))


def _moved(one: Mapping[str, Json]) -> tuple[tuple[str, float | None], ...]:
    numbers = [one.get(key) for key in ("before", "value")]
    interval, p = one.get("interval"), one.get("p_adjusted")
    return (
        (str(one.get("key")), None),
        *((value(number), number) for number in numbers),
        (signed(one.get("difference")), one.get("difference")),
        (str(one.get("change") or ""), None),
        (span(interval) or str(one.get("note") or NOTHING), None),
        (probability(p), p),
    )


def has_judged(found: Mapping[str, Json]) -> bool:
    """Whether an audit's findings judge anything: where all metrics lack a value, there was too little to judge."""
    metrics = found.get("metrics") or {}
    return not metrics or any(value is not None for value in metrics.values())


def _alike(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    """Whether two files say the same of an audit, wherever else and beside which audits it looked."""
    own = [{k: v for k, v in said.items() if k not in ("before", "p_among_audits", "rows")} for said in (one, other)]
    return own[0] == own[1]


def _audited(name: str, where: str, found: Mapping[str, Json]) -> Audited:
    metrics = found.get("metrics") or {}
    evidence = [str(key) for key in found.get("evidence") or ()]
    before = found.get("before") or {}
    old = before.get("metrics") or {}
    changed = [key for key, number in metrics.items() if number is not None and old.get(key) is not None]
    p, among = metrics.get("p"), found.get("p_among_audits")
    return Audited(
        name=name,
        where=where,
        severity=str(found.get("severity") or "none"),
        summary=str(found.get("summary") or ""),
        advice=str(found.get("advice") or ""),
        metrics=tuple(
            (f"{name}/{key}", _value(key, number))
            for key, number in metrics.items()
            if number is not None and key not in changed
        ),
        tables=tuple(_table(table) for table in found.get("tables") or ()),
        evidence=tuple(evidence[:_EVIDENCE]),
        more_evidence=max(0, len(evidence) - _EVIDENCE),
        rows=tuple((str(row.get("origin") or row.get("id")), str(row.get("text"))) for row in found.get("rows") or ()),
        before=str(before.get("what") or ""),
        before_severity=str(before.get("severity") or ""),
        changes=tuple(
            (f"{name}/{key}", _value(key, old[key]), _value(key, metrics[key]), signed(metrics[key] - old[key]))
            for key in changed
        ),
        judged=has_judged(found),
        p=None if p is None or among is None else (probability(p), probability(among)),
    )


def _table(table: Mapping[str, Json]) -> Cells:
    rows = table.get("rows") or []
    columns = tuple(str(column) for column in table.get("columns") or ())
    shown = tuple(
        tuple(_cell(cell, heading) for cell, heading in zip_longest(row, columns, fillvalue="")) for row in rows[:_ROWS]
    )
    return Cells(str(table.get("title") or ""), columns, shown, max(0, len(rows) - _ROWS))


def _value(key: str, number: float) -> str:
    return probability(number) if is_probability(key) else value(number)


def _cell(cell: Json, heading: Json) -> tuple[str, float | None]:
    if isinstance(cell, bool | str):
        return str(cell), None
    if isinstance(cell, int):
        return f"{cell:,}", float(cell)
    return (probability(cell) if cell is not None and is_probability(str(heading)) else value(cell)), cell
