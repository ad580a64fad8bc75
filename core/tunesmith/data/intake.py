"""Rows to examples: columns renamed, formatted, with id and origin; what cannot be read set aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.example import Example, Origin
from tunesmith.data.gather import gathered
from tunesmith.data.read_as import described, settled
from tunesmith.data.rejected import Rejected
from tunesmith.data.row_file import Packed, RowWriter
from tunesmith.data.rows import Reject, Row, canonical, digest
from tunesmith.data.sources import Opened, Source, rename
from tunesmith.data.store import Store
from tunesmith.errors import RowError, TunesmithError
from tunesmith.plugins.interfaces import Formatter


@dataclass
class Intake:
    """What was read from all sources.

    Args:
        examples: In the order of the sources and their rows, ids unique.
        rejected: Rows that were set aside.
        counts: By source: rows read, rejected (by reason too) and examples made; and `read as`, the formatters that
            its first rows chose, where the recipe leaves it to them.
        hashes: By source: what identifies its content.
    """

    examples: Store
    rejected: Rejected = field(default_factory=Rejected)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


def read_sources(
    sources: Mapping[str, Source],
    *,
    reject_limit: float = 0.0,
    keep_rejected: bool = False,
    rejected_file: Path | None = None,
    note: Callable[[Example, Mapping[str, Any]], None] | None = None,
    formatters: Sequence[type[Formatter]] | None = None,
    into: Callable[[], RowWriter] = RowWriter,
) -> Intake:
    """Read sources whole.

    Args:
        sources: By name; all are checked for missing files before the first is read.
        reject_limit: The share of a source's rows that may be unreadable.
        keep_rejected: Whether rejected rows are kept with their text.
        rejected_file: Where rejected rows are written if the run stops for them.
        note: Called with each example and its row, columns as they were read and as `map` names them.
        formatters: All that the recipe may name, for those that choose among them; None for all that are installed.
        into: Opens the file of the examples.

    Raises:
        DataError: A source is missing, empty, unreadable, or past the limit.
        TunesmithError: A formatter failed with anything but RowError.
    """
    opened = {name: Opened(name, source) for name, source in sources.items()}
    rejected = Rejected(keep_rejected)
    counts: dict[str, dict[str, Any]] = {}
    hashes: dict[str, str] = {}
    ids: dict[str, int] = {}
    with into() as writer:
        for name, source in sources.items():
            count = read = 0
            source = replace(source, formatter=settled(opened[name], source, formatters))
            for row in gathered(opened[name].read(), source):
                read += 1
                made = row if isinstance(row, Reject) else to_example(name, source, row)
                if isinstance(made, Reject):
                    rejected.add(name, made)
                    continue
                example, columns = made
                example = example.with_(id=_unique(example.id, ids))
                if note is not None:
                    note(example, columns)
                writer.add(example, len(ids) - 1, Packed(example))
                count += 1
            if not read:
                raise opened[name].no_rows()
            rejected.check(name, read, reject_limit, rejected_file)
            numbers = {"read": read, "rejected": read - count, "examples": count, "reasons": rejected.reasons(name)}
            counts[name] = numbers | described(source.formatter)
            hashes[name] = opened[name].fingerprint()
        file = writer.finish()
    return Intake(Store([file], np.arange(len(ids))), rejected, counts, hashes)


def to_example(name: str, source: Source, row: Row) -> tuple[Example, Mapping[str, Any]] | Reject:
    """One row as its source's formatter reads it.

    Args:
        name: The source's name.
        source: The source.
        row: The row, as it was read.

    Returns:
        The example, with the columns as they were read and as `map` names them; or why the row is set aside.

    Raises:
        TunesmithError: The formatter failed with anything but RowError.
    """
    try:
        columns = rename(row.values, source.map or {})
        example = source.formatter.format(columns)
        check_content(example)
    except RowError as error:
        return Reject(row.file, row.line, error.field, error.reason, row.values, error.columns)
    except TunesmithError as error:
        # An option of the formatter is wrong: it cannot know which source named it.
        msg = f"data.sources.{name}.formatter: {error}"
        raise type(error)(msg) from error
    except Exception as error:
        # Not the row's fault but the plugin's: to set rows aside for it would hide a bug.
        plugin = type(source.formatter).__name__
        msg = (
            f"data.sources.{name}.formatter: {plugin} failed with {type(error).__name__} at {row.file}:{row.line}; "
            "a formatter raises RowError for rows that it cannot read"
        )
        raise TunesmithError(msg) from error
    key = example.id or digest(name, canonical(row.values)).hex()[:16]
    made = example.with_(id=key, origin=Origin(name, row.file, row.line), task=source.task)
    return made, {**row.values, **columns}


def check_content(example: Example) -> None:
    """Check that an example has exactly one kind of content.

    Raises:
        RowError: It has none, or two.
    """
    kinds = [bool(example.messages), bool(example.segments), bool(example.chosen and example.rejected)]
    if sum(kinds) != 1:
        whole_row = ""
        raise RowError(whole_row, "the formatter made an example without content, or with two kinds of it")


def _unique(key: str, ids: dict[str, int]) -> str:
    """The id, with the number of its occurrence behind it from the second on."""
    unique = key
    while unique in ids:
        ids[key] += 1
        unique = f"{key}-{ids[key]}"
    ids[unique] = 1
    return unique
