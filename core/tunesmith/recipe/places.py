"""Where a key would belong: the index behind "it belongs under trainer"."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, get_args

from tunesmith.errors import RecipeError
from tunesmith.nearest import nearest, one_of
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe.kinds import is_code, is_map, is_scalar, union_of
from tunesmith.recipe.problem import KeyPath
from tunesmith.recipe.signature import options
from tunesmith.recipe.trust import Trust, family

_MOST_PLACES = 3
_MAX_DEPTH = 6
# Whose options stand for a family's where the recipe names no class yet.
_USUAL = {"Optimizer": "AdamW"}


class Places:
    """All keys that a recipe could have, by name. Built when the first mistake is explained.

    Args:
        sections: Each top-level key with its class or type.
        data: The recipe, for the options of the classes that it names.
        catalog: The plugins.
    """

    def __init__(self, sections: Mapping[str, Any], data: Mapping[str, Any], catalog: Catalog) -> None:
        self.sections = sections
        self.data = data
        self.catalog = catalog

    def hint(self, path: KeyPath, known: Iterable[str]) -> str:
        """What a wrong key was probably meant to be: a neighbour that is spelt like it, or a key of another place."""
        *parent, key = path
        near = nearest(key, known)
        elsewhere = [p for p in self._by_name.get(key, []) if p != path][:_MOST_PLACES]
        spelt = [".".join(place) for place in elsewhere]
        if near:
            others = [s for s, p in zip(spelt, elsewhere, strict=True) if p[:-1] != tuple(parent)]
            return f"; did you mean {one_of([*near, *others])}?"
        if not elsewhere:
            return ""
        if len(elsewhere[0]) == 1:
            return "; it belongs at the top level of the recipe"
        return f"; it belongs under {'.'.join(elsewhere[0][:-1])}: {one_of(spelt)}"

    @cached_property
    def _by_name(self) -> dict[str, list[KeyPath]]:
        found: dict[str, list[KeyPath]] = {}
        for key, kind in self.sections.items():
            for place in ((key,), *self._inside(kind, self.data.get(key), (key,))):
                found.setdefault(place[-1], []).append(place)
        # The shallowest place is the likeliest.
        return {key: sorted(dict.fromkeys(places), key=len) for key, places in found.items()}

    def _inside(self, hint: Any, value: Any, path: KeyPath) -> Iterator[KeyPath]:
        if len(path) > _MAX_DEPTH:
            return
        for one in union_of(hint):
            if is_map(one):
                yield from self._in_map(one, value, path)
            elif (
                inspect.isclass(one)
                and not is_scalar(one)
                and (dataclasses.is_dataclass(one) or self._is_section(path))
            ):
                yield from self._options(one, 0, value, path)
            elif (found := self._named(one, value)) is not None:
                cls, skip = found
                inner = value.get("init_args") if isinstance(value, Mapping) else None
                yield from self._options(cls, skip, inner, (*path, "init_args"))

    def _in_map(self, hint: Any, value: Any, path: KeyPath) -> Iterator[KeyPath]:
        inner = get_args(hint)[1:]
        named = value if isinstance(value, Mapping) and value else {"<name>": None}
        for name, entry in named.items() if inner else ():
            yield from self._inside(inner[0], entry, (*path, str(name)))

    def _options(self, cls: type, skip: int, value: Any, path: KeyPath) -> Iterator[KeyPath]:
        for option in options(cls, skip).values():
            yield (*path, option.name)
            entry = value.get(option.name) if isinstance(value, Mapping) else None
            yield from self._inside(option.hint, entry, (*path, option.name))

    def _is_section(self, path: KeyPath) -> bool:
        return len(path) == 1 and not issubclass(self.sections[path[0]], Plugin)

    def _named(self, hint: Any, value: Any) -> tuple[type, int] | None:
        """The class that the recipe names here, and how many of its leading parameters are not the recipe's."""
        arguments = get_args(hint) if is_code(hint) else ()
        skip = len(arguments[0]) if len(arguments) == 2 and isinstance(arguments[0], list) else 0
        base = arguments[-1] if arguments else hint
        name = value.get("class_path") if isinstance(value, Mapping) else value
        if not inspect.isclass(base):
            return None
        if not isinstance(name, str):
            name = _USUAL.get(base.__name__) if family(base) else None
        if name is None:
            return None
        if issubclass(base, Plugin):
            return _found(lambda: self.catalog.find(base.kind, name), skip)
        return _found(lambda: Trust().find(base, name)[1], skip) if family(base) else None


def _found(find: Callable[[], type], skip: int) -> tuple[type, int] | None:
    try:
        return find(), skip
    except RecipeError:
        return None
