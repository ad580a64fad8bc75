"""What evaluators point at in answers and references, as `predictions.jsonl` holds it: read, counted, told apart."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Json = Any
EXAMPLES = 5
# Of one text; more would hide it.
_MOST = 300
_WORDS, _QUOTED = 40, 12


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a text, and what is said of it."""

    start: int
    end: int
    label: str


@dataclass
class Pointed:
    """One kind of thing that an evaluator points at: how many answers of each model show it, and where some lie."""

    label: str
    counts: Counter[str] = field(default_factory=Counter)
    places: list[int] = field(default_factory=list)


def in_output(row: Json, model: str) -> list[Stretch]:
    """What evaluators point at in a model's answer."""
    return _within(str((row.get(model) or {}).get("output") or ""), _marks(row, model, "output"))


def in_reference(row: Json, models: Iterable[str]) -> list[Stretch]:
    """What they point at in the reference, with the models whose answers make them do so."""
    by: dict[tuple[int, int, str], list[str]] = {}
    for model in models:
        for label, start, end in _marks(row, model, "reference"):
            by.setdefault((start, end, label), []).append(model)
    found = ((f"{label}, by {' and '.join(who)}", start, end) for (start, end, label), who in by.items())
    return _within(str(row.get("reference") or ""), found)


def look(row: Json, place: int, models: Sequence[str], found: dict[str, Pointed]) -> None:
    """Count a row by the kinds of what is pointed at in it, in its answers' references too."""
    for model in models:
        labels = [label for where in ("output", "reference") for label, _, _ in _marks(row, model, where)]
        for label in dict.fromkeys(labels):
            one = found.setdefault(label, Pointed(label))
            one.counts[model] += 1
            if model == "tuned" and len(one.places) < EXAMPLES:
                one.places.append(place)


def legend(text: str, stretches: Iterable[Stretch]) -> list[str]:
    """What is pointed at in a text in words, a line each kind: for where nothing can be hovered over."""
    words: dict[str, dict[str, None]] = {}
    for one in stretches:
        said = " ".join(text[one.start : one.end].split())
        words.setdefault(one.label, {})[said if len(said) <= _WORDS else f"{said[:_WORDS]}…"] = None
    lines = []
    for label, quoted in words.items():
        more = f" and {len(quoted) - _QUOTED} more" if len(quoted) > _QUOTED else ""
        lines.append(f"{label}: {', '.join(list(quoted)[:_QUOTED])}{more}")
    return lines


def apart(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Stretches in order, none of which lies over another: what is said of a part that several cover is one label."""
    ends = sorted({end for one in stretches for end in (one.start, one.end)})
    out: list[Stretch] = []
    for start, end in pairwise(ends):
        labels = dict.fromkeys(one.label for one in stretches if one.start <= start and end <= one.end)
        if not labels:
            continue
        label = "; ".join(labels)
        if out and out[-1].end == start and out[-1].label == label:
            out[-1] = Stretch(out[-1].start, end, label)
        else:
            out.append(Stretch(start, end, label))
    return out


def _marks(row: Json, model: str, where: str) -> Iterator[tuple[str, int, int]]:
    """Label, start and end of each mark that can be read."""
    said = row.get(model)
    marks = said.get("marks") if isinstance(said, Mapping) else None
    for evaluator, ones in marks.items() if isinstance(marks, Mapping) else ():
        for one in ones if isinstance(ones, list) else ():
            if not isinstance(one, Mapping) or one.get("where", "output") != where:
                continue
            start, end = one.get("start"), one.get("end")
            if isinstance(start, int) and isinstance(end, int):
                kind = f" {one['kind']}" if one.get("kind") else ""
                yield f"{evaluator}: {one.get('what')}{kind}", start, end


def _within(text: str, marks: Iterable[tuple[str, int, int]]) -> list[Stretch]:
    found = [Stretch(start, end, label) for label, start, end in marks if 0 <= start < end <= len(text)]
    return found[:_MOST]
