"""Checks one value against one type hint, and gives it the form that jsonargparse reads in one way only."""

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from tunesmith.nearest import did_you_mean
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe import kinds
from tunesmith.recipe.classes import Classes, Result
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.confine import leads_outside, outside
from tunesmith.recipe.merge import CLASS_KEYS
from tunesmith.recipe.paths import absolute
from tunesmith.recipe.places import Places
from tunesmith.recipe.problem import KeyPath, Problem, hides_class, with_class_paths
from tunesmith.recipe.trust import Trust, family, is_path

_NO_FILE = "a recipe from the net names no file of this machine; name yours on the command line"
_NO_CLASS = "names a class where none may stand"


class Values:
    """Checks values; `Classes` checks those that name a class.

    Args:
        recipe: The recipe.
        catalog: The plugins that it may name.
        trust: The other classes that it may name.
        places: Where keys belong.
    """

    def __init__(self, recipe: Recipe, catalog: Catalog, trust: Trust, places: Places) -> None:
        self.recipe = recipe
        self.trust = trust
        self.classes = Classes(recipe, catalog, trust, places, self.check)

    def check(self, value: Any, hint: Any, path: KeyPath) -> Result:
        """The value in its final form, and what is wrong with it."""
        alternatives = kinds.union_of(hint)
        if len(alternatives) == 1:
            result = self._one(value, alternatives[0], path)
        else:
            result = self._union(value, alternatives, hint, path)
        text = self.recipe.text(path)
        typed = text is not None and not isinstance(value, str) and str in alternatives
        if result[1] and typed and not any(map(names_class, alternatives)):
            # `--task=3` is text all the same: only YAML took it for a number.
            return text, []
        return result

    def _one(self, value: Any, hint: Any, path: KeyPath) -> Result:
        if kinds.is_literal(hint):
            return self._literal(value, hint, path)
        if kinds.is_code(hint):
            return self._code(value, hint, path)
        if kinds.is_map(hint):
            return self._map(value, hint, path)
        if kinds.is_list(hint):
            return self._list(value, hint, path)
        if kinds.is_any(hint) or not inspect.isclass(hint):
            problems = [
                Problem(p, "is not read here: this place takes no class") for p in with_class_paths(value, path)
            ]
            return value, problems
        if kinds.is_scalar(hint):
            return self._scalar(value, hint, path)
        if issubclass(hint, Plugin):
            return self.classes.plugin(value, hint, path)
        if dataclasses.is_dataclass(hint):
            return self.classes.options(value, hint, path)
        return self.classes.library(value, hint, path)

    def _union(self, value: Any, alternatives: tuple[Any, ...], hint: Any, path: KeyPath) -> Result:
        named = [a for a in alternatives if names_class(a)]
        if isinstance(value, str):
            known = [a for a in named if (base := base_of(a)) is not None and self.trust.knows(base, value)]
            if known or (named and is_path(value)):
                # jsonargparse imports any dotted text where a class may stand, even if text may stand there too.
                return self._one(value, (known or named)[0], path)
            if hides_class(value):
                return value, [Problem(path, _NO_CLASS)]
        if str in alternatives:
            alternatives = tuple(a for a in alternatives if not kinds.is_path(a))
        results = [(a, self._one(value, a, path)) for a in alternatives]
        if fitting := [result for _, result in results if not result[1]]:
            # 1.0 is a share where a share may stand (`limit_val_batches`), and a whole number only elsewhere
            kept = (r for r in fitting if not isinstance(value, float) or isinstance(r[0], float))
            return next(kept, fitting[0])
        # The alternative that was meant: the one that got furthest, or the class if a name or a map was given.
        for alternative, result in results:
            if isinstance(value, Mapping | list) and any(p.path != path for p in result[1]):
                return result
            if isinstance(value, Mapping | str) and self._nameable(alternative):
                return result
            if isinstance(value, str) and kinds.is_path(alternative):
                return result  # a path, and one that the recipe may not name
        return value, [self._mismatch(value, hint, path)]

    def _nameable(self, hint: Any) -> bool:
        """Whether there is a class that a recipe may name here."""
        base = base_of(hint)
        return names_class(hint) and base is not None and self.classes.nameable(base)

    def _literal(self, value: Any, hint: Any, path: KeyPath) -> Result:
        known = kinds.literals(hint)
        for one in known:
            if value == one and (type(value) is type(one) or (type(one) is int and kinds.is_whole(value))):
                return one, []
        near = did_you_mean(value, [k for k in known if isinstance(k, str)]) if isinstance(value, str) else ""
        quotes = "; put it in quotes" if isinstance(value, bool) and any(isinstance(k, str) for k in known) else ""
        return value, [Problem(path, f"is {kinds.shown(value)}; it takes {kinds.takes(hint)}{near}{quotes}")]

    def _scalar(self, value: Any, hint: Any, path: KeyPath) -> Result:
        if not kinds.takes_scalar(hint, value):
            return value, [self._mismatch(value, hint, path)]
        if kinds.is_path(hint):
            mark = self.recipe.mark(path)
            if mark.remote and "://" not in value:
                return value, [Problem(path, f"is {kinds.shown(value)}; {_NO_FILE}")]
            file = absolute(value, mark.folder)
            left = mark.package is not None and "://" not in file and leads_outside(Path(file), mark.package)
            return file, [Problem(path, outside(file, path))] if left else []
        return int(value) if issubclass(hint, int) and kinds.is_whole(value) else value, []

    def _map(self, value: Any, hint: Any, path: KeyPath) -> Result:
        inner = get_args(hint)[1] if len(get_args(hint)) == 2 else Any
        if not isinstance(value, Mapping):
            return value, [self._mismatch(value, hint, path)]
        checked: dict[str, Any] = {}
        problems: list[Problem] = []
        gone = self.recipe.gone(value, path)
        for key in dict.fromkeys([*value, *gone]):
            if key in CLASS_KEYS:
                says = f"stands where a name of your own is due: {'.'.join(path)}: {{name: ...}}"
                problems.append(Problem((*path, key), says))
                continue
            entry, found = self.check(value.get(key), inner, (*path, key))
            if key in gone and (found or key not in value):
                continue  # null removes the entry
            checked[key] = entry
            problems += found
        return checked, problems

    def _list(self, value: Any, hint: Any, path: KeyPath) -> Result:
        if not isinstance(value, list):
            return value, [self._mismatch(value, hint, path)]
        inner = get_args(hint) or (Any,)
        if get_origin(hint) is tuple and Ellipsis not in inner and len(inner) != len(value):
            return value, [Problem(path, f"has {len(value)} entries; it takes {len(inner)}")]
        hints = inner if get_origin(hint) is tuple and Ellipsis not in inner else (inner[0],) * len(value)
        results = [self.check(v, h, (*path, str(i))) for i, (v, h) in enumerate(zip(value, hints, strict=True))]
        return [v for v, _ in results], [p for _, problems in results for p in problems]

    def _code(self, value: Any, hint: Any, path: KeyPath) -> Result:
        """A function or class to be called: a recipe may name one of a list, such as an optimizer, and nothing else."""
        base = base_of(hint)
        if base is not None:
            return self.classes.library(value, base, path, skip=len(get_args(hint)[0]))
        return value, [Problem(path, f"is {kinds.shown(value)}; it takes code, which a recipe may not name")]

    def _mismatch(self, value: Any, hint: Any, path: KeyPath) -> Problem:
        alternatives = [a for a in kinds.union_of(hint) if not names_class(a) or self._nameable(a)]
        note = ""
        if isinstance(value, bool | int | float) and str in alternatives:
            note = "; put it in quotes"
        elif isinstance(value, str):
            literals = [v for a in alternatives if kinds.is_literal(a) for v in kinds.literals(a)]
            note = did_you_mean(value, [v for v in literals if isinstance(v, str)])
        if len(alternatives) == 1 and kinds.is_map(alternatives[0]):
            note = f"; write {path[-1]}: {{name: {value if isinstance(value, str) else '...'}}}"
        return Problem(path, f"is {kinds.shown(value)}; it takes {kinds.takes(alternatives or hint)}{note}")


def names_class(hint: Any) -> bool:
    """Whether jsonargparse may import what a text says where a hint stands."""
    if kinds.is_code(hint):
        return True
    if not inspect.isclass(hint) or kinds.is_scalar(hint) or kinds.is_map(hint) or kinds.is_list(hint):
        return False
    return not kinds.is_any(hint) and not dataclasses.is_dataclass(hint) and not kinds.is_literal(hint)


def base_of(hint: Any) -> type | None:
    """The class of which a value is an instance, or which a factory makes, if a recipe may name one."""
    if not kinds.is_code(hint):
        return hint if inspect.isclass(hint) else None
    arguments = get_args(hint)
    if len(arguments) != 2 or not isinstance(arguments[0], list):
        return None
    returned = (a for a in kinds.union_of(arguments[1]) if inspect.isclass(a) and family(a))
    return next(returned, None)
