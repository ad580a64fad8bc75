"""Examples in a file of their own, read through the memory map: a million take no memory but that of those in use.

The file is Arrow's IPC format, one record an example. It is written once and never changed.
"""

import mmap
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tunesmith.data.codec import from_bytes, origin_text, to_bytes, to_origin
from tunesmith.data.example import Example, Origin
from tunesmith.errors import DataError

Rows = NDArray[np.int64]
DIGEST = 16
_BATCH = 2000
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("number", pa.int64()),
        ("digest", pa.binary(DIGEST)),
        ("example", pa.large_binary()),
    ]
)


class ArrowWriter:
    """Writes an Arrow file that has its name once it is whole, or never has one.

    Args:
        path: The file; None for one that no name leads to, and that is gone with its last reader: rows that must not
            stay on the disk (design, decision 15), however the run ends.
        folder: Where a file without a name lies; it is made.
        schema: Its columns.

    Raises:
        DataError: There is no room; raised by all methods.
    """

    def __init__(self, path: Path | None, folder: Path | None, schema: Any) -> None:
        self._path, self._schema = path, schema
        self._where = path.parent if path is not None else folder
        self._part = path.with_name(f"{path.name}.part") if path is not None else None
        try:
            if self._where is not None:
                self._where.mkdir(parents=True, exist_ok=True)
            # closed by `finish` or `__exit__`
            self._file: IO[bytes] = (
                tempfile.TemporaryFile(dir=self._where) if self._part is None else self._part.open("w+b")  # noqa: SIM115
            )
        except OSError as error:
            raise self._unwritten(error) from error
        self._writer = pa.ipc.new_file(self._file, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._file.closed:
            self._file.close()
            if self._part is not None:
                self._part.unlink(missing_ok=True)

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        """Write one batch of records."""
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        try:
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        except OSError as error:
            raise self._unwritten(error) from error

    def finish(self) -> IO[bytes]:
        """Close the file, give it its name, and return it, open to be read."""
        try:
            self._writer.close()
            self._file.flush()
        except OSError as error:
            raise self._unwritten(error) from error
        if self._path is None or self._part is None:
            return self._file
        self._file.close()
        self._part.replace(self._path)
        return self._path.open("rb")

    def _unwritten(self, error: OSError) -> DataError:
        where = self._where or tempfile.gettempdir()
        return DataError(f"rows cannot be kept in {where}: {error.strerror or error}; make room there")


class ArrowFile:
    """Record batches of an Arrow file, through the memory map.

    Args:
        file: As `ArrowWriter.finish` returns it; closed here.

    Raises:
        pyarrow.ArrowInvalid: It is no whole Arrow file.
        ValueError: It is empty.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.path = Path(str(file.name))
        with file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(self._map))
        self.batches = [reader.get_batch(at) for at in range(reader.num_record_batches)]
        ends = np.cumsum([batch.num_rows for batch in self.batches], dtype=np.int64)
        self.starts = np.concatenate([np.zeros(1, np.int64), ends])
        self._begins = self.starts.tolist()
        self._columns = [batch.columns for batch in self.batches]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def value(self, row: int, column: int) -> Any:
        """One value of a column."""
        batch, inner = self.find(row)
        return self._columns[batch][column][inner].as_py()

    def find(self, row: int) -> tuple[int, int]:
        """The batch that holds a row, and its number in it."""
        batch = bisect_right(self._begins, row) - 1
        return batch, row - self._begins[batch]

    def take(self, rows: Rows, columns: Sequence[int]) -> list[list[Any]]:
        """The values of some columns at these rows, in their order."""
        at = np.searchsorted(self.starts, rows, side="right") - 1
        found: list[list[Any]] = [[None] * len(rows) for _ in columns]
        for number in np.unique(at).tolist():
            places = np.flatnonzero(at == number)
            inner = rows[places] - self.starts[number]
            batch, whole = self.batches[number], int(inner[-1]) - int(inner[0]) == len(inner) - 1
            for column, into in zip(columns, found, strict=True):
                values = batch.column(column)
                # most are read in order: a slice then, which costs a third of a choice
                in_order = whole and bool((inner[1:] > inner[:-1]).all())
                taken = values.slice(int(inner[0]), len(inner)) if in_order else values.take(pa.array(inner))
                for place, value in zip(places.tolist(), taken.to_pylist(), strict=True):
                    into[place] = value
        return found


class RowWriter:
    """Writes examples.

    Args:
        path: As in `ArrowWriter`.
        folder: As in `ArrowWriter`.
    """

    def __init__(self, path: Path | None = None, folder: Path | None = None) -> None:
        self._out = ArrowWriter(path, folder, _SCHEMA)
        self.name = "" if path is None else path.name
        self._held: list[tuple[str, str, int, bytes, bytes]] = []
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._out.__exit__(*error)

    def add(self, example: Example, number: int, packed: "Packed") -> int:
        """Write one; returns which row of the file it is."""
        self._held.append((example.id, packed.origin, number, packed.digest, packed.data))
        if len(self._held) == _BATCH:
            self._flush()
        self._rows += 1
        return self._rows - 1

    def finish(self) -> "RowFile":
        """Close the file and open it to be read."""
        self._flush()
        return RowFile(self._out.finish(), self.name)

    def _flush(self) -> None:
        if self._held:
            self._out.write(list(zip(*self._held, strict=True)))
            self._held = []


class Packed:
    """An example as bytes.

    Raises:
        DataError: It holds what JSON does not know.
    """

    __slots__ = ("data", "digest", "origin")

    def __init__(self, example: Example) -> None:
        try:
            self.data = to_bytes(example)
        except (TypeError, ValueError) as error:
            msg = f"{example.origin}: the example {error}; formatters and curators may keep JSON's types only"
            raise DataError(msg) from error
        self.origin = origin_text(example.origin)
        self.digest = _digest(self.data, self.origin)


def _digest(data: bytes, origin: str) -> bytes:
    made = blake2b(origin.encode(), digest_size=DIGEST)
    made.update(b"\0" + data)
    return made.digest()


class RowFile(ArrowFile):
    """Examples of one file.

    Args:
        file: As in `ArrowFile`.
        name: Its name in its folder; empty for a file without one.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(file)
        self.name = name

    def example(self, row: int) -> Example:
        """The example at one row."""
        return self._example(*(self.value(row, column) for column in (0, 1, 3, 4)))

    def examples(self, rows: Rows) -> list[Example]:
        """The examples at these rows."""
        return [self._example(*values) for values in zip(*self.take(rows, (0, 1, 3, 4)), strict=True)]

    def _example(self, key: str, origin: str, digest: bytes, data: bytes) -> Example:
        if _digest(data, origin) != digest:
            msg = f"{self.path} is damaged, which nobody but the disk or a person does; delete {self.path.parent}"
            raise DataError(msg)
        return from_bytes(data, key, to_origin(origin))

    def ids(self, rows: Rows) -> list[str]:
        """The ids of the examples at these rows."""
        return self.take(rows, (0,))[0]

    def origins(self, rows: Rows) -> list[Origin]:
        """The origins of the examples at these rows."""
        return [to_origin(text) for text in self.take(rows, (1,))[0]]

    def origin(self, row: int) -> str:
        """The origin of one, as `origin_text` writes it."""
        return str(self.value(row, 1))

    def numbers(self, rows: Rows) -> Rows:
        """As which row each of them was read; -1 for those that were made."""
        return self._column(2, np.dtype(np.int64))[rows]

    def digests(self, rows: Rows) -> NDArray[np.void]:
        """What identifies all of each but its id."""
        return self._column(3, np.dtype(f"V{DIGEST}"))[rows]

    def _column(self, column: int, kind: "np.dtype[Any]") -> NDArray[Any]:
        parts = [
            np.frombuffer(batch.column(column).buffers()[1], kind, batch.num_rows, batch.column(column).offset)
            for batch in self.batches
        ]
        return np.concatenate(parts) if parts else np.zeros(0, kind)
