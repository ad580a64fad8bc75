"""Files of ranked rows, for people to look at."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunesmith import RecipeError


def check_ranked(path: Path | None, by: str) -> None:
    """Refuse to write over a file that holds something else.

    Args:
        path: Where rows are listed; None for nowhere.
        by: Who lists them.

    Raises:
        RecipeError: There is a file that `by` has not written.
    """
    if path is None or not path.exists():
        return
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
        line = json.loads(first) if first else {"by": by}
    except (OSError, ValueError):
        line = None
    if not isinstance(line, dict) or line.get("by") != by:
        msg = f"ranked is {path}, which {by} has not written and would write over; name another file, or move it"
        raise RecipeError(msg)


def write_ranked(path: Path, by: str, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; folders that are not there are made.

    Raises:
        RecipeError: The file cannot be written, or is not one that `by` has written.
    """
    check_ranked(path, by)
    part = path.with_name(f".{path.name}.{os.getpid()}")  # every process of a run may write it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(json.dumps({"by": by, **line}) + "\n" for line in lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        msg = f"ranked is {path}, which cannot be written: {error.strerror}"
        raise RecipeError(msg) from error
