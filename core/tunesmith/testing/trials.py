"""From a plugin class to the instances that its checks try."""

import inspect
from collections.abc import Sequence

from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe.signature import options
from tunesmith.testing.check import Row, Trial, fail, told


def trials_of(subject: object, rows: Sequence[Row] = ()) -> tuple[Trial, ...]:
    """The instances to try: the subject itself, or those that its class makes for trials.

    Raises:
        CheckFailedError: The class cannot make one.
        TypeError: `subject` is no plugin.
    """
    if isinstance(subject, Plugin):
        return (Trial(subject, tuple(rows)),)
    if not (inspect.isclass(subject) and issubclass(subject, Plugin)):
        msg = f"{subject!r} is no plugin: give a class or an instance of Formatter, Curator, Objective, ..."
        raise TypeError(msg)
    return tuple(Trial(plugin, tuple(rows)) for plugin in _made(subject))


def makes_trial_instances(trial: Trial) -> None:
    """The class makes instances to try: `trial_instances()`, which calls the constructor without options by default.

    Why: a class whose constructor needs an option that nobody but its author can choose would never be tried. All other
    checks of the plugin wait for this one.
    """
    _made(trial.cls)


def _made(cls: type[Plugin]) -> list[Plugin]:
    needed = [name for name, option in options(cls).items() if option.required]
    own = cls.trial_instances.__func__ is not Plugin.trial_instances.__func__  # type: ignore[attr-defined]
    call = f"cls({', '.join(f'{name}=...' for name in needed)})"
    advice = f"override it in {cls.__name__}: @classmethod def trial_instances(cls): return [{call}]"
    expected = f"{cls.__name__}.trial_instances() returns one or more instances of {cls.__name__}"
    if needed and not own:
        fail(f"its constructor needs {', '.join(needed)}, and it does not override trial_instances", expected, advice)
    try:
        made = list(cls.trial_instances())
    except (Exception, SystemExit) as error:
        fail(f"trial_instances failed with {told(error)}", expected, advice, error)
    if not made or not all(type(plugin) is cls for plugin in made):
        fail(f"trial_instances returned {made!r}", expected, advice)
    return made
