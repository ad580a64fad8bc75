"""Each kind put through all that a run asks of it, and what must hold then for every kind."""

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tunesmith.testing import adapters, audits, curators, evaluators, formatters, objectives, regularizers
from tunesmith.testing.check import Rule, Trial, fail, quoted
from tunesmith.testing.same import same
from tunesmith.testing.watch import drawn, global_seed, random_states, written

# Puts an instance to work, with a folder that it may write in; returns what came out.
Exercise = Callable[[Trial, Path], Any]
_EXERCISES: dict[str, Exercise] = {
    "formatter": formatters.exercise,
    "curator": curators.exercise,
    "objective": objectives.exercise,
    "adapter": adapters.exercise,
    "regularizer": regularizers.exercise,
    "audit": audits.exercise,
    "evaluator": evaluators.exercise,
}
# Kinds that never draw from the global random states: same input, same output, in whatever order a run asks.
_PURE = ("formatter", "curator", "evaluator", "audit")


def writes_only_where_told(trial: Trial) -> None:
    """Nothing is written, made, moved or removed outside of the folder that the core names.

    Why: a run is one directory that holds all that it produced. Caches and logs beside it are not resumed, not shared
    and not deleted with it, may hold rows before they were anonymised, and two runs at once overwrite each other's.
    """
    if trial.cls.kind not in _PURE:
        from tunesmith.testing import models

        models.warm()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        with written(place) as paths:
            _exercise(_copy(trial), place)
    if paths:
        fail(
            f"it writes {paths[0]}",
            "files in the folder that `save` is given, and in those of the module tempfile",
            "write there, or keep it in memory",
        )


def deterministic(trial: Trial) -> None:
    """Twice the same work gives the same; draws come from the seed that the core gives, never from a global state.

    Why: a run that is repeated, resumed or shared must give the same rows, weights and verdicts. What formatters,
    curators, evaluators and audits draw from Python's, numpy's or torch's global state depends on who drew before, and
    shifts what everybody else draws after them (trap 27). Methods that train draw from torch's state, which is seeded.
    """
    pure = trial.cls.kind in _PURE
    advice = "draw from a generator of your own, seeded by what the core gives (record.seed, the row's id)"
    results = []
    if not pure:
        importlib.import_module("torch")  # whose state is seeded below
    used = _copy(trial)
    for seed in (1, 2) if pure else (1, 1):
        with global_seed(seed), TemporaryDirectory() as folder:
            before = random_states()
            results.append(_exercise(used if pure else _copy(trial), Path(folder)))
            if pure and (states := drawn(before)):
                found = f"it draws from the global random state of {' and '.join(states)}"
                fail(found, "global states as they were", advice)
    if not same(*results):
        expected = "the same result whatever the global random states are" if pure else "the same result under one seed"
        fail(f"two runs differ: {_difference(*results)}", expected, advice)


def _exercise(trial: Trial, place: Path) -> Any:
    return _EXERCISES[trial.cls.kind](trial, place)


def _copy(trial: Trial) -> Trial:
    """The same of a copy, so that no check leaves traces for the next."""
    return Trial(copy.deepcopy(trial.plugin), trial.rows)


def _difference(one: Any, two: Any) -> str:
    """The first part in which two results differ."""
    while isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        pair = next(((a, b) for a, b in zip(one, two, strict=True) if not same(a, b)), None)
        if pair is None:
            break
        one, two = pair
    return f"{quoted(one)} and {quoted(two)}"


CHECKS: list[Rule] = [writes_only_where_told, deterministic]
