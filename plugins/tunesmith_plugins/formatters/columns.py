"""What the formatters share: a column's value as text, and refusals that name the columns that are there."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith import RowError


def column(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column.

    Raises:
        RowError: There is no such column; names the nearest and those that are there.
    """
    if name in row:
        return row[name]
    close = difflib.get_close_matches(name, list(row), n=1)
    raise RowError(name, f"is not a column{f'; did you mean {close[0]}?' if close else ''}", row)


def optional_text(row: Mapping[str, Any], name: str) -> str:
    """A column as text; empty where the column is missing or null."""
    return as_text(row[name], name) if name in row else ""


def as_text(value: Any, name: str) -> str:
    """A value as text: numbers and booleans as JSON spells them, null as nothing.

    Raises:
        RowError: It is a list or a map.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise RowError(name, f"is {kind(value)}; text is wanted")


def filled(text: str, name: str) -> str:
    """The text, unless it is empty or blank.

    Raises:
        RowError: It is.
    """
    if not text.strip():
        raise RowError(name, "is empty")
    return text


def absent(row: Mapping[str, Any], name: str) -> bool:
    """Whether a column is missing, null, blank or an empty list."""
    value = row.get(name)
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def kind(value: Any) -> str:
    """What a value is, in a user's words."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "null" if value is None else "text" if isinstance(value, str) else type(value).__name__


def others(row: Mapping[str, Any], consumed: Iterable[str]) -> dict[str, Any]:
    """The columns that a formatter did not consume, for `Example.extras`."""
    gone = set(consumed)
    return {name: value for name, value in row.items() if name not in gone}
