"""Encoded rows in a file, read through the memory map, and the numbers that plans and cards need of all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tunesmith.data.encoded import Encoded, Unit
from tunesmith.data.example import Example
from tunesmith.data.packing import Shape
from tunesmith.data.row_file import ArrowFile, ArrowWriter
from tunesmith.data.store import Store

_BATCH = 500
_SCHEMA = pa.schema(
    [
        ("example", pa.int64()),  # which of the split's examples
        ("ids", pa.list_(pa.int32())),  # of all sequences
        ("ends", pa.list_(pa.int32())),  # of each sequence in `ids`
        ("weights", pa.list_(pa.float64())),  # of runs of tokens with one weight, over all sequences
        ("runs", pa.list_(pa.int32())),  # tokens in each run
        ("truncated", pa.list_(pa.int8())),  # of each sequence: 0 or 1
        ("shares", pa.list_(pa.float64())),  # of each sequence
    ]
)


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


@dataclass(frozen=True)
class Sizes:
    """Numbers of each row, `[rows]`.

    Args:
        length: Tokens.
        supervised: Tokens with a loss weight.
        sequences: Sequences, 1 or 2.
        longest: Tokens of the longest.
        truncated: Whether any was cut.
    """

    length: NDArray[np.int64]
    supervised: NDArray[np.int64]
    sequences: NDArray[np.int64]
    longest: NDArray[np.int64]
    truncated: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[EncodedRow]) -> "Sizes":
        """Count them."""
        found = [_sizes(row.sequences) for row in rows]
        return cls(*np.array(found, np.int64).reshape(-1, 5).T)

    @property
    def shapes(self) -> list[Shape]:
        """Documents of each row, and the longest of them."""
        return [Shape(*pair) for pair in zip(self.sequences.tolist(), self.longest.tolist(), strict=True)]

    @property
    def units(self) -> dict[Unit, list[int]]:
        """Number of each unit in each row."""
        pairs = (self.sequences == 2).astype(np.int64)
        return {"token": self.supervised.tolist(), "example": [1] * len(self.length), "pair": pairs.tolist()}


def _sizes(sequences: Sequence[Encoded]) -> tuple[int, int, int, int, int]:
    lengths = [len(sequence.ids) for sequence in sequences]
    supervised = sum(sequence.supervised for sequence in sequences)
    return sum(lengths), supervised, len(lengths), max(lengths), any(sequence.truncated for sequence in sequences)


class EncodedWriter:
    """Writes encoded rows.

    Args:
        path: As in `ArrowWriter`.
        folder: As in `ArrowWriter`.
    """

    def __init__(self, path: Path | None = None, folder: Path | None = None) -> None:
        self._out = ArrowWriter(path, folder, _SCHEMA)
        self._name = "" if path is None else path.name
        self._held: list[tuple[Any, ...]] = []
        self._sizes: list[tuple[int, int, int, int, int]] = []

    def __enter__(self) -> "EncodedWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self._out.__exit__(*error)

    def add(self, at: int, sequences: Sequence[Encoded]) -> None:
        """Write the sequences of the split's example number `at`."""
        ids = list(chain.from_iterable(sequence.ids for sequence in sequences))
        weights = chain.from_iterable(sequence.weights for sequence in sequences)
        runs = [(weight, sum(1 for _ in run)) for weight, run in groupby(weights)]
        ends = list(accumulate(len(sequence.ids) for sequence in sequences))
        cut = [int(sequence.truncated) for sequence in sequences]
        shares = [sequence.share for sequence in sequences]
        self._held.append((at, ids, ends, [weight for weight, _ in runs], [count for _, count in runs], cut, shares))
        self._sizes.append(_sizes(sequences))
        if len(self._held) == _BATCH:
            self._flush()

    def finish(self, examples: Sequence[Example]) -> "EncodedRows":
        """Close the file and open it to be read.

        Args:
            examples: The split's, of which numbers were given.
        """
        self._flush()
        sizes = Sizes(*np.array(self._sizes, np.int64).reshape(-1, 5).T)
        return EncodedRows(self._out.finish(), examples, sizes, self._name)

    def _flush(self) -> None:
        if self._held:
            self._out.write(list(zip(*self._held, strict=True)))
            self._held = []


class EncodedRows(Sequence[EncodedRow]):
    """Encoded rows of a file, with their examples.

    Args:
        file: As `ArrowWriter.finish` returns it.
        examples: The split's.
        sizes: Of each row.
        name: The file's name; empty where it has none.
    """

    def __init__(self, file: IO[bytes], examples: Sequence[Example], sizes: Sizes, name: str = "") -> None:
        self.name = name
        self._file = ArrowFile(file)
        # numpy's views of the lists: Arrow makes an object of each number that it hands out
        self._views = [[_view(column) for column in batch.columns[1:]] for batch in self._file.batches]
        self._numbers = [batch.column(0).to_numpy() for batch in self._file.batches]
        self.examples = examples
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self._file)

    @overload
    def __getitem__(self, index: int) -> EncodedRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[EncodedRow]: ...
    def __getitem__(self, index: int | slice) -> EncodedRow | list[EncodedRow]:
        """A row, or a list of some."""
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        batch, row = self._file.find(range(len(self))[index])
        return EncodedRow(self.examples[int(self._numbers[batch][row])], self._sequences(batch, row))

    def __iter__(self) -> Iterator[EncodedRow]:
        examples = iter(self.their_examples())
        for batch, held in enumerate(self._numbers):
            for row in range(len(held)):
                yield EncodedRow(next(examples), self._sequences(batch, row))

    def their_examples(self) -> Sequence[Example]:
        """The example of each row, without its sequences."""
        numbers = np.concatenate([np.zeros(0, np.int64), *self._numbers])
        if isinstance(self.examples, Store):
            return self.examples.select(numbers)
        return [self.examples[number] for number in numbers.tolist()]

    def _sequences(self, batch: int, row: int) -> tuple[Encoded, ...]:
        lists = (values[ends[row] : ends[row + 1]].tolist() for ends, values in self._views[batch])
        ids, ends, weights, runs, truncated, shares = lists
        each = tuple(chain.from_iterable((weight,) * count for weight, count in zip(weights, runs, strict=True)))
        parts = pairwise((0, *ends))
        return tuple(
            Encoded(tuple(ids[a:b]), each[a:b], bool(cut), share)
            for (a, b), cut, share in zip(parts, truncated, shares, strict=True)
        )

    def __reduce__(self) -> Any:
        """Another process opens the file; where it has no name, it gets the rows."""
        if self.name:
            return _opened, (self._file.path, self.examples, self.sizes)
        return list, (list(self),)


def _view(column: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where each list of a column begins, with the end of the last; and the values of all."""
    return column.offsets.to_numpy(), column.values.to_numpy()


def _opened(path: Path, examples: Sequence[Example], sizes: Sizes) -> EncodedRows:
    return EncodedRows(path.open("rb"), examples, sizes, path.name)
