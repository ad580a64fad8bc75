"""Loss by step out of `metrics.csv`, thinned to what a plot can show."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

Points = list[tuple[float, float]]
_MOST = 400
_OF_TASK = "val/loss/"


@dataclass(frozen=True)
class Losses:
    """Losses by step, counted from 1.

    Args:
        train: Of training, in order.
        validation: Of validation; that before the first step is in `result.json` alone.
        each: Logged values that one point of `train` is the mean of.
        tasks: Of validation by task, where there are several.
    """

    train: Points
    validation: Points
    each: int = 1
    tasks: dict[str, Points] = field(default_factory=dict)


def read_losses(path: Path) -> Losses:
    """Read the losses of a run, one pass, in memory that does not depend on the number of steps.

    Lines that hold no numbers, such as the last of a killed process, are left out.
    """
    train, validation = Thinned(), Thinned()
    tasks: dict[str, Thinned] = {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        tasks |= {name: Thinned() for name in reader.fieldnames or () if name.startswith(_OF_TASK)}
        for row in reader:
            step = _number(row.get("step"))
            for column, points in (("loss", train), ("val/loss", validation), *tasks.items()):
                value = _number(row.get(column))
                if step is not None and value is not None:
                    points.add(step + 1, value)
    by_task = {name.removeprefix(_OF_TASK): found.points for name, found in tasks.items() if found.points}
    return Losses(train.points, validation.points, train.each, by_task)


class Thinned:
    """A curve of at most so many points: where there are more, each is the mean of two, of four, ...

    Args:
        most: Points at most, an even number.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._closed: Points = []
        self._open: Points = []
        self.each = 1

    @property
    def points(self) -> Points:
        """The curve so far."""
        return [*self._closed, *([_mean(self._open)] if self._open else [])]

    def add(self, step: float, value: float) -> None:
        """Add a value behind the others."""
        self._open.append((step, value))
        if len(self._open) < self.each:
            return
        self._closed.append(_mean(self._open))
        self._open = []
        if len(self._closed) == self._most:
            pairs = zip(self._closed[::2], self._closed[1::2], strict=True)
            self._closed = [_mean(list(pair)) for pair in pairs]
            self.each *= 2


def _mean(points: Points) -> tuple[float, float]:
    return math.fsum(x for x, _ in points) / len(points), math.fsum(y for _, y in points) / len(points)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
