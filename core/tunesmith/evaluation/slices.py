"""Parts of a test set: by task, source, length of the question, or the values of a column."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tunesmith.data.example import Example
from tunesmith.errors import RecipeError
from tunesmith.evaluation.measure import Measure
from tunesmith.evaluation.statistics import ENOUGH
from tunesmith.evaluation.threshold import split_key
from tunesmith.nearest import nearest, one_of

_MANY_NUMBERS = 12
_MANY = 50
_PARTS = 4


@dataclass
class Comparing:
    """How models are compared: the recipe's top-level key `comparison`.

    Args:
        slices: Parts that metrics are shown for besides the whole: `task`, `source`, `length` (words of the question,
            in quarters), or columns of the rows; columns of many numbers are cut into quarters.
        smallest: Rows that a slice must have before a threshold is asked of it.
    """

    slices: list[str] = field(default_factory=list)
    smallest: int = ENOUGH

    def check(self) -> None:
        """Check the values.

        Raises:
            RecipeError: `smallest` is below 1.
        """
        if self.smallest < 1:
            msg = f"comparison.smallest is {self.smallest}; it must be 1 or more"
            raise RecipeError(msg)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of a test set.

    Args:
        kind: What they were told apart by.
        value: What they have in common.
        rows: Their places in the test set.
    """

    kind: str
    value: str
    rows: tuple[int, ...]

    def of(self, measure: Measure) -> Measure:
        """A metric on these rows alone."""
        corpus = measure.corpus
        rows = self.rows
        part = None if corpus is None else lambda chosen: corpus([rows[i] for i in chosen])
        values = [measure.values[i] for i in rows]
        return replace(measure, values=values, corpus=part)


def kinds_asked(comparing: Comparing, success: Iterable[str], known: Container[str]) -> dict[str, str]:
    """The kinds of slices that a recipe asks for, each with the key that asks for it first.

    Args:
        comparing: Its `comparison`.
        success: Its keys of thresholds, such as `rouge/rougeL@task`.
        known: What evaluators and audits produce.
    """
    asked = dict.fromkeys(comparing.slices, "comparison.slices")
    for key in success:
        if kind := split_key(key, known)[1]:
            asked.setdefault(kind, f"success.{key}")
    return asked


def slices_of(examples: Sequence[Example], asked: Mapping[str, str]) -> dict[str, list[Slice]]:
    """Rows by what they have in common.

    Args:
        examples: The test set.
        asked: `task`, `source`, `length` or names of columns, each with the key that asks for it, as `kinds_asked`.

    Returns:
        Slices by kind, the largest first (those of numbers in order); rows without a value are in none, and one with
        a list of values is in several.

    Raises:
        RecipeError: No row has such a column, or its values are too many to be slices.
    """
    return {kind: _cut(kind, [_values(one, kind) for one in examples], examples, key) for kind, key in asked.items()}


def columns_of(kinds: Iterable[str]) -> list[str]:
    """The kinds of slices that are columns of the rows."""
    return [kind for kind in kinds if kind not in ("task", "source", "length")]


def _values(example: Example, kind: str) -> list[Any]:
    if kind == "task":
        return [example.task] if example.task else []
    if kind == "source":
        return [example.origin.source]
    if kind == "length":
        return [sum(len(turn.content.split()) for turn in example.prompt)]
    value = example.extras.get(kind)
    found = value if isinstance(value, list | tuple) else [value]
    return [_plain(one) for one in found if one is not None and one != ""]


def _plain(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number or isinstance(value, str) else str(value)


def _cut(kind: str, values: Sequence[list[Any]], examples: Sequence[Example], key: str) -> list[Slice]:
    rows: dict[Any, list[int]] = {}
    for at, found in enumerate(values):
        for value in dict.fromkeys(found):
            rows.setdefault(value, []).append(at)
    if any(isinstance(value, str) for value in rows):  # 1 and "1" would be two slices of one name
        rows = {}
        for at, found in enumerate(values):
            for name in dict.fromkeys(map(_said, found)):
                rows.setdefault(name, []).append(at)
    if not rows:
        raise RecipeError(_absent(kind, examples, key))
    numbers = [value for value in rows if not isinstance(value, str)]
    if len(numbers) == len(rows) and (kind == "length" or len(rows) > _MANY_NUMBERS):
        return _quarters(kind, rows)
    if len(rows) > _MANY:
        msg = f"{key}: {kind} has {len(rows)} values in the test set; name what has at most {_MANY}"
        raise RecipeError(msg)
    order = sorted(rows) if len(numbers) == len(rows) else sorted(rows, key=lambda v: (-len(rows[v]), str(v)))
    return [Slice(kind, _said(value), tuple(rows[value])) for value in order]


def _quarters(kind: str, rows: Mapping[Any, Sequence[int]]) -> list[Slice]:
    each = np.array([value for value, at in rows.items() for _ in at], dtype=np.float64)
    edges = np.quantile(each, np.linspace(0, 1, _PARTS + 1)[1:-1], method="lower")
    parts: dict[int, list[Any]] = {}
    for value in sorted(rows):
        parts.setdefault(int(np.searchsorted(edges, value, side="left")), []).append(value)
    cut = []
    for values in parts.values():
        name = _said(values[0]) if values[0] == values[-1] else f"{_said(values[0])} to {_said(values[-1])}"
        cut.append(Slice(kind, name, tuple(sorted(at for value in values for at in rows[value]))))
    return cut


def _said(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)
    # six figures tell small numbers apart, and make one of large ones
    return f"{value:g}" if abs(value) < 1e4 else f"{value:.15g}"


def _absent(kind: str, examples: Sequence[Example], key: str) -> str:
    columns = sorted({column for example in examples for column in example.extras})
    names = ["task", "source", "length", *columns]
    near = nearest(kind, [name for name in names if name != kind])
    hint = f"; did you mean {one_of(near)}?" if near else ""
    what = "no row of the test set has a task" if kind == "task" else f"no row of the test set has a column {kind}"
    return f"{key}: {what}{hint}\nslices can be: {', '.join(names)}"
