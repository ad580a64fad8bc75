"""Signs and numbers of tables in a terminal."""

import math
from dataclasses import dataclass

from rich.console import Console, RenderableType


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs of tables."""

    better: str = "▲"
    worse: str = "▼"
    undecided: str = "~"
    same: str = "="
    met: str = "✓"
    missed: str = "✗"
    pending: str = "?"
    nothing: str = "."
    at_least: str = "≥"
    at_most: str = "≤"


_PLAIN = Marks("+", "-", "~", "=", "ok", "NO", "?", ".", ">=", "<=")


def marks_of(console: Console) -> Marks:
    """The signs that a terminal can show."""
    return _PLAIN if console.options.ascii_only else Marks()


def number(value: float, unit: str, marks: Marks) -> str:
    """A value with its unit."""
    if math.isnan(value):
        return marks.nothing
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def signed(value: float) -> str:
    """A difference."""
    return f"{value:+.3f}" if abs(value) < 10 else f"{value:+.4g}"


def probability(value: float) -> str:
    """A p-value."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def is_probability(name: str) -> bool:
    """Whether a metric or a column is called a p-value, which is never shown as 0."""
    return name == "p" or name.endswith("_p")


def put(console: Console, part: RenderableType) -> None:
    """Print a part as it stands."""
    console.print(part, highlight=False, markup=False, soft_wrap=False)
