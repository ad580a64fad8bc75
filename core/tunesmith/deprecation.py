"""How something public goes: it works for a while, and says what to use instead and when it is gone.

A mark on a class, one of its options, or a hook. Whoever uses what is marked is warned once; the command says it in one
line, `plugins list` and `plugins describe` show it, and editors strike it through.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tunesmith.recipe.signature import options

_MARKS = "__tunesmith_deprecated__"
_WHEN = re.compile(r"\d+(\.\d+)+|\d{4}-\d{2}-\d{2}")
T = TypeVar("T", bound=Callable[..., Any])


class DeprecatedWarning(FutureWarning):
    """Something that is still used will be gone.

    Since 0.7.
    """


@dataclass(frozen=True, slots=True)
class Deprecation:
    """What is said about something that goes.

    Args:
        name: The class, the option or the hook.
        instead: What to use.
        removal: The version, or the date, from which on it is gone.
    """

    name: str
    instead: str
    removal: str

    def __str__(self) -> str:
        return f"{self.name} is deprecated and gone from {self.removal} on; use {self.instead}"


def deprecated(instead: str, *, removal: str, option: str = "") -> Callable[[T], T]:
    """Mark a class, one of its options, or a hook, as deprecated.

    Since 0.7.

    Args:
        instead: What to use instead.
        removal: The version, or the date, from which on it is gone: `2.0`, `2027-06-01`.
        option: The option of the class; empty where the class itself goes.

    Returns:
        A decorator that gives back what it marks.

    Raises:
        ValueError: The class has no such option, or nothing is said.
    """
    if not instead or _WHEN.fullmatch(removal) is None:
        msg = f"a deprecation says what to use instead, and when it goes: 2.0 or 2027-06-01, not {removal!r}"
        raise ValueError(msg)

    def mark(thing: T) -> T:
        if option and not (inspect.isclass(thing) and option in options(cast("type", thing))):
            msg = f"{thing.__name__} has no option {option} that could be deprecated"
            raise ValueError(msg)
        told = Deprecation(option or thing.__name__, instead, removal)
        setattr(thing, _MARKS, {**vars(thing).get(_MARKS, {}), option: told})
        return thing

    return mark


def deprecation_of(thing: Any, option: str = "") -> Deprecation | None:
    """What a class, its option or a hook is marked with. Options are inherited; that a class itself goes is not."""
    owners = getattr(thing, "__mro__", (thing,)) if option else (thing,)
    return next((told for owner in owners if (told := vars(owner).get(_MARKS, {}).get(option))), None)


def warn_if_deprecated(where: str, thing: Any, option: str = "") -> None:
    """Warn whoever uses what is marked.

    Args:
        where: Who names it: a recipe's key, a package.
        thing: The class or the hook.
        option: The option of the class.
    """
    if (told := deprecation_of(thing, option)) is not None:
        warnings.warn(f"{where}: {told}", DeprecatedWarning, stacklevel=2)
