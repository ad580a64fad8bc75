"""What lies in a folder, to see afterwards what came, went or was changed, whoever did it."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 20_000


@dataclass(frozen=True)
class Root:
    """A folder that is looked at before and after.

    Args:
        path: The folder.
        deep: Whether folders in it are, too.
        hidden: Whether names with a dot before them are.
    """

    path: Path
    deep: bool = True
    hidden: bool = True


Snapshot = dict[str, tuple[int, int] | None]


def snapshot(roots: Iterable[Root]) -> Snapshot:
    """Size and time of each file in the roots, None for each folder; without bytecode, and the first 20,000 alone."""
    found: Snapshot = {}
    for root in roots:
        for entry in _entries(os.path.realpath(root.path), root):
            if len(found) >= _MOST:
                return found
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # gone since
                continue
            found[entry.path] = None if entry.is_dir(follow_symlinks=False) else (status.st_size, status.st_mtime_ns)
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Paths that one of the two lacks, or of which they say something else."""
    return sorted(path for path in before.keys() | after.keys() if _differs(path, before, after))


def _differs(path: str, before: Snapshot, after: Snapshot) -> bool:
    return (path in before) is not (path in after) or before[path] != after[path]


def _entries(folder: str, root: Root) -> Iterator[os.DirEntry[str]]:
    try:
        inside = list(os.scandir(folder))
    except OSError:
        return
    for entry in inside:
        if entry.name == "__pycache__" or (not root.hidden and entry.name.startswith(".")):
            continue
        yield entry
        if root.deep and entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path, root)
