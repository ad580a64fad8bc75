"""Reads YAML that nobody vouches for: no tags, no duplicate keys, no aliases that explode, no nesting without end.

Scalars are read as jsonargparse reads them (`2e-4` is a number, dates are text), so that a value means the same here
and in what LightningCLI parses later.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tunesmith.errors import RecipeError
from tunesmith.recipe.tree import Leaf, Map, Mark, Tree

MAX_BYTES = 2**20
_MAX_DEPTH = 40
_TOO_DEEP = f"maps and lists are nested deeper than {_MAX_DEPTH}"
_MAX_NODES = 50_000
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_MERGE = _CORE + "merge"
_NUMBER = re.compile(
    r"""^(?:
    [-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class RecipeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with YAML 1.2's floats and without dates."""


RecipeLoader.yaml_implicit_resolvers = {
    letter: [(tag, regexp) for tag, regexp in resolvers if tag not in (_CORE + "float", _CORE + "timestamp")]
    for letter, resolvers in RecipeLoader.yaml_implicit_resolvers.items()
}
RecipeLoader.add_implicit_resolver(_CORE + "float", _NUMBER, list("-+0123456789."))


def read_text(path: Path, name: str = "") -> str:
    """The text of a file that is to be a recipe.

    Args:
        path: The file.
        name: What the user calls it.

    Raises:
        RecipeError: It is too large, not UTF-8, or cannot be read.
    """
    name = name or str(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            msg = f"{name} is {size / 2**20:.1f} MiB; a recipe is at most {MAX_BYTES // 2**20} MiB"
            raise RecipeError(msg)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{name} is not text in UTF-8 (byte {error.start})"
        raise RecipeError(msg) from error
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror}"
        raise RecipeError(msg) from error


def read_tree(text: str, mark: Mark) -> Tree:
    """Read one YAML document; an empty one is a leaf that holds None.

    Args:
        text: The document.
        mark: What to say it comes from; lines are added to it.

    Raises:
        RecipeError: It is not YAML, or not the plain YAML that a recipe may be. Names file and line.
    """
    try:
        _scan(text, mark)
        node = yaml.compose(text, Loader=RecipeLoader)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        if "nesting depth" in str(error.problem):  # newer libyaml looks ahead, and has a limit of its own
            raise _wrong(mark, place, _TOO_DEEP) from error
        raise _wrong(mark, place, f"this is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _wrong(mark, None, f"this is not YAML: {str(error).splitlines()[0]}") from error
    return Leaf(None, mark) if node is None else _Builder(mark).tree(node, 0)


def _scan(text: str, mark: Mark) -> None:
    """Look at the events before anything recursive does: the parser of libyaml has no limit of its own."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=RecipeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _wrong(mark, event.start_mark, _TOO_DEEP)
        if count > 4 * _MAX_NODES:
            raise _wrong(mark, event.start_mark, f"there are more than {_MAX_NODES} values")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS:
            raise _wrong(mark, event.start_mark, f"the tag {tag} is not allowed; a recipe holds plain values only")


class _Builder:
    """Turns the nodes of one document into a tree, counting what aliases repeat."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self.count = 0
        self.constructor = RecipeLoader("")

    def tree(self, node: yaml.Node, depth: int) -> Tree:
        self._enter(node, depth)
        mark = self._at(node)
        if isinstance(node, yaml.MappingNode):
            return Map({k: self.tree(v, depth + 1) for k, v in self._entries(node, depth).items()}, mark)
        return Leaf(self._value(node, depth), mark)

    def _value(self, node: yaml.Node, depth: int) -> Any:
        if isinstance(node, yaml.ScalarNode):
            try:
                return self.constructor.construct_object(node, deep=True)
            except (ValueError, yaml.YAMLError) as error:
                raise self._wrong(node, f"{node.value!r} cannot be read: {str(error).splitlines()[0]}") from error
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, child in self._entries(node, depth).items():
                self._enter(child, depth + 1)
                found[key] = self._value(child, depth + 1)
            return found
        for child in node.value:
            self._enter(child, depth + 1)
        return [self._value(child, depth + 1) for child in node.value]

    def _entries(self, node: yaml.MappingNode, depth: int) -> dict[str, yaml.Node]:
        """Keys and nodes of a map; what `<<` merges in comes last and gives way."""
        own: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, "a key is text, not a map or a list")
            line = key.start_mark.line + 1
            if key.value in own:
                raise self._wrong(key, f"{key.value} is given twice, first in line {lines[key.value]}; keep one")
            own[key.value], lines[key.value] = value, line
        for other in merged:
            self._enter(other, depth + 1)
            if not isinstance(other, yaml.MappingNode):
                raise self._wrong(other, "<< takes a map, or a list of maps")
            own = {**self._entries(other, depth + 1), **own}
        return own

    def _enter(self, node: yaml.Node, depth: int) -> None:
        self.count += 1
        if self.count > _MAX_NODES or depth > _MAX_DEPTH:
            raise self._wrong(node, "aliases make it too large")

    def _at(self, node: yaml.Node) -> Mark:
        return replace(self.mark, line=node.start_mark.line + 1)

    def _wrong(self, node: yaml.Node, what: str) -> RecipeError:
        return _wrong(self.mark, node.start_mark, what)


def _wrong(mark: Mark, place: Any, what: str) -> RecipeError:
    line = f":{place.line + 1}" if place is not None else ""
    return RecipeError(f"{mark.file}{line}: {what}")
