"""What audits found, as a report shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.report.numerals import value

Json = Any
_ROWS = 40
_EVIDENCE = 5


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


def audited(found: Mapping[str, Mapping[str, Json] | None]) -> list[Audited]:
    """The findings of several files; what two of them say alike of an audit is one.

    Args:
        found: By what made them: the content of a `findings.json`.
    """
    out: list[tuple[str, list[str], Mapping[str, Json]]] = []
    for name in dict.fromkeys(name for findings in found.values() for name in findings or ()):
        for where, findings in found.items():
            if not findings or name not in findings:
                continue
            same = next((one for one in out if one[0] == name and one[2] == findings[name]), None)
            if same:
                same[1].append(where)
            else:
                out.append((name, [where], findings[name]))
    return [_audited(name, " and ".join(where), findings) for name, where, findings in out]


def _audited(name: str, where: str, found: Mapping[str, Json]) -> Audited:
    metrics = found.get("metrics") or {}
    evidence = [str(key) for key in found.get("evidence") or ()]
    return Audited(
        name=name,
        where=where,
        severity=str(found.get("severity") or "none"),
        summary=str(found.get("summary") or ""),
        advice=str(found.get("advice") or ""),
        metrics=tuple((f"{name}/{key}", value(number)) for key, number in metrics.items() if number is not None),
        tables=tuple(_table(table) for table in found.get("tables") or ()),
        evidence=tuple(evidence[:_EVIDENCE]),
        more_evidence=max(0, len(evidence) - _EVIDENCE),
    )


def _table(table: Mapping[str, Json]) -> Cells:
    rows = table.get("rows") or []
    shown = tuple(tuple(_cell(cell) for cell in row) for row in rows[:_ROWS])
    columns = tuple(str(column) for column in table.get("columns") or ())
    return Cells(str(table.get("title") or ""), columns, shown, max(0, len(rows) - _ROWS))


def _cell(cell: Json) -> tuple[str, float | None]:
    if isinstance(cell, bool | str):
        return str(cell), None
    if isinstance(cell, int):
        return f"{cell:,}", float(cell)
    return value(cell), cell
