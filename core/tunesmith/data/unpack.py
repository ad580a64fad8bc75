"""Packed files: gzip by the standard library, zstd by pyarrow."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any, cast

PACKED = (".gz", ".zst")
# What the readers of packed files raise for content that is broken; all others are the file system's.
BROKEN = (gzip.BadGzipFile, EOFError, zlib.error)


def open_unpacked(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked where its name ends in `.gz` or `.zst`.

    Raises:
        OSError: It cannot be opened.
    """
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return io.BufferedReader(_Zstd(path)) if ending == ".zst" else path.open("rb")


def packing(path: Path) -> str:
    """How a file is packed, for messages."""
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "")


class _Zstd(io.RawIOBase):
    """The bytes of a zstd file, of one frame or several; goes back by beginning again."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._path, self._library = path, pa
        self._stream: Any = None
        self.seek(0)

    def readable(self) -> bool:
        """As every stream that is read."""
        return True

    def seekable(self) -> bool:
        """Whether it goes back."""
        return True

    def tell(self) -> int:
        """Unpacked bytes that were read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Begin again, and read up to `offset`."""
        if whence:
            msg = "from the beginning only"
            raise io.UnsupportedOperation(msg)
        if self._stream is not None:
            self._stream.close()
        # opened here, so that a file that is not there says so in the system's words
        self._stream = self._library.CompressedInputStream(self._library.PythonFile(self._path.open("rb")), "zstd")
        self._at = len(self._stream.read(offset)) if offset else 0
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; 0 at the end."""
        try:
            found = self._stream.read(len(buffer))
        except OSError as error:
            # Arrow says no number, the system does
            raise (EOFError(str(error)) if error.errno is None else error) from error
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self) -> None:
        """Close the file behind it."""
        if self._stream is not None:
            self._stream.close()
        super().close()
