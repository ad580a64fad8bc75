"""Checks a recipe against what its classes take, at every depth, before anything is built.

The result names every class by its import path, with its options under `init_args`, so that jsonargparse can read it in
one way only. jsonargparse would accept more: a text for a class is a file to load or a module to import there.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.nearest import nearest
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.classes import Result
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.kinds import is_scalar
from tunesmith.recipe.places import Places
from tunesmith.recipe.problem import KeyPath, Problem, names, report
from tunesmith.recipe.signature import options
from tunesmith.recipe.trust import Trust
from tunesmith.recipe.values import Values

OVERLAY_WITH = "--config RECIPE --config OVERLAY"


def check(recipe: Recipe, catalog: Catalog, sections: Mapping[str, Any], trust: Sequence[str] = ()) -> dict[str, Any]:
    """Check a whole recipe.

    Args:
        recipe: What `compose` made.
        catalog: The plugins that it may name.
        sections: Each top-level key with the class whose constructor takes its options, or with a type.
        trust: Prefixes of `--trust`.

    Returns:
        The recipe's data, ready for jsonargparse: class names are import paths, paths are absolute.

    Raises:
        RecipeError: Anything is wrong: an unknown key or class, a wrong option or type, a missing key, a key where it
            would be lost, a class that a recipe may not name. Up to five mistakes at once.
    """
    places = Places(sections, recipe.data, catalog)
    values = Values(recipe, catalog, Trust(trust), places)
    checked: dict[str, Any] = {}
    problems: list[Problem] = []
    for key in dict.fromkeys([*recipe.data, *recipe.gone(recipe.data, ())]):
        if key not in sections:
            problems.append(_unknown(key, sections, places))
        elif key in recipe.data:
            checked[key], found = _section(values, sections[key], recipe.data[key], (key,))
            problems += found
    problems += [_absent(key) for key, kind in sections.items() if key not in recipe.data and _needs(kind)]
    if problems:
        raise RecipeError(report(problems, recipe))
    return checked


def _section(values: Values, kind: Any, value: Any, path: KeyPath) -> Result:
    if _is_section(kind):
        return values.classes.options(value, kind, path)
    return values.check(value, kind, path)


def _is_section(kind: Any) -> bool:
    """Whether a key's type is a class whose options stand right under the key (builtins count as scalars here)."""
    return inspect.isclass(kind) and not is_scalar(kind)


def _needs(kind: Any) -> bool:
    return _is_section(kind) and any(option.required for option in options(kind).values())


def _unknown(key: str, sections: Mapping[str, Any], places: Places) -> Problem:
    says = f"is not a key of a recipe{places.hint((key,), sections)}\na recipe takes: {names(sections)}"
    return Problem((key,), says, likely=tuple((near,) for near in nearest(key, sections)))


def _absent(key: str) -> Problem:
    says = f"is missing; an overlay never runs alone: {OVERLAY_WITH}"
    return Problem((key,), says, missing=True)
