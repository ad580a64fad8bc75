"""Type hints as a recipe's reader knows them: which kind of hint it is, what it takes in words, and plain values."""

import enum
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NewType, Union

from tunesmith.nearest import one_of
from tunesmith.plugins.interfaces import Plugin

_SCALARS = (str, bool, int, float, complex, types.NoneType)
_SHOWN = 60
# Where Python's own containers, callables and unions live.
_GENERIC = ("builtins", "collections", "collections.abc", "typing", "types")
# jsonargparse reads these from a text or a number, without importing what the text names.
_READ_FROM_TEXT = ("datetime", "decimal", "uuid", "ipaddress", "builtins")
_WORDS: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    types.NoneType: "null",
}


def bare(hint: Any) -> Any:
    """The hint without wrappers that do not change what it takes."""
    while True:
        if typing.get_origin(hint) is Annotated:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif hasattr(hint, "__value__"):  # `type X = ...` of Python 3.12
            hint = hint.__value__
        elif inspect.isclass(origin := typing.get_origin(hint)) and origin.__module__ not in _GENERIC:
            hint = origin  # a class of somebody's own, with parameters
        else:
            return hint


def union_of(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a hint, itself if it is no union."""
    hint = bare(hint)
    if typing.get_origin(hint) in (Union, types.UnionType):
        return tuple(a for arg in typing.get_args(hint) for a in union_of(arg))
    return (hint,)


def is_any(hint: Any) -> bool:
    """Whether a hint says nothing about the value."""
    return hint in (Any, object, inspect.Parameter.empty) or isinstance(hint, str | typing.ForwardRef | typing.TypeVar)


def is_literal(hint: Any) -> bool:
    """Whether a hint lists its values."""
    return typing.get_origin(hint) is Literal or (inspect.isclass(hint) and issubclass(hint, enum.Enum))


def literals(hint: Any) -> list[Any]:
    """The values of a literal, or the names of an enumeration."""
    return list(typing.get_args(hint)) or [member.name for member in hint]


def is_scalar(hint: Any) -> bool:
    """Whether a hint is a plain scalar, or something that is read from one (a date, a path)."""
    return inspect.isclass(hint) and (issubclass(hint, (*_SCALARS, os.PathLike)) or hint.__module__ in _READ_FROM_TEXT)


def is_path(hint: Any) -> bool:
    """Whether a hint is a path of the file system."""
    return inspect.isclass(hint) and issubclass(hint, os.PathLike)


def is_map(hint: Any) -> bool:
    """Whether a hint is a map of any kind."""
    origin = typing.get_origin(hint) or hint
    return inspect.isclass(origin) and issubclass(origin, Mapping)


def is_list(hint: Any) -> bool:
    """Whether a hint is a list, a tuple or a set."""
    origin = typing.get_origin(hint) or hint
    if not inspect.isclass(origin) or origin.__module__ not in _GENERIC or issubclass(origin, str | bytes | Mapping):
        return False
    return issubclass(origin, Collection | Iterable)


def is_code(hint: Any) -> bool:
    """Whether jsonargparse would turn a text into a function, a class or a module for this hint."""
    origin = typing.get_origin(hint) or hint
    return origin in (Callable, type, types.ModuleType, types.FunctionType)


def takes_scalar(hint: Any, value: Any) -> bool:
    """Whether a plain value is what a scalar hint takes: no text for numbers, no truth for whole numbers.

    1.0 and 1e3 are whole numbers, as they are to JSON and to editors.
    """
    if issubclass(hint, types.NoneType):
        return value is None
    if issubclass(hint, bool):
        return isinstance(value, bool)
    if issubclass(hint, int):
        return (isinstance(value, int) and not isinstance(value, bool)) or is_whole(value)
    if issubclass(hint, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if issubclass(hint, str | os.PathLike):
        return isinstance(value, str)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number that is written as another."""
    return isinstance(value, float) and value.is_integer()


def shown(value: Any) -> str:
    """A value as an error shows it, short."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def takes(hint: Any) -> str:
    """What a hint, or a list of alternatives, takes in the words of a recipe."""
    given = hint if isinstance(hint, list) else union_of(hint)
    alternatives = [a for a in given if a is not types.NoneType] or [types.NoneType]
    return one_of(dict.fromkeys(_takes_one(a) for a in alternatives))


def _takes_one(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    if is_literal(hint):
        return one_of(v if isinstance(v, str) else shown(v) for v in literals(hint))
    if is_code(hint):
        returned = typing.get_args(hint)[-1:]
        return _takes_one(returned[0]) if returned and inspect.isclass(returned[0]) else "code"
    if is_path(hint):
        return "a path"
    if is_map(hint):
        inner = typing.get_args(hint)[1:]
        return f"a map of names to {takes(inner[0])}" if inner and not is_any(inner[0]) else "a map"
    if is_list(hint):
        inner = typing.get_args(hint)[:1]
        return f"a list of {takes(inner[0])}" if inner and not is_any(inner[0]) else "a list"
    if not inspect.isclass(hint):
        return "any value"
    name = hint.kind if issubclass(hint, Plugin) and hint.kind else hint.__name__
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"
