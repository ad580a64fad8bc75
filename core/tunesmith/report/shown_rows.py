"""Rows of a test as a page shows them: what was asked, wanted and said, differences marked, within a size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.report.markup import against, is_marked, plainly, visible
from tunesmith.report.pointed import Stretch, in_output, in_reference, legend
from tunesmith.report.seen_rows import Seen, asked, gain, measured, rows_at

Json = Any
# Of all rows together, in bytes: a page of 3 MB holds them and all else.
ROOM = 2_000_000
_LONGEST, _SHORTEST = 4_000, 120
# What marking differences and escaping add to texts of few differences.
_MARKED = 1.2
_SNIPPET = 110
_VALUE = 40
_UNMARKED = "how it differs from the reference is not marked: the texts are too long, or repeat themselves too often"


@dataclass(frozen=True)
class Shown:
    """One row.

    Args:
        id: Its id.
        origin: Where it comes from.
        facets: What it can be filtered by: `task: x`, `source: y`, `column: value`.
        gains: By metric, how much better the tuned model is; None where the metric does not apply.
        values: By metric: base and tuned.
        snippet: The begin of the tuned model's answer.
        parts: What was asked, wanted and said: who said it, what, and lines about what evaluators point at in it.
    """

    id: str
    origin: str
    facets: tuple[str, ...]
    gains: tuple[float | None, ...]
    values: tuple[tuple[str, float | None, float | None], ...]
    snippet: str
    parts: tuple[tuple[str, Markup, tuple[str, ...]], ...]

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        texts = [text for _, said, lines in self.parts for text in (said, *lines)]
        return 400 + sum(len(text.encode("utf-8", "replace")) for text in texts) + 110 * len(self.values)


def shown_rows(path: Path, seen: Seen, directions: Mapping[str, bool]) -> tuple[list[Shown], int]:
    """The chosen rows, those that got better by the first metric first.

    Args:
        path: `predictions.jsonl`.
        seen: What was chosen.
        directions: By metric, whether higher is better.

    Returns:
        The rows, and the number of characters that texts were shortened to so that all of them fit.
    """
    longest = _fitting(path, seen)
    while True:
        rows: list[Shown] = []
        size = 0
        for row in rows_at(path, seen.chosen):
            rows.append(_shown(row, seen.models, directions, longest))
            size += rows[-1].size
            if size > ROOM and longest > _SHORTEST:
                break
        else:
            return sorted(rows, key=_order), longest
        longest //= 2


def _fitting(path: Path, seen: Seen) -> int:
    """About how long texts may be: their lengths alone are looked at, since marking differences takes time."""
    lengths: list[int] = []
    for row in rows_at(path, seen.chosen):
        said = [str((row.get(model) or {}).get("output") or "") for model in seen.models]
        lengths += [
            len(text.encode("utf-8", "replace")) for text in (asked(row), str(row.get("reference") or ""), *said)
        ]
    longest = _LONGEST
    while longest > _SHORTEST and _MARKED * sum(min(length, longest) for length in lengths) > ROOM:
        longest //= 2
    return longest


def excerpts(path: Path, places: Sequence[int], most: int = 400) -> list[Shown]:
    """Rows in short, without the other models, for a gallery of errors."""
    return [_shown(row, ["tuned"], {}, most) for row in rows_at(path, places)]


def _order(row: Shown) -> float:
    return -row.gains[0] if row.gains and row.gains[0] is not None else 0.0


def _shown(row: Json, models: Sequence[str], directions: Mapping[str, bool], longest: int) -> Shown:
    reference = row.get("reference")
    reference = reference if isinstance(reference, str) else ""
    parts: list[tuple[str, Markup, tuple[str, ...]]] = [("asked", plainly(asked(row), longest), ())]
    if reference:
        points = in_reference(row, models)
        parts.append(("reference", plainly(reference, longest, points), _legend(reference, points)))
    for model in models:
        if isinstance(said := row.get(model), dict):
            note = "" if said.get("stopped") is not False else ", cut"
            output, points = str(said.get("output") or ""), in_output(row, model)
            lines = _legend(output, points)
            if not is_marked(output, reference, longest):
                lines = (*lines, _UNMARKED)
            parts.append((f"{model}{note}", against(output, reference, longest, points), lines))
    values = tuple((name, measured(row, "base", name), measured(row, "tuned", name)) for name in directions)
    return Shown(
        id=str(row.get("id")),
        origin=_origin(row.get("origin") or {}),
        facets=tuple(_facets(row)),
        gains=tuple(gain(row, name, higher) for name, higher in directions.items()),
        values=values,
        snippet=" ".join(str((row.get("tuned") or {}).get("output") or "")[: 4 * _SNIPPET].split())[:_SNIPPET],
        parts=tuple(parts),
    )


def _legend(text: str, points: Sequence[Stretch]) -> tuple[str, ...]:
    return tuple(visible(line) for line in legend(text, points))


def _origin(origin: Mapping[str, Json]) -> str:
    file = Path(str(origin.get("file") or origin.get("source") or "")).name
    return f"{file}:{origin['line']}" if origin.get("line") else file


def _facets(row: Json) -> list[str]:
    """What the row has in common with others: short values that can be chosen from a list."""
    found = [("task", row.get("task")), ("source", (row.get("origin") or {}).get("source"))]
    found += list((row.get("columns") or {}).items())
    out = []
    for name, value in found:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str | int | float | bool) and one != "" and len(str(one)) <= _VALUE:
                out.append(f"{name}: {one}")
    return list(dict.fromkeys(out))
