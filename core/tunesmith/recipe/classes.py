"""Checks the places where a class stands: its name, and its options."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.deprecation import warn_if_deprecated
from tunesmith.errors import RecipeError
from tunesmith.nearest import nearest
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.kinds import shown, takes, union_of
from tunesmith.recipe.places import Places
from tunesmith.recipe.problem import KeyPath, Problem, names
from tunesmith.recipe.signature import MISSING, Option, options
from tunesmith.recipe.trust import Trust, allowed, family

Result = tuple[Any, list[Problem]]
_SPEC = ("class_path", "init_args")


class Classes:
    """Reads class names with their options.

    Args:
        recipe: The recipe.
        catalog: The plugins that it may name.
        trust: The other classes that it may name.
        places: Where keys belong.
        value: How an option's value is checked.
    """

    def __init__(
        self,
        recipe: Recipe,
        catalog: Catalog,
        trust: Trust,
        places: Places,
        value: Callable[[Any, Any, KeyPath], Result],
    ) -> None:
        self.recipe = recipe
        self.catalog = catalog
        self.trust = trust
        self.places = places
        self.value = value

    def plugin(self, value: Any, base: type[Plugin], path: KeyPath) -> Result:
        """A plugin: its name, or `class_path` with `init_args`."""

        def find(name: str) -> tuple[str, type]:
            cls = self.catalog.find(base.kind, name)
            return f"{cls.__module__}.{cls.__qualname__}", cls

        return self._spec(value, path, find, takes(base), self.catalog.names(base.kind))

    def library(self, value: Any, base: type, path: KeyPath, skip: int = 0) -> Result:
        """A class of a library (an optimizer, a callback), or a helper class of a plugin's own package."""

        def find(name: str) -> tuple[str, type]:
            return (own, base) if own and name in (own, base.__name__) else self.trust.find(base, name)

        own = own_path(base, self.catalog)
        if own and isinstance(value, Mapping) and not value.keys() & set(_SPEC):
            warn_if_deprecated(self._said(path), base)
            init_args, found = self.options(value, base, path, skip=skip, owner=base.__name__)
            return _named(own, init_args), found
        return self._spec(value, path, find, takes(base), allowed(base), skip)

    def options(self, value: Any, cls: type, path: KeyPath, *, skip: int = 0, owner: str = "") -> Result:
        """The options of a class, as a map.

        Args:
            value: What the recipe says.
            cls: The class.
            path: Where it says it.
            skip: How many leading parameters are not the recipe's.
            owner: The class's name where the user named it; empty for a section, which goes by its key.
        """
        known = options(cls, skip)
        if not isinstance(value, Mapping):
            return value, [Problem(path, f"is {shown(value)}; it takes a map of: {names(known)}")]
        checked: dict[str, Any] = {}
        problems: list[Problem] = []
        gone = self.recipe.gone(value, path)
        for key in dict.fromkeys([*value, *gone]):
            here = (*path, key)
            if key not in known:
                problems.append(self._unknown(here, known, cls, owner))
            elif key not in gone:
                warn_if_deprecated(self._said(here), cls, key)
                checked[key], found = self.value(value[key], known[key].hint, here)
                problems += found
        for name, option in known.items():
            if name in value and name not in gone:
                continue
            if name in gone and _takes_null(option):
                checked[name] = None
            elif option.required:
                problems.append(self._absent((*path, name), option, known, cls, owner))
        return checked, problems

    def _spec(
        self,
        value: Any,
        path: KeyPath,
        find: Callable[[str], tuple[str, type]],
        what: str,
        known: list[str],
        skip: int = 0,
    ) -> Result:
        given, value = value, {"class_path": value} if isinstance(value, str) else value
        choice = f"{what}{': ' + names(known) if known else ''}"
        if not isinstance(value, Mapping):
            return given, [Problem(path, f"is {shown(value)}; it takes {choice}")]
        name = value.get("class_path")
        if not isinstance(name, str):
            return given, [self._nameless(value, path, choice)]
        try:
            dotted, cls = find(name)
        except RecipeError as error:
            return given, [Problem(path, f"is {name}: {error}")]
        warn_if_deprecated(self._said(path), cls)
        keys = dict.fromkeys([*value, *self.recipe.gone(value, path)])
        problems = [self._beside((*path, key), cls, skip) for key in keys if key not in _SPEC]
        # within a list null may stand there, which means nothing as it does elsewhere
        arguments = {} if value.get("init_args") is None else value["init_args"]
        init_args, found = self.options(arguments, cls, (*path, "init_args"), skip=skip, owner=cls.__name__)
        return _named(dotted, init_args), problems + found

    def _nameless(self, value: Mapping[str, Any], path: KeyPath, choice: str) -> Problem:
        if "class_path" in value:
            return Problem((*path, "class_path"), f"is {shown(value['class_path'])}; it takes {choice}")
        for key in value:
            if "class_path" in nearest(key, _SPEC):
                return Problem(
                    (*path, key), f"is not a key beside init_args; did you mean class_path?\nit takes {choice}"
                )
        says = f"has options but names no class: class_path is missing; it takes {choice}"
        return Problem(path, says, missing=True)

    def _beside(self, path: KeyPath, cls: type, skip: int) -> Problem:
        """A key beside `class_path`, where jsonargparse would refuse it in words that help nobody."""
        *parent, key = path
        known = options(cls, skip)
        if near := nearest(key, _SPEC):
            says = f"is not a key beside class_path; did you mean {near[0]}?"
        elif close := ([key] if key in known else nearest(key, known)):
            says = f"is beside class_path, where it would be lost; write {'.'.join([*parent, 'init_args', close[0]])}"
        else:
            says = f"is not a key beside class_path{self.places.hint(path, ())}"
        return Problem(path, f"{says}\n{self._takes(known, cls, cls.__name__, path)}")

    def _unknown(self, path: KeyPath, known: Mapping[str, Option], cls: type, owner: str) -> Problem:
        what = f"an option of {owner}" if owner else f"a key of {'.'.join(path[:-1])}"
        # An overlay's `class_pat` over a class was merged into its options.
        spelt = [*known, *_SPEC] if owner else known
        says = f"is not {what}{self.places.hint(path, spelt)}\n{self._takes(known, cls, owner, path)}"
        return Problem(path, says, likely=tuple((*path[:-1], near) for near in nearest(path[-1], known)))

    def _absent(self, path: KeyPath, option: Option, known: Mapping[str, Option], cls: type, owner: str) -> Problem:
        bases = [a for a in union_of(option.hint) if inspect.isclass(a) and issubclass(a, Plugin)]
        choice = f": {names(self.catalog.names(bases[0].kind))}" if bases else ""
        says = f"is missing; {f'{owner} needs it:' if owner else 'it takes'} {takes(option.hint)}{choice}"
        return Problem(path, f"{says}\n{self._takes(known, cls, owner, path)}" if owner else says, missing=True)

    def _said(self, path: KeyPath) -> str:
        return f"{self.recipe.origin(path)}: {'.'.join(path)}"

    def nameable(self, base: type) -> bool:
        """Whether a recipe may name any class at all where a `base` is expected."""
        return issubclass(base, Plugin) or family(base) is not None or own_path(base, self.catalog) is not None

    def _takes(self, known: Mapping[str, Option], cls: type, owner: str, path: KeyPath) -> str:
        describe = f"  (lightning-cli plugins describe {owner})" if issubclass(cls, Plugin) else ""
        return f"{owner or '.'.join(path[:-1])} takes: {names(known, path[-1])}{describe}"


def own_path(base: type, catalog: Catalog) -> str | None:
    """The path of a class that a plugin's package defines for its own options, which needs no further trust."""
    package = base.__module__.partition(".")[0]
    packages = {entry.cls.__module__.partition(".")[0] for entry in catalog.entries}
    if family(base) is not None or package not in packages or inspect.isabstract(base):
        return None
    return f"{base.__module__}.{base.__qualname__}"


def _named(path: str, init_args: Any) -> dict[str, Any]:
    return {"class_path": path, **({"init_args": init_args} if init_args else {})}


def _takes_null(option: Option) -> bool:
    """Whether null is a value of an option, other than its default: then it does more than remove the entry."""
    return option.default is not None and any(
        a is type(None) for a in union_of(option.hint) if option.hint is not MISSING
    )
