"""Keeps recipes of installed packages within their package, and those from the net below the working directory.

A recipe that you write may name any file that you can read. One that came with a package must not: it would train on
what lies elsewhere on your disk, or write there. What it needs from you is named on the command line.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.no_file import FOLDER, why_no_file
from tunesmith.recipe.paths import is_address, names_file, unstaged
from tunesmith.recipe.tree import Leaf, Map, Tree

KeyPath = tuple[str, ...]
# What Lightning, its loggers and callbacks take as the place to write to.
_WRITES = "trainer"


def confine(tree: Tree) -> None:
    """Check every path that a recipe of an installed package names, and where one from the net writes.

    Raises:
        RecipeError: One leaves the package, by itself or through a link; or the working directory.
    """
    for path, found, leaf in leaving(tree):
        said = outside(found, path) if leaf.mark.package else _elsewhere(found, path)
        msg = f"{leaf.mark.file}: {'.'.join(path)} {said}"
        raise RecipeError(msg)


def leaving(tree: Tree) -> Iterator[tuple[KeyPath, str, Leaf]]:
    """Paths that lead out of where the recipe that names them belongs, with their keys."""
    for path, leaf in _leaves(tree, ()):
        package = leaf.mark.package
        if package is None and not leaf.mark.remote:
            continue
        if unstaged(path)[:1] == (_WRITES,):
            found = next((text for text in _texts(leaf.value) if _leaves_folder(text)), None)
        elif package is not None and names_file(path):  # of one from the net, `compose` refuses them all
            texts = (text for text in _texts(leaf.value) if os.path.isabs(text))  # noqa: PTH117  made so by `anchor`
            found = next((text for text in texts if leads_outside(Path(text), package)), None)
        else:
            found = None
        if found is not None:
            yield path, found, leaf


def outside(text: str, path: KeyPath) -> str:
    """What is said of a path that leaves its package, as the rest of a sentence that begins with the key."""
    return (
        f"is {text}, which is not in the recipe's package: a recipe that is installed reads and writes nothing else\n"
        f"if you trust it with that, say so: --{'.'.join(path)}=..."
    )


def _elsewhere(text: str, path: KeyPath) -> str:
    return (
        f"is {text}: a recipe from the net writes below the working directory only\n"
        f"if you trust it with that, say so: --{'.'.join(path)}=..."
    )


def leads_outside(path: Path, folder: Path) -> bool:
    """Whether a path, what matches it as a pattern, or what lies below it, is outside of a folder, links followed."""
    if not path.is_relative_to(folder):
        return True
    top = os.path.realpath(folder)
    named = [path, *map(Path, glob.glob(str(path), recursive=True))] if glob.has_magic(str(path)) else [path]  # noqa: PTH207
    below = (inner for one in named if why_no_file(one) == FOLDER for inner in one.rglob("*"))
    return any(not Path(os.path.realpath(one)).is_relative_to(top) for one in (*named, *below))


def _leaves(tree: Tree, path: KeyPath) -> Iterator[tuple[KeyPath, Leaf]]:
    if isinstance(tree, Leaf):
        yield path, tree
    elif isinstance(tree, Map):
        for key, inner in tree.entries.items():
            yield from _leaves(inner, (*path, key))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inner: Iterable[Any] = value.values() if isinstance(value, dict) else value
        for one in inner:
            yield from _texts(one)


def _leaves_folder(text: str) -> bool:
    """Whether a text, read as a path or an address, is another place than one below the working directory.

    An address is another place, too: Lightning writes to `file:/...` and `s3://...` by fsspec, loggers to a server's.
    """
    return is_address(text) or text.startswith(("/", "~", "\\")) or ".." in text.replace("\\", "/").split("/")
