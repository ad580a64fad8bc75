"""The hooks of a plugin package. Each returns classes; the class's name is its name in a recipe.

A package is found through the entry-point group `tunesmith`; the object that the entry point names (a module or class)
implements any of these with `@tunesmith.hookimpl`.
"""

from collections.abc import Iterable

import pluggy

from tunesmith.plugins.interfaces import Adapter, Audit, Curator, Evaluator, Formatter, Objective, Regularizer

PROJECT = "tunesmith"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def tunesmith_register_formatters() -> Iterable[type[Formatter]]:  # type: ignore[empty-body]
    """Formatters: rows to examples. Called once at start; their names may stand in `data.sources.*.formatter`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_curators() -> Iterable[type[Curator]]:  # type: ignore[empty-body]
    """Curators: what improves a data set. Called once at start; their names may stand in `data.curators.*`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_objectives() -> Iterable[type[Objective]]:  # type: ignore[empty-body]
    """Training objectives. Called once at start; their names may stand in `model.objective`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_adapters() -> Iterable[type[Adapter]]:  # type: ignore[empty-body]
    """Adapters: what trains. Called once at start; their names may stand in `model.adapter`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_regularizers() -> Iterable[type[Regularizer]]:  # type: ignore[empty-body]
    """Regularizers: extra terms of the loss. Called once at start; names may stand in `model.regularizers.*`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_audits() -> Iterable[type[Audit]]:  # type: ignore[empty-body]
    """Audits: what looks for bias. Called once at start; their names may stand in `audits.*`.

    Since 0.1.
    """


@hookspec
def tunesmith_register_evaluators() -> Iterable[type[Evaluator]]:  # type: ignore[empty-body]
    """Evaluators: samples to measures. Called once at start; their names may stand in `evaluators.*`.

    Since 0.1.
    """
