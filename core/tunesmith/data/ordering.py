"""What a recipe's mixture and curriculum mean for the training rows that there are."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.curriculum import LENGTH, LOSS, Curriculum, Order
from tunesmith.data.encode import EncodedSplit
from tunesmith.data.encoded_rows import EncodedRows
from tunesmith.data.example import Example
from tunesmith.data.mixture import Draws, Mixture
from tunesmith.data.sources import Source
from tunesmith.data.store import Store
from tunesmith.errors import DataError, RecipeError
from tunesmith.nearest import did_you_mean

_OWN = {"label", "task"}


def draws_of(split: EncodedSplit, mixture: Mixture, sources: Mapping[str, Source], seed: int) -> Draws | None:
    """How often each row is drawn in an epoch; None where each is drawn once.

    Args:
        split: The training rows.
        mixture: What the recipe says.
        sources: Its sources, by name.
        seed: Its seed.

    Raises:
        RecipeError: A weight is given to what no row has, or all weigh nothing.
    """
    weights = weights_of(sources)
    if not mixture.mixes(weights) or not len(split.rows):
        return None
    return mixture.draws(_values(split, mixture.by), weights, seed)


def weights_of(sources: Mapping[str, Source]) -> dict[str, float]:
    """Weights of the sources that may have training rows."""
    return {name: source.weight for name, source in sources.items() if source.split in (None, "train")}


def order_of(split: EncodedSplit, curriculum: Curriculum | None, losses: NDArray[np.float64] | None) -> Order | None:
    """The curriculum over these rows; None where there is none, or losses are asked for and not known yet.

    Args:
        split: The training rows.
        curriculum: What the recipe says.
        losses: Mean loss of each row under the base, `[rows]`.

    Raises:
        DataError: A row has no number in the column that is asked for.
    """
    if curriculum is None or not len(split.rows):
        return None
    if curriculum.by == LENGTH:
        return Order(curriculum, np.asarray(split.lengths, np.float64))
    if curriculum.by == LOSS:
        return None if losses is None else Order(curriculum, losses)
    return Order(curriculum, np.array(list(_numbers(split, curriculum.by)), np.float64))


def _numbers(split: EncodedSplit, column: str) -> Iterator[float]:
    for example in _examples(split):
        number = _number(example.extras.get(column))
        if number is None:
            value = example.extras.get(column)
            near = did_you_mean(column, [LENGTH, LOSS, *example.extras])
            said = f"has no {column}{near}" if value is None else f"has {column} {value!r}, which is no number"
            msg = (
                f"data.curriculum.by is {column}, and row {example.id} ({example.origin}) {said}\n"
                f"every training row needs one; or order by {LENGTH} or {LOSS}"
            )
            raise DataError(msg)
        yield number


def _number(value: Any) -> float | None:
    """A finite number, which a file may hold as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _values(split: EncodedSplit, by: str) -> list[str]:
    """What each row is weighed by; empty where it has none."""
    examples = _examples(split)
    if by == "source":
        origins = examples.origins() if isinstance(examples, Store) else (one.origin for one in examples)
        return [origin.source for origin in origins]
    if by not in _OWN and not any(by in example.extras for example in examples):
        columns = sorted({name for example in examples for name in example.extras})
        known = ["source", *sorted(_OWN), *columns]
        msg = f"data.mixture.by is {by}, which no training row has{did_you_mean(by, known)}; one of {', '.join(known)}"
        raise RecipeError(msg)
    return [_said(example, by) for example in examples]


def _said(example: Example, by: str) -> str:
    value: Any = {"label": example.label, "task": example.task or None}.get(by, example.extras.get(by))
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, default=str)


def _examples(split: EncodedSplit) -> Sequence[Example]:
    rows = split.rows
    return rows.their_examples() if isinstance(rows, EncodedRows) else [row.example for row in rows]
