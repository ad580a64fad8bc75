"""Rows of files that are no source of a recipe: lists, benchmarks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.data.read import read_file
from tunesmith.data.rows import Reject
from tunesmith.errors import DataError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file in any of the formats that sources are read from, each as its columns.

    Since 0.9.

    Args:
        path: The file; its ending says the format.

    Raises:
        DataError: It is not there, or a row of it cannot be read.
    """
    if why := why_no_file(path):
        names = [p.name for p in path.parent.iterdir()] if why == ABSENT and path.parent.is_dir() else []
        msg = f"{path} {why}{did_you_mean(path.name, names)}"
        raise DataError(msg)
    for row in read_file(path):
        if isinstance(row, Reject):
            raise DataError(row.told())
        yield row.values
