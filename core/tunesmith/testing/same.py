"""Whether two values say the same, whatever they are made of."""

import copy
import dataclasses
import math
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def state_of(plugin: object) -> dict[str, Any]:
    """The attributes of an object, whether it keeps them in a map or in slots."""
    slots = [name for cls in type(plugin).__mro__ for name in getattr(cls, "__slots__", ())]
    found = {name: getattr(plugin, name) for name in slots if name != "__weakref__" and hasattr(plugin, name)}
    return found | dict(getattr(plugin, "__dict__", {}))


def twin(plugin: T) -> T:
    """Another instance in the same state, made without the class's own ways to copy, which may lose some of it."""
    held = state_of(plugin)
    try:
        held = copy.deepcopy(held)
    except Exception:
        held = {name: _copied(value) for name, value in held.items()}
    return made_of(type(plugin), held)


def made_of(cls: type[T], state: Mapping[str, Any]) -> T:
    """An instance with these attributes, made without its constructor."""
    made = object.__new__(cls)
    for name, value in state.items():
        object.__setattr__(made, name, value)
    return made


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # an open file, a lock: `can_be_pickled` says so
        return value


def same(one: Any, two: Any) -> bool:
    """Equal in every part: nan equals nan, a tensor or array equals one of the same numbers, a path its absolute form.

    Objects without an `==` of their own are compared by class and attributes.
    """
    if isinstance(one, Path) and isinstance(two, Path):
        return one.expanduser().absolute() == two.expanduser().absolute()
    if type(one) is not type(two):
        return False
    if isinstance(one, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        alike = one.shape == two.shape and one.dtype == two.dtype
        return bool(alike and ((one == two) | ((one != one) & (two != two))).all())
    if isinstance(one, str | bytes | int | Set) or callable(one):
        return bool(one == two)
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one) if f.compare)
    plain = getattr(type(one), "__eq__", None) is vars(object)["__eq__"]
    return same(state_of(one), state_of(two)) if plain else bool(one == two)
