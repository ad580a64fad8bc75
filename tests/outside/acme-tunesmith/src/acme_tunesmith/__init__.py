"""What ACME adds to tunesmith: one plugin of each kind."""

from collections.abc import Iterable

from acme_tunesmith.data import Shortest, Ticket
from acme_tunesmith.evidence import AnswerLength, ExactMatch, LengthGap
from acme_tunesmith.method import LastLayers, SmoothedNextToken, StayClose
from tunesmith import Adapter, Audit, Curator, Evaluator, Formatter, Objective, Regularizer, hookimpl


@hookimpl
def tunesmith_register_formatters() -> Iterable[type[Formatter]]:
    """The formatters of this package."""
    return [Ticket]


@hookimpl
def tunesmith_register_curators() -> Iterable[type[Curator]]:
    """The curators of this package."""
    return [Shortest]


@hookimpl
def tunesmith_register_objectives() -> Iterable[type[Objective]]:
    """The training objectives of this package."""
    return [SmoothedNextToken]


@hookimpl
def tunesmith_register_adapters() -> Iterable[type[Adapter]]:
    """The adapters of this package."""
    return [LastLayers]


@hookimpl
def tunesmith_register_regularizers() -> Iterable[type[Regularizer]]:
    """The regularizers of this package."""
    return [StayClose]


@hookimpl
def tunesmith_register_audits() -> Iterable[type[Audit]]:
    """The audits of this package."""
    return [LengthGap]


@hookimpl
def tunesmith_register_evaluators() -> Iterable[type[Evaluator]]:
    """The evaluators of this package; one has the name of a built-in and is reached by its dotted path."""
    return [AnswerLength, ExactMatch]
