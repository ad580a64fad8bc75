"""Metrics of a test as a report shows them: tuned beside a baseline, whole and by slices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.threshold import split_key

Json = Any
# More rows of slices than these would be read by nobody, and fill the page.
MOST_SLICES = 600


@dataclass(frozen=True)
class Compared:
    """One metric of the tuned model beside a baseline's, as `metrics.json` has it.

    Args:
        name: The metric.
        tuned: Value of the tuned model; None where it has none, as for what follows.
        base: The baseline's.
        difference: `tuned - base`.
        interval: Bounds of its 95 % interval.
        p: Its p-value, corrected for the number of metrics.
        effect: Cohen's d.
        rows: Rows that it was measured on.
        needed: Rows that would decide.
        higher_is_better: Where better is.
        unit: What it is counted in.
        change: `better`, `worse`, `undecided` or `same`.
        notes: What a reader must know.
    """

    name: str
    tuned: float | None
    base: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    effect: float | None
    rows: int
    needed: int | None
    higher_is_better: bool
    unit: str
    change: str
    notes: tuple[str, ...]

    @property
    def gain(self) -> float | None:
        """The difference, above 0 where the tuned model is better."""
        return None if self.difference is None else self.difference if self.higher_is_better else -self.difference


@dataclass(frozen=True)
class SlicesOf:
    """The slices of one kind.

    Args:
        kind: What they are told apart by.
        values: Their number.
        smallest: Rows of the smallest.
        lines: A slice's name and one of its metrics each.
        metrics: Metrics that are shown of how many.
    """

    kind: str
    values: int
    smallest: int
    lines: tuple[tuple[str, Compared], ...]
    metrics: tuple[int, int]


def compared(record: Mapping[str, Json] | None) -> list[Compared]:
    """The metrics of a record, in its order."""
    return [_one(name, found) for name, found in (record or {}).items()]


def important(metrics: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Metrics with those first that thresholds name."""
    known = list(metrics)
    named = [split_key(key, known)[0] for key in keys]
    return list(dict.fromkeys([*(name for name in named if name in known), *known]))


def by_slices(records: Sequence[Mapping[str, Json]], order: Sequence[str]) -> list[SlicesOf]:
    """Slices by kind; the metrics that come first in `order` where all of them are too many."""
    each = max(1, MOST_SLICES // max(1, len(records)))
    kinds: dict[str, list[Mapping[str, Json]]] = {}
    for record in records:
        kinds.setdefault(str(record.get("kind")), []).append(record)
    out = []
    for kind, parts in kinds.items():
        there = [name for name in order if any(name in (part.get("metrics") or {}) for part in parts)]
        lines = tuple(
            (str(part.get("value")), _one(name, part["metrics"][name]))
            for name in there[:each]
            for part in parts
            if name in (part.get("metrics") or {})
        )
        smallest = min(int(part.get("n") or 0) for part in parts)
        out.append(SlicesOf(kind, len(parts), smallest, lines, (min(each, len(there)), len(there))))
    return out


def _one(name: str, found: Mapping[str, Json]) -> Compared:
    interval = found.get("interval")
    p = found.get("p_adjusted")
    return Compared(
        name=name,
        tuned=found.get("tuned"),
        base=found.get("base"),
        difference=found.get("difference"),
        interval=None if not interval or None in interval else (float(interval[0]), float(interval[1])),
        p=p if p is not None else found.get("p_value"),
        effect=found.get("effect_size"),
        rows=int(found.get("n") or 0),
        needed=found.get("rows_needed"),
        higher_is_better=found.get("higher_is_better") is not False,
        unit=str(found.get("unit") or ""),
        change=str(found.get("change") or "undecided"),
        notes=tuple(str(note) for note in found.get("notes") or ()),
    )
