"""Lines of files that nobody promised to be short, within a stated bound of memory."""

from collections.abc import Iterator
from typing import IO

MIB = 2**20
LONGEST_LINE = 8 * MIB
"""Bytes of a line or record, letters of a text: a longer one is set aside. The longest books have five million.

Tokens with their places take 600 bytes each, so that a row of this length costs two gigabytes while it is encoded.
"""
LARGEST_WHOLE = 2048 * MIB
"""Bytes of a file that can be read as a whole only, unpacked."""
TOO_LONG = f"the line is longer than {LONGEST_LINE // MIB} MiB; split the document"


def lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Each line with its end; None for one that is longer than the bound, which is passed over and never held."""
    while raw := file.readline(LONGEST_LINE + 1):
        if len(raw) <= LONGEST_LINE or raw.endswith(b"\n"):
            yield raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(MIB)
        yield None
