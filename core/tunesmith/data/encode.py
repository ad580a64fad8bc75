"""Examples to encoded rows: what an objective makes of them, cut to length, every drop counted by reason."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.data.encoded import Encoded, Unit
from tunesmith.data.encoded_rows import EncodedRow, EncodedRows, EncodedWriter, Sizes
from tunesmith.data.example import Example, Origin
from tunesmith.data.packing import Shape
from tunesmith.data.truncate import Truncation, truncate
from tunesmith.errors import DataError, RowError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Objective, Renderer

UNSUPERVISED = "no supervised token"
CUT_AWAY = "no supervised token left after truncation"
TOO_LONG = "longer than data.max_length"
_LOOKED_AT = 16
SAME = "both answers are the same after truncation"


@dataclass(frozen=True, slots=True)
class Drop:
    """A row that could not be trained on: which, where it was read, and why. Never its text."""

    id: str
    origin: Origin
    reason: str


@dataclass(frozen=True)
class EncodedSplit:
    """The encoded rows of a split, and what became of the others.

    It holds that `len(examples) == len(rows) - pieces + len(drops)`.

    Args:
        rows: In the order of the examples.
        drops: Examples left out.
        pieces: Rows that are further pieces of the same example as the row before them.
    """

    rows: Sequence[EncodedRow]
    drops: Sequence[Drop] = ()
    pieces: int = 0

    @cached_property
    def sizes(self) -> Sizes:
        """Numbers of each row."""
        return self.rows.sizes if isinstance(self.rows, EncodedRows) else Sizes.of(self.rows)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        found: list[int] = self.sizes.length.tolist()
        return found

    @cached_property
    def shapes(self) -> list[Shape]:
        """Documents of each row, and the longest of them."""
        return self.sizes.shapes

    @cached_property
    def units(self) -> dict[Unit, list[int]]:
        """Number of each unit in each row."""
        return self.sizes.units

    @cached_property
    def truncated(self) -> list[str]:
        """Ids of the rows that were cut."""
        return [self.rows[at].example.id for at in np.flatnonzero(self.sizes.truncated).tolist()]

    @property
    def counts(self) -> dict[str, Any]:
        """The split in numbers, for screens, cards and locks; JSON-able."""
        return {
            "examples": len(self.rows) - self.pieces + len(self.drops),
            "rows": len(self.rows),
            "pieces": self.pieces,
            "dropped": dict(Counter(drop.reason for drop in self.drops).most_common()),
            "truncated": len(self.truncated),
            "tokens": sum(self.lengths),
            "supervised": sum(self.units["token"]),
        }


def encode_split(
    examples: Sequence[Example],
    objective: Objective,
    renderer: Renderer,
    max_length: int | None,
    truncation: Truncation = "right",
    *,
    bos: int | None = None,
    closing: int | None = None,
    into: Callable[[], EncodedWriter] = EncodedWriter,
) -> EncodedSplit:
    """Encode every example, or drop and count it.

    Args:
        examples: What the formatters and curators made of the rows.
        objective: Says how an example becomes sequences.
        renderer: Text to token ids.
        max_length: Tokens a sequence at most; None for no limit.
        truncation: What to do with a longer sequence.
        bos: Id of the token that opens every sequence, which truncation from the left keeps.
        closing: Id of the mark that closes every sequence of an encoder, which truncation from the right keeps.
        into: Opens the file of the rows.

    Raises:
        DataError: There are examples, and not one can be trained on (traps 13, 15).
    """
    drops, pieces = [], 0
    beside = type(objective).encode_beside is not Objective.encode_beside
    with into() as writer:
        for at, example in enumerate(examples):
            other = other_than(examples, at) if beside else None
            fitted = _encode(example, other, objective, renderer, max_length, truncation, (bos, closing))
            if isinstance(fitted, str):
                drops.append(Drop(example.id, example.origin, fitted))
                continue
            for row in fitted:
                writer.add(at, row)
            pieces += len(fitted) - 1
        rows = writer.finish(examples)
    if drops and not len(rows):
        raise DataError(_nothing_left(drops))
    return EncodedSplit(rows, drops, pieces)


def encode_alone(
    examples: Sequence[Example],
    objective: Objective,
    renderer: Renderer,
    max_length: int | None,
    truncation: Truncation,
    marks: tuple[int | None, int | None],
) -> list[EncodedRow]:
    """Examples of no split, as its rows are encoded; those that are no row, or several pieces, are left out.

    Args:
        examples: In any number.
        objective: As in `encode_split`.
        renderer: As in `encode_split`.
        max_length: As in `encode_split`.
        truncation: As in `encode_split`.
        marks: `bos` and `closing` of `encode_split`.
    """
    found = [(one, _encode(one, None, objective, renderer, max_length, truncation, marks)) for one in examples]
    return [EncodedRow(one, rows[0]) for one, rows in found if not isinstance(rows, str) and len(rows) == 1]


def other_than(examples: Sequence[Example], at: int) -> Example | None:
    """The nearest example before the one at `at` that asks something else and has an answer; the last follow the first.

    Looked for among a few only, so that a long run of one prompt costs no more.
    """
    own = examples[at].prompt
    for back in range(1, min(_LOOKED_AT, len(examples) - 1) + 1):
        found = examples[at - back]
        if found.messages and found.messages[-1].role == "assistant" and found.prompt != own:
            return found
    return None


def _encode(
    example: Example,
    other: Example | None,
    objective: Objective,
    renderer: Renderer,
    longest: int | None,
    policy: Truncation,
    marks: tuple[int | None, int | None],
) -> list[tuple[Encoded, ...]] | str:
    """The rows as they are trained on, one but where it is cut into pieces; or the reason why there is none."""
    try:
        with blamed("model.objective", objective):
            found = objective.encode_beside(example, other, renderer)
            whole = tuple(_sound(sequence, objective) for sequence in found)
    except RowError as error:
        return f"{error.field}: {error.reason}"
    labelled = objective.model_class != "classification"  # a class is predicted from the sequence, not token by token
    if not whole or not all(s.ids for s in whole):
        return "no tokens"
    if labelled and not all(s.supervised for s in whole):
        return UNSUPERVISED
    if longest is None:
        return [whole]
    if len(whole) == 1 and len(whole[0].ids) > longest:
        with blamed("model.objective", objective):
            pieces = objective.cut(whole[0], longest, *marks)
        if pieces is not None:
            return [(piece,) for piece in pieces if piece.supervised or not labelled] or CUT_AWAY
    cut = truncate(whole, longest, policy, *marks)
    if cut is None:
        return TOO_LONG
    if labelled and not all(s.supervised for s in cut):
        return CUT_AWAY
    if len(cut) == 2 and cut[0].ids == cut[1].ids and whole[0].ids != whole[1].ids:
        return SAME
    return [cut]


def _sound(sequence: Encoded, objective: Objective) -> Encoded:
    """The sequence with no weight on its first token, which nothing predicts: batches and counts agree on it."""
    if len(sequence.ids) != len(sequence.weights):
        msg = f"{type(objective).__name__} encoded {len(sequence.ids)} tokens with {len(sequence.weights)} weights"
        raise ValueError(msg)
    if not sequence.weights or sequence.weights[0] == 0:
        return sequence
    return replace(sequence, weights=(0.0, *sequence.weights[1:]))


def _nothing_left(drops: Sequence[Drop]) -> str:
    reasons = Counter(drop.reason for drop in drops).most_common(3)
    listed = "; ".join(f"{number} x {reason}" for reason, number in reasons)
    first = drops[0]
    return f"not one of {len(drops)} examples can be trained on: {listed} (the first is {first.id or first.origin})"
