"""One check of the kit: a rule, its reason, and the plugin that is held against it."""

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self
from unittest import SkipTest

from tunesmith.errors import AbsentPackageError, RecipeError
from tunesmith.plugins.interfaces import Plugin
from tunesmith.testing.same import twin

Row = Mapping[str, Any]


class CheckFailedError(AssertionError):
    """A plugin does not keep a rule.

    Since 0.7.

    Args:
        found: What was found.
        expected: What the rule asks for.
        advice: What to do.
        check: The check's name and the plugin's; set when it leaves the check.
    """

    def __init__(self, found: str, expected: str, advice: str, check: str = "") -> None:
        self.found = found
        self.expected = expected
        self.advice = advice
        self.check = check
        super().__init__(found, expected, advice, check)

    def __str__(self) -> str:
        head = f"{self.check}: " if self.check else ""
        return f"{head}{self.found}\nexpected: {self.expected}\nto do: {self.advice}"


class MissingExtraError(RecipeError):
    """The kit needs a package that only the extra `testing` brings.

    Since 0.7.
    """


class NotApplicableError(SkipTest):
    """A check has nothing to hold the plugin to, and says why. pytest reports it as a skipped test.

    Since 0.7.
    """


@dataclass(frozen=True)
class Trial:
    """One instance of a plugin under check.

    Args:
        plugin: The instance.
        rows: Rows that a formatter is known to read.
    """

    plugin: Any
    rows: tuple[Row, ...] = ()

    @property
    def cls(self) -> type[Plugin]:
        """Its class."""
        return type(self.plugin)

    @property
    def name(self) -> str:
        """Its class's name."""
        return self.cls.__name__

    def fresh(self) -> Self:
        """The same of an instance that nobody has used."""
        return replace(self, plugin=twin(self.plugin))


Rule = Callable[[Trial], None]
Call = Callable[[Any], Any]
"""One call of a plugin, or of what it was set up on; returns what came out."""


@dataclass(frozen=True)
class Check:
    """A rule and the trials that it is tried on; calling it runs it.

    Since 0.7.

    Args:
        rule: The function; its docstring says the rule and why there is one.
        trials: The instances, at least one.
        label: How the plugin is called in ids and messages.
    """

    rule: Rule = field(repr=False)
    trials: tuple[Trial, ...] = field(repr=False)
    label: str

    @property
    def name(self) -> str:
        """The rule's name, as `expected_failures` takes it."""
        return self.rule.__name__

    @property
    def id(self) -> str:
        """Plugin and rule, as pytest shows them."""
        return f"{self.label}-{self.name}"

    @property
    def summary(self) -> str:
        """What the rule asks for, as one line."""
        return self._said()[0]

    @property
    def reason(self) -> str:
        """Why there is such a rule, as one line."""
        return self._said()[1].removeprefix("Why: ")

    def _said(self) -> tuple[str, str]:
        """The first two paragraphs of the rule's docstring; what follows says how it is tried."""
        rule, why = inspect.cleandoc(self.rule.__doc__ or "").split("\n\n")[:2]
        return " ".join(rule.split()), " ".join(why.split())

    def __call__(self) -> None:
        """Run it on every instance, or rather on one in its state: what another check did to an instance is not seen.

        Raises:
            CheckFailedError: The plugin does not keep the rule, or failed while it was tried.
            MissingExtraError: The rule is tried with a package that is not installed.
            NotApplicableError: The rule could be tried on none of them.
        """
        untried = []
        for trial in self.trials:
            try:
                self.rule(trial.fresh())
            except NotApplicableError as error:
                untried.append(error)
            except AbsentPackageError as error:
                untried.append(NotApplicableError(str(error)))
            except MissingExtraError:
                raise
            except CheckFailedError as error:
                if isinstance(error.__cause__, AbsentPackageError):
                    untried.append(NotApplicableError(str(error.__cause__)))
                    continue
                raise CheckFailedError(error.found, error.expected, error.advice, self.id) from error.__cause__
            except (Exception, SystemExit) as error:
                raise CheckFailedError(*_crash(trial, error), self.id) from error
        if len(untried) == len(self.trials):
            raise untried[0]


def fail(found: str, expected: str, advice: str, cause: BaseException | None = None) -> NoReturn:
    """Say that the plugin under check does not keep the rule.

    Raises:
        CheckFailedError: Always.
    """
    raise CheckFailedError(found, expected, advice) from cause


def told(error: BaseException) -> str:
    """An exception as one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {said}' if said else ''}"


def _crash(trial: Trial, error: BaseException) -> tuple[str, str, str]:
    found = f"{trial.name} failed with {told(error)}{_place(trial.cls, error)}"
    return (
        found,
        "no exception but those that its interface names",
        "mend it there; under pytest, the check shows the traceback",
    )


def _place(cls: type, error: BaseException) -> str:
    """The last line of the plugin's own file that ran, else the last line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    try:
        own = inspect.getfile(cls)
    except (TypeError, OSError):
        own = ""
    frame = next((f for f in reversed(frames) if f.filename == own), frames[-1] if frames else None)
    return f" ({frame.filename}:{frame.lineno})" if frame else ""


def quoted(value: Any, longest: int = 160) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."
