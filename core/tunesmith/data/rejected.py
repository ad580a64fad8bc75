"""Rows that could not be read: kept by file, line, field and reason, and the point at which a run stops for them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from tunesmith.data.rows import Reject
from tunesmith.errors import DataError, listed

# `data.reject_limit` of a recipe that says none.
LIMIT = 0.05
_SHOWN = 3


class Rejected:
    """All rows that were set aside, by source.

    Args:
        keep_rows: Whether the rows themselves are kept too (`data.keep_rejected`); raw text may be confidential, so
            only where the recipe asks for it (design, decision 15).
    """

    def __init__(self, keep_rows: bool = False) -> None:
        self.keep_rows = keep_rows
        self._entries: dict[str, list[Reject]] = {}

    def kept(self) -> dict[str, list[list[Any]]]:
        """All of them without their rows, JSON-able; `of_kept` reads it."""
        return {name: [[e.file, e.line, e.field, e.reason] for e in found] for name, found in self._entries.items()}

    @classmethod
    def of_kept(cls, kept: Mapping[str, Sequence[Sequence[Any]]]) -> Self:
        """Those that `kept` told."""
        made = cls()
        made._entries = {name: [Reject(*entry) for entry in found] for name, found in kept.items()}
        return made

    def add(self, source: str, reject: Reject) -> None:
        """Set one row of a source aside."""
        kept = reject if self.keep_rows else replace(reject, row=None)
        self._entries.setdefault(source, []).append(kept)

    def of(self, source: str) -> list[Reject]:
        """The rejects of a source, in the order of reading."""
        return self._entries.get(source, [])

    def reasons(self, source: str) -> dict[str, int]:
        """How many rows of a source were set aside for each reason, the most frequent first."""
        counted = Counter(_said(entry) for entry in self.of(source))
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def write(self, path: Path) -> None:
        """Write all as JSON lines; an empty file says that no row was set aside."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for source, entries in self._entries.items():
                for entry in entries:
                    file.write(json.dumps(self._record(source, entry), default=str) + "\n")

    def check(self, source: str, read: int, limit: float, path: Path | None) -> None:
        """Stop where too large a share of a source was set aside.

        Args:
            source: Name of the source in the recipe.
            read: Rows read from it, good and bad.
            limit: `data.reject_limit`: the largest share that is tolerated, in [0, 1].
            path: Where all of them can be read, if they are written; written here before stopping.

        Raises:
            DataError: More than the limit, or all rows; says counts, first reasons with their places, and the file.
        """
        bad = self.of(source)
        if not bad or (len(bad) <= limit * read and len(bad) < read):
            return
        allowed = f"data.reject_limit allows {_percent(limit)}" if len(bad) < read else "no row is left"
        lines = [
            f"data.sources.{source}: {len(bad)} of {read} rows ({_percent(len(bad) / read)}) cannot be read; {allowed}",
            *(f"  {entry.file}:{entry.line}: {_said(entry)}{listed(entry.columns)}" for entry in self._first(source)),
        ]
        if path is not None:
            self.write(path)
            lines.append(f"all of them: {path}")
        msg = "\n".join(lines)
        raise DataError(msg)

    def _first(self, source: str) -> list[Reject]:
        """The first row of each of the first reasons: a thousand times the same says no more than once."""
        first: dict[str, Reject] = {}
        for entry in self.of(source):
            first.setdefault(_said(entry), entry)
        return list(first.values())[:_SHOWN]

    def _record(self, source: str, entry: Reject) -> Mapping[str, Any]:
        record = {
            "source": source,
            "file": entry.file,
            "line": entry.line,
            "field": entry.field,
            "reason": entry.reason,
        }
        return {**record, "row": entry.row} if self.keep_rows else record


def _said(entry: Reject) -> str:
    return f"{entry.field}: {entry.reason}" if entry.field else entry.reason


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
