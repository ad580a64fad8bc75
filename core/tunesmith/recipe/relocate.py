"""Copies a recipe to another place, with its comments, so that it still runs from there."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tunesmith.no_file import why_no_file
from tunesmith.recipe.packages import address
from tunesmith.recipe.paths import anchor, takes_address
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.tree import Leaf, Mark

KeyPath = tuple[str, ...]
_PLAIN = re.compile(r"(\.{0,2}/|~/)*[A-Za-z][\w./-]*(://[\w./-]+)?", re.ASCII)
_ABSOLUTE = re.compile(r"/|~|\w+://")
_MENTION = re.compile(r"(?<![\w./-])recipes/[\w./-]+\.yaml")


@dataclass(frozen=True, slots=True)
class Move:
    """A value that is a relative path, and what becomes of it.

    Args:
        node: Where it stands.
        key: Its key.
        file: The file that it means.
        value: How it reads at the new place.
    """

    node: yaml.Node
    key: KeyPath
    file: str
    value: str


def relocate(text: str, source: Path, target: Path) -> str:
    """The text of the recipe `source`, as it has to read at `target`.

    Relative paths of values are rewritten: relative still where both lie in one tree (a checkout), `package://` where
    they mean what comes along and the key takes an address, absolute otherwise. So are the commands in comments that
    name recipes.

    Raises:
        RecipeError: The text is not the plain YAML that a recipe may be.
    """
    places = {(move.node.start_mark.index, move.node.end_mark.index): move for move in moves(text, source, target)}
    for (start, end), move in sorted(places.items(), key=lambda item: item[0], reverse=True):
        text = text[:start] + quoted(move.value) + text[end:]
    return "".join(_comment_moved(line, source, target) for line in text.splitlines(keepends=True))


def moves(text: str, source: Path, target: Path) -> list[Move]:
    """The relative paths in the text of the recipe `source`, and how each reads at `target`.

    Raises:
        RecipeError: As `relocate`.
    """
    read_tree(text, Mark(str(source), source.parent))  # from here on its size and depth have bounds
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = _files(root, source) if root else ()
    return [Move(node, key, file, _from_file(file, source, target, key)) for node, file, key in found if file]


def scalars(node: yaml.Node, path: KeyPath = ()) -> Iterator[tuple[yaml.ScalarNode, KeyPath]]:
    """The values of a document with their keys; those of a list have the list's."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # What `<<` merges in is an alias, and moves where it is written.
            yield from scalars(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from scalars(value, path)
    elif isinstance(node, yaml.ScalarNode):
        yield node, path


def _files(root: yaml.Node, source: Path) -> Iterator[tuple[yaml.Node, str | None, KeyPath]]:
    """The values that are relative paths, with the file that each means and its key."""
    for node, path in scalars(root):
        if not _ABSOLUTE.match(node.value):
            yield node, _meant(node.value, source, path), path


def _meant(value: str, source: Path, path: KeyPath) -> str | None:
    anchored = anchor(Leaf(value, Mark(str(source), source.resolve().parent)), path)
    if isinstance(anchored, Leaf) and anchored.value != value:
        return str(anchored.value)
    # Options of plugins may be paths too; only their class knows which.
    file = source.resolve().parent / value
    return str(file) if "/" in value and "\n" not in value and not why_no_file(file) else None


def _from_file(file: str, source: Path, target: Path, path: KeyPath) -> str:
    here = target.resolve().parent
    if here.is_relative_to(source.resolve().parent.parent):
        return beside(Path(file), here)
    return (address(Path(file)) if takes_address(path) else None) or file


def beside(file: Path, folder: Path) -> str:
    """The path of a file, relative to a folder."""
    relative = os.path.relpath(file.absolute(), folder)
    return relative if relative.startswith("..") else f"./{relative}"


def _comment_moved(line: str, source: Path, target: Path) -> str:
    if not line.startswith("#"):
        return line

    def place(match: re.Match[str]) -> str:
        # Comments are written for someone who stands above `recipes/`.
        tops = [p.parent for p in source.resolve().parents if p.name == "recipes"]
        file = tops[0] / match[0] if tops else Path(match[0])
        if file == source.resolve():
            return _from_here(target)
        return _from_here(file) if file.is_file() else match[0]

    return _MENTION.sub(place, line)


def _from_here(path: Path) -> str:
    """How a command in the current folder names a file."""
    full = path.resolve()
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else address(full) or str(full)


def quoted(value: str) -> str:
    """A YAML scalar for any place in a recipe, in quotes where it needs them."""
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return yaml.safe_dump(value, allow_unicode=True, width=2**20, default_style='"').removesuffix("\n")
