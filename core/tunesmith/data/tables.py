"""Tables to rows: CSV, TSV and Parquet."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tunesmith.data.lines import LONGEST_LINE, TOO_LONG, lines
from tunesmith.data.rows import Reject, Row, plain
from tunesmith.errors import DataError, RowError


class _TooLongError(csv.Error):
    """A line is longer than the bound."""


class _Lines:
    """The lines of a file, which a parser may take back to the second line of a record that broke."""

    def __init__(self, file: IO[bytes]) -> None:
        self._text = _decoded(file)
        self._waiting: deque[str | None] = deque()
        self._size = 0
        self.record: list[str | None] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._text)
        self.record.append(line)
        self.number += 1
        if line is None:
            raise _TooLongError
        self._size += len(line)
        if self._size > LONGEST_LINE:
            raise csv.Error  # a quote that is never closed would hold the rest of the file
        return line

    def peek(self) -> str:
        """The next line, which stays the next; empty at the end."""
        if not self._waiting:
            self._waiting.extend(islice(self._text, 1))
        return (self._waiting[0] or "") if self._waiting else ""

    def begin(self) -> None:
        """Note that the next line begins a record."""
        self.record = []
        self._size = 0

    def give_back(self) -> None:
        """Put back all lines of the record but its first."""
        self.number -= len(self.record) - 1
        self._waiting.extendleft(reversed(self.record[1:]))
        self.record = self.record[:1]


def _decoded(file: IO[bytes]) -> Iterator[str | None]:
    for data in lines(file):
        if data is None:
            yield None
            continue
        for line in data.splitlines(keepends=True):
            # Bytes that are no UTF-8 become lone surrogates, so that they cost their row and not the file.
            yield line.decode("utf-8", "surrogateescape")


def read_csv(path: Path, file: IO[bytes], delimiter: str | None) -> Iterator[Row | Reject]:
    """Rows of a table with a header; every value is text.

    A record that breaks the quoting rules costs its first line only, and reading goes on at the next: a quote that is
    never closed would otherwise swallow the rest of the file.

    Args:
        path: Where it lies, for messages.
        file: Its bytes.
        delimiter: None for the first of comma, semicolon and tab that the header has.

    Raises:
        DataError: The header is not usable.
    """
    if csv.field_size_limit() < LONGEST_LINE:  # documents are longer than the 128 KiB at which the csv module stops
        csv.field_size_limit(LONGEST_LINE)
    text = _Lines(file)
    header: list[str] | None = None
    parser = csv.reader(text, strict=True, delimiter=delimiter or _delimiter(text.peek()))
    while True:
        text.begin()
        begin = text.number + 1
        try:
            record = next(parser)
        except StopIteration:
            return
        except csv.Error:
            text.give_back()
            (first,) = text.record
            if header is None:
                what = "line is too long" if first is None else "quotes are not closed"
                msg = f"{path}:{begin}: the header's {what}"
                raise DataError(msg) from None
            if first is None:
                yield Reject(str(path), begin, "", TOO_LONG)
                continue
            broken = first.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield Reject(str(path), begin, "", "the quotes are not closed", broken.rstrip())
            continue
        if not record:
            continue
        if header is None:
            header = _header(path, begin, record)
            continue
        yield _record(path, begin, header, record)


def _delimiter(header: str) -> str:
    return next((mark for mark in ",;\t" if mark in header), ",")


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    try:
        plain({"header": names})
    except RowError as error:
        msg = f"{path}:{line}: the header cannot be read: {error.reason}"
        raise DataError(msg) from None
    _refuse_repeats(path, names)
    return names


def _refuse_repeats(path: Path, names: Sequence[str]) -> None:
    unnamed = [str(at) for at, name in enumerate(names, 1) if not name.strip()]
    if len(unnamed) > 1:
        msg = f"{path}: columns {', '.join(unnamed)} have no name in the header; name them, or delete them"
        raise DataError(msg)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        msg = f"{path}: column {repeated!r} stands twice in the header; rename one of them"
        raise DataError(msg)


def _values(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The records of a batch; for one that holds what Python does not know, the column at fault."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for at in range(batch.num_rows):
            found: dict[str, Any] = {}
            try:
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    wrong = name
                    found[name] = column[at].as_py()
            except (ValueError, OverflowError):
                yield wrong
                continue
            yield found


def _record(path: Path, line: int, header: list[str], record: list[str]) -> Row | Reject:
    if len(record) != len(header):
        reason = f"the row has {len(record)} columns where the header has {len(header)}"
        return Reject(str(path), line, "", reason, record)
    values = dict(zip(header, record, strict=True))
    return _checked(str(path), line, values, missing_nan=False)


def _checked(file: str, line: int, values: dict[str, Any], missing_nan: bool) -> Row | Reject:
    try:
        return Row(file, line, plain(values, missing_nan))
    except RowError as error:
        return Reject(file, line, error.field, error.reason, values)


def read_parquet(path: Path) -> Iterator[Row | Reject]:
    """Rows of a Parquet file, streamed by row group; dates are ISO text, NaN is null.

    Raises:
        DataError: The file is broken or has a column twice.
    """
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _refuse_repeats(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=1024):
                for values in _values(batch):
                    number += 1
                    if isinstance(values, dict):
                        yield _checked(str(path), number, values, missing_nan=True)
                    else:
                        yield Reject(str(path), number, values, "cannot be read: text that is not UTF-8, or a date")
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"{path} cannot be read as Parquet after {number} records: {reason}"
        raise DataError(msg) from error
