"""Relative paths in a recipe mean what they say from the file that names them, not from where the command runs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.recipe.tree import Leaf, Map, Tree

_SOURCE = ("data", "sources", "*", "path")
_BASE = ("model", "base")
_TEMPLATE = ("model", "template")
_RUN = ("baselines", "*", "run")
_EXPLICIT = ("./", "../", "~", "/")
# `file:x` and `local:x` need no slash, and `cache::x` is a chain; times like 00:12:00:00 are none.
_ADDRESS = re.compile(r"(file|local):|[a-z][a-z0-9+.-]+:[/:\\]", re.IGNORECASE)
_TEMPLATE_ENDINGS = (".jinja", ".jinja2", ".j2", ".txt")


def anchor(tree: Tree, path: tuple[str, ...] = ()) -> Tree:
    """The tree with relative paths made absolute, each against the folder of its own mark.

    Known keys are `data.sources.*.path` (any path), `model.base` and `baselines.*.run` where they begin with `./ ../ ~`
    and `model.template` where it names a file. Options of plugins that are annotated as `Path` follow when their class
    is known (`schema`).
    What has a scheme (`package://`, `hf://`) stays as it is, and so does what was read from the net (`remote_paths`).
    """
    if isinstance(tree, Map):
        return Map({k: anchor(v, (*path, k)) for k, v in tree.entries.items()}, tree.mark)
    if not tree.mark.remote and _is_path(tree, path):
        return Leaf(_anchored(tree.value, tree.mark.folder), tree.mark, tree.text)
    return tree


def remote_paths(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths that something read from the net names, with their keys; addresses with a scheme are none."""
    if isinstance(tree, Map):
        for key, inner in tree.entries.items():
            yield from remote_paths(inner, (*path, key))
    elif tree.mark.remote and _is_path(tree, path):
        values = tree.value if isinstance(tree.value, list) else [tree.value]
        yield from ((path, value) for value in values if isinstance(value, str) and "://" not in value)


def unstaged(path: tuple[str, ...]) -> tuple[str, ...]:
    """The key that a stage changes: `stages.adapt.model.base` is a `model.base`."""
    return path[2:] if path[:1] == ("stages",) else path


def _is_path(leaf: Leaf, path: tuple[str, ...]) -> bool:
    path = unstaged(path)
    explicit = isinstance(leaf.value, str) and leaf.value.startswith(_EXPLICIT)
    file = isinstance(leaf.value, str) and leaf.value.endswith(_TEMPLATE_ENDINGS) and "\n" not in leaf.value
    if explicit and (path == _BASE or _matches(path, _RUN)):
        return True
    return _matches(path, _SOURCE) or (path == _TEMPLATE and (explicit or file))


def names_file(path: tuple[str, ...]) -> bool:
    """Whether what stands at a key is, or may be, the path of a file."""
    path = unstaged(path)
    return _matches(path, _SOURCE) or path in (_BASE, _TEMPLATE)


def takes_address(path: tuple[str, ...]) -> bool:
    """Whether a key may be `package://`: the rows and the base, which are read through it; templates are not."""
    path = unstaged(path)
    return _matches(path, _SOURCE) or path == _BASE


def is_address(text: str) -> bool:
    """Whether fsspec, by which Lightning writes, takes a text for an address and not for a path."""
    return "://" in text or _ADDRESS.match(text) is not None


def absolute(text: str, folder: Path) -> str:
    """A path as text, `~` expanded, without `..`; symbolic links stay, and so does an address with a scheme."""
    if "://" in text:
        return text
    return os.path.abspath(folder / os.path.expanduser(text))  # noqa: PTH100, PTH111  `resolve` would follow links


def _anchored(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_anchored(v, folder) for v in value]
    return absolute(value, folder) if isinstance(value, str) and value else value


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(p in ("*", k) for k, p in zip(path, pattern, strict=True))
