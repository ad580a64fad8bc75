"""A raw row as every reader yields it, and what may be in one."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from tunesmith.data.lines import LONGEST_LINE, MIB
from tunesmith.errors import RowError

# Deeper nesting is no training row, and would end in a RecursionError at a place that depends on the caller's stack.
_DEEPEST = 32
_TOO_LONG = f"is longer than {LONGEST_LINE // MIB} MiB; split the document"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read.

    Args:
        file: The file, as the recipe's path leads to it.
        line: Its first line, or the number of the record where the format has no lines; from 1.
        values: Column to value: text, numbers, booleans, None, lists and maps of these.
    """

    file: str
    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was set aside.

    Args:
        file: The file.
        line: As in `Row`.
        field: The column at fault; empty where the whole row is.
        reason: What is wrong, without the row's text.
        row: The raw row, for `data.keep_rejected` only.
        columns: The columns that are there, where that helps; for the screen only.
    """

    file: str
    line: int
    field: str
    reason: str
    row: Any = None
    columns: tuple[str, ...] = ()

    def told(self) -> str:
        """Where the row is and what is wrong with it, for a message."""
        return f"{self.file}:{self.line}: {f'{self.field}: ' if self.field else ''}{self.reason}"


class Repeated:
    """Stands for the value of a key that one JSON object names twice: keeping one of the two would hide the other."""

    def __str__(self) -> str:
        return "(several values)"


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` that marks repeated keys, so that the row is refused and not the file."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        found.update({key: Repeated() for key, count in counts.items() if count > 1})
    return found


def plain(values: Mapping[str, Any], missing_nan: bool = False) -> dict[str, Any]:
    """The row with JSON's types only; dates become ISO text, decimals numbers, tuples lists.

    Args:
        values: Column to value.
        missing_nan: Whether NaN stands for a missing value, as in Parquet files that pandas wrote.

    Raises:
        RowError: A value is no text, number, boolean, null, list or map, or cannot be written as UTF-8 JSON.
    """
    return {_name(key): _plain(value, str(key), 0, missing_nan) for key, value in values.items()}


def canonical(value: Any) -> str:
    """One spelling of a plain value: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest(*parts: str) -> bytes:
    """SHA-256 of several texts; no two lists of texts share their bytes."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.digest()


def _name(key: Any) -> str:
    name = str(key)
    _check_text(name, "", "a column's name")
    return name


def _check_text(text: str, field: str, what: str) -> None:
    if len(text) > LONGEST_LINE:
        raise RowError(field, f"{what} {_TOO_LONG}")
    if "\x00" in text:
        raise RowError(field, f"{what} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        # tables spell the bytes of another encoding so; half a surrogate pair of JSON is no matter of the encoding
        advice = "; save the file as UTF-8" if any("\udc80" <= c <= "\udcff" for c in text) else ""
        raise RowError(field, f"{what} is not UTF-8{advice}") from None


def _plain(value: Any, field: str, depth: int, missing_nan: bool) -> Any:
    if depth > _DEEPEST:
        raise RowError(field, f"is nested more than {_DEEPEST} deep")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        _check_text(value, field, "the text")
        return value
    if isinstance(value, float | Decimal):
        return _finite(float(value), field, missing_nan)
    if isinstance(value, list | tuple):
        return [_plain(item, field, depth + 1, missing_nan) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            _check_text(str(key), field, "a key")
        return {str(key): _plain(item, field, depth + 1, missing_nan) for key, item in value.items()}
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, Repeated):
        raise RowError(field, "a key stands twice in one object")
    raise RowError(field, f"holds {type(value).__name__}, neither text nor numbers")


def _finite(number: float, field: str, missing_nan: bool) -> float | None:
    if math.isfinite(number):
        return number
    if missing_nan and math.isnan(number):
        return None
    raise RowError(field, "is not a finite number")
