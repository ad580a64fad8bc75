"""A recipe while it is being merged: maps and leaves that remember who wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something was written.

    Args:
        file: The file as the user named it, or `command line`.
        folder: What relative paths written there are relative to.
        line: Counted from 1; None where there are no lines.
        remote: Whether it was read from the net, where no folder of this machine is meant.
        package: The folder of the installed package that it is part of, which its paths do not leave (`confine`).
    """

    file: str
    folder: Path
    line: int | None = None
    remote: bool = False
    package: Path | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or a list, which is replaced whole.

    Args:
        value: As YAML reads it; None removes the entry.
        mark: Where it was written.
        text: How it was typed on the command line, before YAML gave it a type.
    """

    value: Any
    mark: Mark
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """A map, which is merged key by key."""

    entries: Mapping[str, "Tree"]
    mark: Mark


Tree = Leaf | Map


def plain(tree: Tree) -> Any:
    """The values alone, without what was removed by null."""
    if isinstance(tree, Leaf):
        return tree.value
    return {k: plain(v) for k, v in tree.entries.items() if not _removed(v)}


def removed(tree: Tree, path: tuple[str, ...] = ()) -> frozenset[tuple[str, ...]]:
    """The key paths at which null stands."""
    if _removed(tree):
        return frozenset({path})
    if isinstance(tree, Leaf):
        return frozenset()
    return frozenset().union(*(removed(v, (*path, k)) for k, v in tree.entries.items()))


def _removed(tree: Tree) -> bool:
    return isinstance(tree, Leaf) and tree.value is None
