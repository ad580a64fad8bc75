"""Rows that a formatter reads, found by asking: it names the field that it misses, and gets a value for it."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tunesmith.data.example import Example
from tunesmith.data.intake import check_content
from tunesmith.errors import RowError
from tunesmith.testing.check import Trial

_ASKED, _SAID = "Which lamp is hot?", "The lamp in the hall."
_TURNS = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
CANDIDATES: tuple[Any, ...] = (
    _ASKED,
    _TURNS,
    _TURNS[1:],
    [{"from": "human", "value": _ASKED}, {"from": "gpt", "value": _SAID}],
    [_ASKED, _SAID],
    [[_ASKED, _SAID]],
    {"text": _ASKED},
    3,
    0.5,
    True,
    [1, 0],
    json.dumps(_TURNS),
    [_TURNS[0], {**_TURNS[1], "weight": 0.5}],
)
"""Values that columns of training data hold."""
_MOST_FIELDS = 16
_MOST_ROWS = 24


def readable_rows(trial: Trial, read: Callable[[Mapping[str, Any]], Any] | None = None) -> list[dict[str, Any]]:
    """Rows that the formatter makes an example of: given ones, the author's, and those that are found.

    Args:
        trial: The formatter.
        read: What has to succeed; by default `format`, with content.
    """
    read = read or (lambda row: formatted(trial, row))
    given = [dict(row) for row in (*trial.rows, *trial.plugin.trial_rows())]
    known = [row for row in given if refusal(read, row) is None]
    found = _found(read)
    if found is not None:
        known.append(found)
        known += _varied(read, found)
    return known[:_MOST_ROWS]


def formatted(trial: Trial, row: Mapping[str, Any]) -> Example:
    """The example that the formatter makes of a row.

    Raises:
        RowError: It cannot read the row, or makes nothing of it.
    """
    example: Example = trial.plugin.format(copy.deepcopy(row))
    check_content(example)
    return example


def refusal(read: Callable[[Mapping[str, Any]], Any], row: Mapping[str, Any]) -> Exception | None:
    """What the formatter raises on a row; None where it reads it."""
    try:
        read(row)
    except Exception as error:
        return error
    return None


def named_fields(trial: Trial) -> set[str]:
    """Columns that the formatter asks for by name in its refusals."""
    found: set[str] = set()
    for row in ({}, *(dict.fromkeys(row) for row in readable_rows(trial)[:1])):
        if isinstance(error := refusal(trial.plugin.format, dict(row)), RowError):
            found.add(root(error.field, row))
    return found - {""}


def root(field: str, row: Mapping[str, Any]) -> str:
    """The column that a field's name begins with: `messages[2].role` lies in `messages`."""
    if field in row:
        return field
    inside = [name for name in row if field.startswith((f"{name}[", f"{name}."))]
    return max(inside, key=len, default=re.split(r"[\[]|\.(?=\w+$)", field)[0] if "[" in field else field)


def _found(read: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any] | None:
    row: dict[str, Any] = {}
    for _ in range(_MOST_FIELDS):
        error = refusal(read, row)
        if error is None:
            return row
        if not isinstance(error, RowError) or not (field := root(error.field, row)):
            return None
        for value in CANDIDATES:
            tried = {**row, field: value}
            then = refusal(read, tried)
            if then is None or (isinstance(then, RowError) and root(then.field, tried) != field):
                row = tried
                break
        else:
            return None
    return None


def _varied(read: Callable[[Mapping[str, Any]], Any], row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row with one column changed to another value that is read as well."""
    for name in row:
        for value in CANDIDATES:
            if value != row[name] and refusal(read, tried := {**row, name: value}) is None:
                yield tried
