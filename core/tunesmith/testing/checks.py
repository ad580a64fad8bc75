"""All checks of a plugin: those of every plugin, and those of its kind."""

from collections.abc import Sequence
from typing import Self

from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe.signature import options
from tunesmith.testing import (
    adapters,
    audits,
    common,
    curators,
    declared,
    evaluators,
    exercise,
    formatters,
    objectives,
    regularizers,
)
from tunesmith.testing.check import Check, CheckFailedError, Row, Rule, Trial, quoted
from tunesmith.testing.same import same
from tunesmith.testing.trials import makes_trial_instances, trials_of

_KINDS: dict[str, list[Rule]] = {
    "formatter": formatters.CHECKS,
    "curator": curators.CHECKS,
    "objective": objectives.CHECKS,
    "adapter": adapters.CHECKS,
    "regularizer": regularizers.CHECKS,
    "audit": audits.CHECKS,
    "evaluator": evaluators.CHECKS,
}


def checks_for(obj: Plugin | type[Plugin], rows: Sequence[Row] = ()) -> list[Check]:
    """The checks of one plugin, in the order in which they are worth reading.

    Since 0.7.

    Args:
        obj: A plugin class, of which the instances of `trial_instances` are tried, or one instance.
        rows: Rows that a formatter is known to read, beside those that the kit finds.

    Raises:
        TypeError: `obj` is no plugin.
    """
    label = _label(obj)
    try:
        trials = trials_of(obj, rows)
    except CheckFailedError:
        return [Check(makes_trial_instances, (_Unmade(obj),), label)]
    first = trials[:1]
    found = [Check(makes_trial_instances, first, label)] if isinstance(obj, type) else []
    found += [Check(rule, first, label) for rule in (*common.CLASS_CHECKS, *declared.CHECKS)]
    kind = first[0].cls.kind
    every = (*common.INSTANCE_CHECKS, *exercise.rules(kind))
    return found + [Check(rule, trials, label) for rule in (*every, *_KINDS.get(kind, []))]


class _Unmade(Trial):
    """A class that makes no instance."""

    def fresh(self) -> Self:
        """Itself."""
        return self

    @property
    def cls(self) -> type[Plugin]:
        """The class itself."""
        found: type[Plugin] = self.plugin
        return found


def _label(obj: Plugin | type[Plugin]) -> str:
    """The class's name; of an instance, with the options that are not the defaults."""
    if isinstance(obj, type):
        return obj.__name__
    held = [(o, getattr(obj, o.name, None)) for o in options(type(obj)).values()]
    said = [f"{o.name}={quoted(value, 20)}" for o, value in held if o.required or not same(value, o.default)]
    return f"{type(obj).__name__}({', '.join(said)})"
