"""What lies in a folder, to see afterwards what came, went or was changed, whoever did it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
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


Snapshot = list[dict[str, tuple[int, int] | None]]


def snapshot(roots: Iterable[Root]) -> Snapshot:
    """Of each root, size and time of each file, and None for each folder; without bytecode.

    Of a root with more than 20,000 names nothing, as looking would take too long.
    """
    return [_inside(root) for root in roots]


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Paths that one of the two lacks, or of which they say something else; of roots that both looked at."""
    found: set[str] = set()
    for old, new in zip(before, after, strict=True):
        if len(old) <= _MOST and len(new) <= _MOST:
            found |= {path for path in old.keys() | new.keys() if old.get(path, ()) != new.get(path, ())}
    return sorted(found)


def _inside(root: Root) -> dict[str, tuple[int, int] | None]:
    found: dict[str, tuple[int, int] | None] = {}
    for entry in _entries(os.path.realpath(root.path), root):
        with suppress(OSError):  # gone since
            status = entry.stat(follow_symlinks=False)
            found[entry.path] = None if entry.is_dir(follow_symlinks=False) else (status.st_size, status.st_mtime_ns)
        if len(found) > _MOST:
            break
    return found


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
