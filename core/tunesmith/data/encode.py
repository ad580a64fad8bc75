"""Examples to encoded rows: what an objective makes of them, cut to length, every drop counted by reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tunesmith.data.encoded import Encoded, Unit
from tunesmith.data.example import Example, Origin
from tunesmith.data.packing import Shape
from tunesmith.data.truncate import Truncation, truncate
from tunesmith.errors import DataError, RowError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Objective, Renderer

UNSUPERVISED = "no supervised token"
CUT_AWAY = "no supervised token left after truncation"
TOO_LONG = "longer than data.max_length"


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """An example with its sequences: one, or the two of a pair, which stay in one micro-batch."""

    example: Example
    sequences: tuple[Encoded, ...]

    @property
    def length(self) -> int:
        """Tokens of all its sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)

    @property
    def units(self) -> dict[Unit, int]:
        """What it counts of each unit that a loss may be divided by."""
        supervised = sum(sequence.supervised for sequence in self.sequences)
        return {"token": supervised, "example": 1, "pair": int(len(self.sequences) == 2)}


@dataclass(frozen=True, slots=True)
class Drop:
    """A row that could not be trained on: which, where it was read, and why. Never its text."""

    id: str
    origin: Origin
    reason: str


@dataclass(frozen=True)
class EncodedSplit:
    """The encoded rows of a split, and what became of the others: `len(examples) == len(rows) + len(drops)`.

    Args:
        rows: In the order of the examples.
        drops: Rows left out.
    """

    rows: list[EncodedRow] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [row.length for row in self.rows]

    @cached_property
    def shapes(self) -> list[Shape]:
        """Documents of each row, and the longest of them."""
        return [Shape(len(row.sequences), max(len(s.ids) for s in row.sequences)) for row in self.rows]

    @cached_property
    def units(self) -> dict[Unit, list[int]]:
        """Number of each unit in each row."""
        counted = [row.units for row in self.rows]
        kinds: tuple[Unit, ...] = ("token", "example", "pair")
        return {unit: [counts[unit] for counts in counted] for unit in kinds}

    @cached_property
    def truncated(self) -> list[str]:
        """Ids of the rows that were cut."""
        return [row.example.id for row in self.rows if any(sequence.truncated for sequence in row.sequences)]

    @property
    def counts(self) -> dict[str, Any]:
        """The split in numbers, for screens, cards and locks; JSON-able."""
        return {
            "examples": len(self.rows) + len(self.drops),
            "rows": len(self.rows),
            "dropped": dict(Counter(drop.reason for drop in self.drops).most_common()),
            "truncated": len(self.truncated),
            "tokens": sum(self.lengths),
            "supervised": sum(self.units["token"]),
        }


def encode_split(
    examples: Iterable[Example],
    objective: Objective,
    renderer: Renderer,
    max_length: int | None,
    truncation: Truncation = "right",
    *,
    bos: int | None = None,
) -> EncodedSplit:
    """Encode every example, or drop and count it.

    Args:
        examples: What the formatters and curators made of the rows.
        objective: Says how an example becomes sequences.
        renderer: Text to token ids.
        max_length: Tokens a sequence at most; None for no limit.
        truncation: What to do with a longer sequence.
        bos: Id of the token that opens every sequence, which truncation from the left keeps.

    Raises:
        DataError: There are examples, and not one can be trained on (traps 13, 15).
    """
    split = EncodedSplit()
    for example in examples:
        fitted = _encode(example, objective, renderer, max_length, truncation, bos)
        if isinstance(fitted, str):
            split.drops.append(Drop(example.id, example.origin, fitted))
        else:
            split.rows.append(EncodedRow(example, fitted))
    if split.drops and not split.rows:
        raise DataError(_nothing_left(split.drops))
    return split


def _encode(
    example: Example, objective: Objective, renderer: Renderer, longest: int | None, policy: Truncation, bos: int | None
) -> tuple[Encoded, ...] | str:
    """The sequences as they are trained on, or the reason why they are not."""
    try:
        with blamed("model.objective", objective):
            whole = tuple(_sound(sequence, objective) for sequence in objective.encode(example, renderer))
    except RowError as error:
        return f"{error.field}: {error.reason}"
    labelled = objective.model_class != "classification"  # a class is predicted from the sequence, not token by token
    if not whole or not all(s.ids for s in whole):
        return "no tokens"
    if labelled and not all(s.supervised for s in whole):
        return UNSUPERVISED
    if longest is None:
        return whole
    cut = truncate(whole, longest, policy, bos)
    if cut is None:
        return TOO_LONG
    if labelled and not all(s.supervised for s in cut):
        return CUT_AWAY
    return cut


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
