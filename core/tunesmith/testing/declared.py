"""What a class declares about itself: only words that the core knows."""

import inspect
from typing import Any, Literal, get_args, get_origin

from tunesmith.plugins.interfaces import Evaluator, Objective, Plugin
from tunesmith.testing.check import Rule, Trial, fail

_BOOL = Literal[True, False]
_INTERFACES = {Plugin.__module__, Objective.__module__, Evaluator.__module__}


def class_attributes_are_known(trial: Trial) -> None:
    """What the class declares (`needs`, `layout`, `model_class`, ...) are values that its base class lists.

    Why: the core compares them with the words that it knows. A misspelt one is like none: an audit gets an empty
    subject and finds nothing, an adapter that cannot run on ragged batches is run on them.
    """
    for name, hint in _declared(trial.cls).items():
        value = getattr(trial.plugin, name)  # a property, where options decide
        several = get_origin(hint) in (set, frozenset)
        # a set of plain texts names options of the plugin's own
        names_options = several and get_args(hint) == (str,)
        known = tuple(inspect.signature(trial.cls).parameters) if names_options else get_args(_inner(hint))
        wrong = [v for v in (value if several and isinstance(value, set | frozenset) else [value]) if v not in known]
        if wrong:
            listed = ", ".join(map(repr, known))
            expected = f"a frozenset of {listed}" if several else f"one of {listed}"
            fail(f"{name} is {value!r}", expected, f"declare {name} in {trial.name} as its base class does")


def _inner(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (set, frozenset) else hint


def _declared(cls: type[Plugin]) -> dict[str, Any]:
    """The class attributes whose values the interfaces list, with the list."""
    found: dict[str, Any] = {}
    for owner in cls.__mro__:
        if owner.__module__ in _INTERFACES:
            for name, hint in inspect.get_annotations(owner).items():
                (inner,) = get_args(hint) or (None,)  # of ClassVar
                if inner is bool:
                    found.setdefault(name, _BOOL)
                elif get_args(inner):
                    found.setdefault(name, inner)
    return found


CHECKS: list[Rule] = [class_attributes_are_known]
