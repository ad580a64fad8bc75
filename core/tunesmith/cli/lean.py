"""A resolved recipe without what equals a default, so that a release that adds an option does not hide older runs.

And the order of its maps of names, which says what a map alone does not: curators run one after the other.
"""

import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch import Trainer

from tunesmith.data.module import RecipeData
from tunesmith.recipe.kinds import is_map, is_scalar, union_of
from tunesmith.recipe.signature import MISSING, options
from tunesmith.training.specialist import Specialist

_SECTIONS: dict[str, type] = {"model": Specialist, "data": RecipeData, "trainer": Trainer}


def lean(method: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recipe that decides what is trained, without entries that equal the defaults of today.

    Args:
        method: A resolved recipe, or a part of it; of today, or out of the lock of an older run.
    """
    return {key: _lean(value, _SECTIONS.get(key, Any)) for key, value in method.items()}


def _lean(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return [_lean(entry, Any) for entry in value]
    if not isinstance(value, Mapping):
        return value
    if isinstance(path := value.get("class_path"), str):
        cls, given = _class(path), value.get("init_args") or {}
        return {"class_path": path, "init_args": _options(given, cls) if cls is not None else given}
    if typing.get_origin(hint) is dict:
        return {name: _lean(entry, typing.get_args(hint)[1]) for name, entry in value.items()}
    return _options(value, hint) if inspect.isclass(hint) and not is_scalar(hint) else value


def _options(given: Mapping[str, Any], cls: type) -> dict[str, Any]:
    known = options(cls)
    found: dict[str, Any] = {}
    for name, value in given.items():
        default = known[name].default if name in known else MISSING
        if value is None or _plain(default) == value:
            continue
        small = _lean(value, known[name].hint if name in known else Any)
        if small != {}:  # a part that holds nothing but defaults
            found[name] = small
    return found


def _plain(default: Any) -> Any:
    """A default as YAML holds it."""
    return list(default) if isinstance(default, tuple) else default


def orders(method: Mapping[str, Any]) -> dict[str, list[str]]:
    """The order of the names in each map of two or more, by its key: sources, curators, regularizers, plugins' own.

    The options of a class are no such map, since their order says nothing.

    Args:
        method: As in `lean`.
    """
    return {
        key: names for name, value in method.items() for key, names in _orders(value, _SECTIONS.get(name, Any), name)
    }


def _orders(value: Any, hint: Any, key: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _orders(entry, Any, f"{key}.{index}")
    if not isinstance(value, Mapping):
        return
    entries: list[tuple[str, Any, Any]] = []
    if isinstance(path := value.get("class_path"), str):
        entries = _hinted(value.get("init_args") or {}, _class(path))
    elif maps := [one for one in union_of(hint) if is_map(one)]:
        names = [name for name, entry in value.items() if entry is not None]
        if len(names) > 1:
            yield key, names
        entries = [(name, value[name], (*typing.get_args(maps[0]), Any)[1]) for name in names]
    elif inspect.isclass(hint) and not is_scalar(hint):
        entries = _hinted(value, hint)
    for name, entry, inner in entries:
        yield from _orders(entry, inner, f"{key}.{name}")


def _hinted(given: Mapping[str, Any], cls: type | None) -> list[tuple[str, Any, Any]]:
    """The options of a class with their hints, as far as these are known."""
    known = options(cls) if cls is not None else {}
    return [(name, value, known[name].hint) for name, value in given.items() if name in known]


def _class(path: str) -> type | None:
    """A class that is imported; never imported for this: what a lock names may be gone, or be no one's to trust."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    return cls if inspect.isclass(cls) else None
