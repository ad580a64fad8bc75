"""Each kind put to all the work that a run asks of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.testing import adapters, audits, curators, evaluators, formatters, objectives, regularized
from tunesmith.testing.check import Call, Trial

# What a run asks of an instance, call by call.
_CALLS: dict[str, Callable[[Trial], list[Call]]] = {
    "formatter": formatters.calls,
    "curator": curators.calls,
    "audit": audits.calls,
    "evaluator": evaluators.calls,
    "objective": objectives.calls,
    "regularizer": regularized.calls,
}
# What the calls are made on, where that is not the instance itself.
_STARTS: dict[str, Callable[[Trial], Any]] = {"objective": objectives.Learner, "regularizer": regularized.start}
# Kinds that train are put to work on a model, with a folder that they may write in; what comes out is returned.
_TRAINS: dict[str, Callable[[Trial, Path], Any]] = {
    "objective": objectives.exercise,
    "adapter": adapters.exercise,
    "regularizer": regularized.exercise,
}


def trains(kind: str) -> bool:
    """Whether plugins of this kind work on a model that trains; the others draw nothing at random."""
    return kind in _TRAINS


def takes_calls(kind: str) -> bool:
    """Whether the work of this kind is a number of calls, of which each must be as good as the first."""
    return kind in _CALLS


def calls_of(trial: Trial) -> list[Call]:
    """What a run asks of the instance, call by call."""
    return _CALLS[trial.cls.kind](trial)


def start(trial: Trial) -> Any:
    """What the calls are made on, around a new instance in the state of this one."""
    make = _STARTS.get(trial.cls.kind)
    return trial.fresh().plugin if make is None else make(trial.fresh())


def put_to_work(trial: Trial, place: Path, turned: bool = False) -> Any:
    """Ask of it all that a run does; each call, or the whole training, of a new instance in its state.

    Args:
        trial: The instance, which stays unused.
        place: A folder that it may write in.
        turned: Whether the last call is made first.

    Returns:
        What came out, in the order of the calls.
    """
    if trains(trial.cls.kind):
        return _TRAINS[trial.cls.kind](trial.fresh(), place)
    step = -1 if turned else 1
    return [call(start(trial)) for call in calls_of(trial)[::step]][::step]
