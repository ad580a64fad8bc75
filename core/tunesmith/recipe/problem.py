"""What is wrong with a recipe, as it is said: what, where, what is allowed, what to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tunesmith.nearest import nearest
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.read_yaml import RecipeLoader

KeyPath = tuple[str, ...]
_MOST = 5
_MOST_NAMES = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Args:
        path: The key at fault.
        says: What is wrong, as the rest of a sentence that begins with the key; more lines may follow.
        missing: Whether the key is absent, not wrong: it may be one that is misspelt beside it.
        likely: The keys that a misspelt one was probably meant to be.
    """

    path: KeyPath
    says: str
    missing: bool = False
    likely: tuple[KeyPath, ...] = ()


def report(problems: Sequence[Problem], recipe: Recipe) -> str:
    """All that is wrong, each with the file that says it, at most five."""
    meant = {path for problem in problems for path in problem.likely}
    told = [p for p in problems if not (p.missing and p.path in meant)]
    sections = [p for p in told if p.missing and len(p.path) == 1]
    if sections:
        # whoever runs an overlay alone lacks most keys, and is helped by none of their names
        told = sections + [p for p in told if not p.missing]
    # What is absent comes last.
    told.sort(key=lambda p: p.missing and len(p.path) > 1)
    lines = [f"{recipe.origin(p.path)}: {'.'.join(p.path)} {p.says}" for p in told[:_MOST]]
    if len(told) > _MOST:
        lines.append(f"and {len(told) - _MOST} more")
    return "\n".join(lines)


def names(known: Iterable[str], word: str = "") -> str:
    """Names in a row; of very many, those that begin or end alike."""
    found = list(known)
    if len(found) <= _MOST_NAMES:
        return ", ".join(found) or "nothing"
    close = nearest(word, found)
    some = [*close, *(n for n in found if n not in close)][:_MOST_NAMES]
    return f"{', '.join(some)} and {len(found) - len(some)} more"


def with_class_paths(value: Any, path: KeyPath) -> list[KeyPath]:
    """Where a class is named in a value that takes none."""
    if isinstance(value, Mapping):
        here = [(*path, "class_path")] if "class_path" in value else []
        return here + [p for k, v in value.items() for p in with_class_paths(v, (*path, str(k)))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in with_class_paths(v, (*path, str(i)))]
    return [path] if isinstance(value, str) and hides_class(value) else []


def hides_class(text: str) -> bool:
    """Whether a text names a class once jsonargparse has read it as YAML, as it does where any type may stand."""
    try:
        return _names_class(yaml.load(text, Loader=RecipeLoader), set())  # noqa: S506  a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _names_class(value: Any, seen: set[int]) -> bool:
    if not isinstance(value, dict | list) or id(value) in seen:
        return False
    seen.add(id(value))
    children = value.values() if isinstance(value, dict) else value
    return (isinstance(value, dict) and "class_path" in value) or any(_names_class(c, seen) for c in children)
