"""Rows that go on from others of their source: what each gains from them, before it is formatted."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tunesmith.data.rows import Reject, Row
from tunesmith.data.sources import Source, rename
from tunesmith.errors import RowError, TunesmithError

Read = Row | Reject


def gathered(read: Iterable[Read], source: Source) -> Iterable[Read]:
    """The rows with the columns that the formatter gathers for them; as they come where it gathers nothing.

    Rows that are gathered are held all at once.

    Raises:
        TunesmithError: The formatter does not give one answer for each row.
    """
    formatter = source.formatter
    if not formatter.gathers():
        return read
    rows = list(read)
    columns: dict[int, dict[str, Any]] = {}
    for at, row in enumerate(rows):
        if isinstance(row, Row):
            try:
                columns[at] = rename(row.values, source.map or {})
            except RowError:
                continue  # it is set aside where it is formatted
    gains = list(formatter.gather(list(columns.values())))
    if len(gains) != len(columns):
        msg = f"{type(formatter).__name__}.gather answers for {len(gains)} of {len(columns)} rows"
        raise TunesmithError(msg)
    for at, gain in zip(columns, gains, strict=True):
        rows[at] = _with(rows[at], gain)
    return rows


def _with(row: Read, gain: Any) -> Read:
    if isinstance(row, Reject) or not gain:
        return row
    if isinstance(gain, RowError):
        return Reject(row.file, row.line, gain.field, gain.reason, row.values, gain.columns)
    return replace(row, values={**row.values, **gain})
