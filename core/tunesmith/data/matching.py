"""Files that match a pattern, as `glob` finds them, but with an end: `/**/*.jsonl` walks a whole machine."""

import glob
import os
from collections.abc import Iterator
from fnmatch import filter as fitting
from pathlib import Path

from tunesmith.errors import TunesmithError

_ANY_DEPTH = "**"


class EndlessPatternError(TunesmithError):
    """More lies below a pattern than was to be looked at."""

    exit_code = 2


def matching(pattern: str, most: int | None = None) -> list[Path]:
    """The files that match a pattern, in order, each once; `**` is any number of folders.

    Hidden entries match where the pattern names their dot, as for `glob`.

    Args:
        pattern: The pattern.
        most: How many entries of folders to look at; None for all.

    Raises:
        EndlessPatternError: There are more.
    """
    given = Path(pattern)
    parts = given.parts[1:] if given.is_absolute() else given.parts
    found = set(_Walk(most).below(given.anchor or os.curdir, list(parts)))
    return [path for path in map(Path, sorted(found)) if path.is_file()]


class _Walk:
    def __init__(self, most: int | None) -> None:
        self._left = most

    def below(self, folder: str, parts: list[str]) -> Iterator[str]:
        """What of a folder matches the rest of a pattern."""
        if not parts:
            yield folder
            return
        part, rest = parts[0], parts[1:]
        if part == _ANY_DEPTH:
            if not Path(folder).is_dir():
                return
            yield from self.below(folder, rest)
            for entry in self._entries(folder):
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    yield from self.below(entry.path, parts)
                elif not rest:
                    yield entry.path
        elif glob.has_magic(part):
            entries = {entry.name: entry for entry in self._entries(folder)}
            for name in fitting(entries, part):
                if part.startswith(".") or not name.startswith("."):
                    yield from self.below(entries[name].path, rest) if not rest or _is_folder(entries[name]) else ()
        elif os.path.lexists(path := os.path.join(folder, part)):  # noqa: PTH118  `Path` would take out dots
            yield from self.below(path, rest)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._count()
                    found.append(entry)
        except OSError:  # not ours to read, or gone, or no folder: nothing of it matches
            pass
        return found

    def _count(self) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            raise EndlessPatternError


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
