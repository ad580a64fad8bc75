"""One pass over `predictions.jsonl`: which rows got better and worse most, and which kinds of error there are.

Rows are remembered by their place in the file, so memory does not depend on their number.
"""

import heapq
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.report.mishaps import MEANINGS, mishaps
from tunesmith.report.pointed import EXAMPLES, Pointed, look

Json = Any
SHOWN = 200
AT_RANDOM = 40


@dataclass
class Changes:
    """How rows moved in one metric, tuned against base.

    Args:
        name: The metric.
        higher_is_better: Where better is.
    """

    name: str
    higher_is_better: bool
    better: int = 0
    worse: int = 0
    same: int = 0
    most: list[tuple[float, int]] = field(default_factory=list)
    least: list[tuple[float, int]] = field(default_factory=list)

    def add(self, row: Json, place: int, keep: int) -> None:
        """Count a row, and remember it where it is among the `keep` that moved most in its direction."""
        moved = gain(row, self.name, self.higher_is_better)
        if moved is None:
            return
        self.better, self.worse, self.same = (
            self.better + (moved > 0),
            self.worse + (moved < 0),
            self.same + (not moved),
        )
        heap = self.most if moved > 0 else self.least
        if moved:
            # of two that moved alike the earlier is kept
            (heapq.heappush if len(heap) < keep else heapq.heappushpop)(heap, (abs(moved), -place))

    @property
    def places(self) -> list[int]:
        """Where the rows lie that are remembered."""
        return [-place for _, place in (*self.most, *self.least)]


@dataclass
class Worst:
    """The rows at the worst value of one metric.

    Args:
        name: The metric.
        higher_is_better: Where better is.
    """

    name: str
    higher_is_better: bool
    value: float | None = None
    best: float | None = None
    rows: int = 0
    places: list[int] = field(default_factory=list)

    def add(self, row: Json, place: int) -> None:
        """Count a row if no other is worse."""
        value = measured(row, "tuned", self.name)
        if value is None:
            return
        sign = 1 if self.higher_is_better else -1
        if self.value is None or sign * value < sign * self.value:
            self.value, self.rows, self.places = value, 0, []
        if self.best is None or sign * value > sign * self.best:
            self.best = value
        if value == self.value:
            self.rows += 1
            if len(self.places) < EXAMPLES:
                self.places.append(place)

    @property
    def is_error(self) -> bool:
        """Whether the worst value is one: not where all rows are as good as 0 errors, or alike without being 0."""
        if self.value is None:
            return False
        return self.value != self.best or (self.value == 0) == self.higher_is_better


@dataclass
class Mishaps:
    """One kind of mishap: how many answers of each model show it, and where some of the tuned model's lie."""

    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    places: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What the rows hold.

    Args:
        rows: Their number.
        models: Who answered, `tuned` and `base` first.
        changes: By metric.
        worst: By metric.
        mishaps: By kind.
        pointed: What evaluators point at, by kind, the most frequent first.
        chosen: Places of the rows to show, in the file's order.
        said: Whether any model said anything: no evaluator may have asked for answers.
        broken: Lines that are no rows.
    """

    rows: int
    models: tuple[str, ...]
    changes: Sequence[Changes]
    worst: Sequence[Worst]
    mishaps: Sequence[Mishaps]
    pointed: Sequence[Pointed]
    chosen: Sequence[int]
    said: bool = True
    broken: int = 0


def see_rows(path: Path, directions: Mapping[str, bool], shown: int = SHOWN, at_random: int = AT_RANDOM) -> Seen:
    """Look at every row once.

    Args:
        path: A `predictions.jsonl`.
        directions: By metric, whether higher is better; the first are those that people can choose rows by.
        shown: Rows to show at most: all where there are no more, else the extremes of each metric and some at random.
        at_random: How many of those are chosen at random.
    """
    changes = [Changes(name, higher) for name, higher in directions.items()]
    worst = [Worst(name, higher) for name, higher in directions.items()]
    found = {kind: Mishaps(kind) for kind in MEANINGS}
    pointed: dict[str, Pointed] = {}
    keep = max(1, (shown - at_random) // max(1, 2 * len(changes)))
    draw = random.Random(0)  # noqa: S311  no secret
    drawn: list[int] = []
    first: list[int] = []
    models: dict[str, None] = {}
    rows = broken = 0
    said = False
    with path.open("rb") as file:
        for place, row in _rows(file):
            if row is None:
                broken += 1
                continue
            said = said or any((row.get(model) or {}).get("output") for model in ("tuned", "base"))
            models |= dict.fromkeys(name for name, its in row.items() if isinstance(its, dict) and "output" in its)
            for one in changes:
                one.add(row, place, keep)
            for other in worst:
                other.add(row, place)
            _look(row, place, found)
            look(row, place, ("tuned", "base"), pointed)
            if rows < shown:
                first.append(place)
            at = draw.randrange(rows + 1)  # algorithm R: every row has the same chance to stay
            if rows < at_random:
                drawn.append(place)
            elif at < at_random:
                drawn[at] = place
            rows += 1
    chosen = first if rows <= shown else sorted({*drawn, *(p for one in changes for p in one.places)})
    order = sorted(models, key=lambda name: (name != "tuned", name != "base"))
    kinds = sorted(pointed.values(), key=lambda one: -one.counts.total())
    return Seen(rows, tuple(order), changes, worst, list(found.values()), kinds, chosen, said, broken)


def rows_at(path: Path, places: Sequence[int]) -> Iterator[Json]:
    """The rows at these places."""
    with path.open("rb") as file:
        for place in places:
            file.seek(place)
            yield json.loads(file.readline())


def gain(row: Json, metric: str, higher_is_better: bool) -> float | None:
    """By how much the tuned model's value is better than the base's; None where one has none."""
    mine, theirs = measured(row, "tuned", metric), measured(row, "base", metric)
    if mine is None or theirs is None:
        return None
    return mine - theirs if higher_is_better else theirs - mine


def measured(row: Json, model: str, metric: str) -> float | None:
    """A model's value on a row; None where the metric does not apply."""
    value = ((row.get(model) or {}).get("measures") or {}).get(metric)
    return float(value) if isinstance(value, int | float) else None


def asked(row: Json) -> str:
    """What the model was asked, with all that was said before."""
    return "\n".join(str(turn.get("content") or "") for turn in row.get("prompt") or ())


def _rows(file: BinaryIO) -> Iterator[tuple[int, Json | None]]:
    place = 0
    for line in file:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if line.strip():
            yield place, row if isinstance(row, dict) else None
        place += len(line)


def _look(row: Json, place: int, found: Mapping[str, Mishaps]) -> None:
    prompt, reference = asked(row), str(row.get("reference") or "")
    for model in ("tuned", "base"):
        said = row.get(model) or {}
        if not isinstance(said.get("output"), str):
            continue
        for kind in mishaps(said["output"], prompt, reference, stopped=said.get("stopped") is not False):
            found[kind].counts[model] += 1
            if model == "tuned" and len(found[kind].places) < EXAMPLES:
                found[kind].places.append(place)
