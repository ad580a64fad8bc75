"""Files of rows as UTF-8 lines, whichever encoding the first bytes say and whichever character ends their lines.

Excel writes UTF-16 with a mark in front (BOM), and some of its exports end lines in a carriage return alone.
"""

import codecs
import io
from pathlib import Path
from typing import IO

from tunesmith.errors import DataError

# In this order: the mark of UTF-16 is how that of UTF-32 begins.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# How files begin that are none of text, and what to do with them.
_NO_TEXT = {
    b"\x1f\x8b": "a gzip file; let its name end in .gz",
    b"\x28\xb5\x2f\xfd": "a zstd file; let its name end in .zst",
    b"PK\x03\x04": "a zip archive, as workbooks (.xlsx) are too; unpack it, or save the sheet as CSV",
    b"PAR1": "a Parquet file; let its name end in .parquet",
    b"%PDF": "a PDF file; let its name end in .pdf",
    b"\xd0\xcf\x11\xe0": "an old workbook or document (.xls, .doc); save it as CSV or DOCX",
}
# Where NULs stand in the first two letters, as all files of rows begin with ASCII: a brace, or a column's name.
_UNMARKED = ((False, True, False, True), (True, False, True, False))
_CHUNK = 1 << 16
# So much without one line feed is no file of lines, unless these end in carriage returns.
_LOOK = 1 << 20


def as_utf8(path: Path, file: IO[bytes]) -> IO[bytes]:
    """The bytes of a file as UTF-8, without a mark; lines that end in a carriage return alone end in a line feed.

    Args:
        path: Where it lies, for messages.
        file: Its bytes.

    Raises:
        DataError: It is no text, or UTF-16 and does not say so, or not the UTF-16 or UTF-32 that it says; the latter
            while reading.
    """
    begin = file.read(4)
    what = next((what for start, what in _NO_TEXT.items() if begin.startswith(start)), "")
    if what and not _is_text(begin + file.read(_CHUNK)):  # a text may begin with %PDF as well
        msg = f"{path} is {what}"
        raise DataError(msg)
    if len(begin) == 4 and tuple(byte == 0 for byte in begin) in _UNMARKED:
        msg = f"{path} is UTF-16 without the mark that says so (BOM); save it as UTF-8"
        raise DataError(msg)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if begin.startswith(mark)), (b"", "utf-8"))
    size = 0
    file.seek(size)
    while mark and file.read(len(mark)) == mark:  # some programs write it in front of one that is there
        size += len(mark)
    file.seek(size)
    look = file.read(_LOOK).decode(encoding, "ignore")
    file.seek(size)
    utf8 = file if encoding == "utf-8" else io.BufferedReader(_Recoded(path, file, encoding), _CHUNK)
    # One at the end of the look may be half of a line's end.
    returns = "\n" not in look and "\r" in look[:-1]
    return io.BufferedReader(_Returns(utf8), _CHUNK) if returns else utf8


def _is_text(data: bytes) -> bool:
    """Whether bytes that go on may be UTF-8 without controls."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return not any(character < "\t" for character in text)


class _Recoded(io.RawIOBase):
    """Another encoding as UTF-8. Half a surrogate pair becomes bytes that are no UTF-8: it costs its row alone."""

    def __init__(self, path: Path, file: IO[bytes], encoding: str) -> None:
        self._path, self._file, self._encoding = path, file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._waiting = b""

    def readable(self) -> bool:
        """As every stream that is read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # of any writable buffer
        """Fill the buffer; 0 at the end."""
        ended = False
        while not self._waiting and not ended:
            raw = self._file.read(_CHUNK)
            ended = not raw
            try:
                text = self._decoder.decode(raw, final=ended)
            except UnicodeDecodeError as error:
                name = self._encoding[:6].upper()
                msg = f"{self._path} begins as {name} and is none ({error.reason}); save it as UTF-8"
                raise DataError(msg) from error
            self._waiting = text.encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size

    def close(self) -> None:
        """Close the file behind it."""
        self._file.close()
        super().close()


class _Returns(io.RawIOBase):
    """Bytes of UTF-8 whose lines end in a carriage return; a line feed takes its place."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """As every stream that is read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # of any writable buffer
        """Fill the buffer; 0 at the end."""
        found = self._file.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the file behind it."""
        self._file.close()
        super().close()
