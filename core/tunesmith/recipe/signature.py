"""What a class takes, read from its constructor, as jsonargparse will read it later."""

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Mapping
from typing import Any

MISSING = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_GUESSED: dict[type, Any] = {bool: bool, int: float, float: float, str: str}


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option of a class.

    Args:
        name: Its name.
        hint: Its annotation, evaluated; `typing.Any` where it cannot be.
        default: Its default; `MISSING` where there is none.
    """

    name: str
    hint: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING


@functools.cache
def options(cls: type, skip: int = 0) -> Mapping[str, Option]:
    """The options of a class by name, in order.

    A constructor with `**kwargs` is taken to pass them on to the next class's; what it gives to that one itself is not
    the recipe's to give.

    Args:
        cls: The class.
        skip: How many leading parameters are not the recipe's to give (an optimizer's `params`).
    """
    found: dict[str, Option] = {}
    given: set[str] = set()
    for owner in cls.__mro__:
        if owner is object or "__init__" not in vars(owner):
            continue
        init = vars(owner)["__init__"]
        hints = _hints(owner, init)
        try:
            parameters = list(inspect.signature(init).parameters.values())[1:]
        except (TypeError, ValueError):  # written in C, without a signature
            continue
        for parameter in parameters:
            if parameter.kind in _NAMED and parameter.name not in given:
                hint = hints.get(parameter.name, _guess(parameter))
                found.setdefault(parameter.name, Option(parameter.name, hint, parameter.default))
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
        given |= _given(init)
    return dict(list(found.items())[skip:])


def _given(init: Callable[..., Any]) -> set[str]:
    """Names that a constructor passes by keyword to the next one: `super().__init__(root_dir=save_dir, **kwargs)`."""
    tree = _tree(init)
    if tree is None:
        return set()
    return {keyword.arg for call in _calls_of_the_next(tree) for keyword in call.keywords if keyword.arg is not None}


def passes_all_on(init: Callable[..., Any], name: str) -> bool:
    """Whether a constructor gives its `**kwargs`, called `name`, to the next one whole, and reads nothing of it.

    False where there is no source to read.
    """
    tree = _tree(init)
    if tree is None:
        return False
    whole = [k.value for call in _calls_of_the_next(tree) for k in call.keywords if k.arg is None]
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name]
    return bool(uses) and all(any(use is value for value in whole) for use in uses)


def _tree(init: Callable[..., Any]) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):  # no source at hand
        return None


def _calls_of_the_next(tree: ast.Module) -> list[ast.Call]:
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "super().__init__"]


def _hints(owner: type, init: Callable[..., Any]) -> dict[str, Any]:
    """Evaluated annotations; one that cannot be evaluated (imported for type checkers only) costs only itself."""
    if dataclasses.is_dataclass(owner):
        modules = ((base, vars(sys.modules.get(base.__module__, dataclasses))) for base in reversed(owner.__mro__))
        return {name: hint for base, scope in modules for name, hint in _evaluated(base, scope).items()}
    function = inspect.unwrap(init)
    return _evaluated(function, getattr(function, "__globals__", {}))


def _evaluated(holder: Any, scope: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, hint in inspect.get_annotations(holder).items():
        try:
            found[name] = typing.get_type_hints(_Holder(name, hint), dict(scope), include_extras=True)[name]
        except Exception:  # an annotation may be any expression
            found[name] = Any
    return found


class _Holder:
    """An object with one annotation, so that `get_type_hints` can be asked about it alone."""

    def __init__(self, name: str, hint: Any) -> None:
        self.__annotations__ = {name: hint}


def _guess(parameter: inspect.Parameter) -> Any:
    """A type for a parameter without annotation, by its default."""
    return _GUESSED.get(type(parameter.default), Any)
