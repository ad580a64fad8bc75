"""One training of a search: a `fit` with other options, in this process and without its screen."""

import gc
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.fit import fit
from tunesmith.cli.place import place_of
from tunesmith.cli.runs import MERGED, Run, runs_of
from tunesmith.cli.screen import console, stderr
from tunesmith.cli.trainer_cli import Session, open_session
from tunesmith.errors import RecipeError, TunesmithError
from tunesmith.search.space import LOSS

Report = Callable[[int, float], bool]
_GRID = 5  # percent of a run: at such points trials are compared, however many validations they make


class Reporting(Callback):
    """Tells what each validation logs, and ends the run where it is told to.

    Args:
        report: Gets the share of the run that is done, in percent, and the value; says whether to end.
        by: The name of the value.
    """

    def __init__(self, report: Report, by: str = LOSS) -> None:
        self.report, self.by = report, by
        self.ended = False
        self.values: dict[int, float] = {}  # by step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell, but for the validation before the first step."""
        if trainer.sanity_checking or not trainer.global_step:
            return
        done = 100 * trainer.global_step / trainer.estimated_stepping_batches
        value = float(trainer.callback_metrics.get(self.by, math.nan))
        self.values[trainer.global_step] = value
        if self.report(round(done / _GRID) * _GRID, value) and done < 100:
            self.ended = trainer.should_stop = True

    def kept(self, step: int | None) -> float:
        """The value of the weights that a run keeps, which are those of a step; else of its end.

        Raises:
            RecipeError: It is no number.
        """
        value = self.values[step if step in self.values else max(self.values)] if self.values else math.nan
        if not math.isfinite(value):
            msg = f"{self.by} is {value}: no validation row has it, or it is no number"
            raise RecipeError(msg)
        return value


@dataclass(frozen=True)
class Trained:
    """How a trial went.

    Args:
        loss: The lowest validation loss after the first step.
        value: What decides, of the weights that are kept.
        ended: Whether it was ended early by its report.
        seconds: It took.
        run: Its run.
    """

    loss: float
    value: float
    ended: bool
    seconds: float
    run: Run


def train(
    arguments: Arguments, changes: Sequence[str], folder: str, report: Report, by: str = LOSS, **options: Any
) -> Trained:
    """Train once with other options.

    Args:
        arguments: Of the search.
        changes: Of the recipe, as a command line says them.
        folder: Name of the folder of runs that it goes to.
        report: Of its validations.
        by: The name of what it is told of each.
        options: Attributes of the session's data that no recipe has.

    Raises:
        TunesmithError: It cannot be trained, or became no number.
        KeyboardInterrupt: It was stopped.
    """
    session = open_trial(arguments, changes)
    cache = session.data.cache_folder
    session.name = folder
    session.data.cache_folder = cache  # the recipe's own: rows are the same
    for name, value in options.items():
        setattr(session.data, name, value)
    telling = Reporting(report, by)
    session.beside.append(telling)
    with silent():
        code = fit(session)
    if code > 128:
        raise KeyboardInterrupt(code - 128)
    run = runs_of(session.root, session.name)[0]
    losses = [loss for step, loss in run.result_content.get("validation_loss", []) if step]
    seconds = float(run.result_content.get("seconds", 0.0))
    del session
    gc.collect()
    if not losses:
        msg = f"{run.path} ended without a validation"
        raise RecipeError(msg)
    return Trained(min(losses), telling.kept(run.kept_step), telling.ended, seconds, run)


def open_trial(arguments: Arguments, changes: Sequence[str]) -> Session:
    """The session of one trial, refused where it could not be one of several in a process.

    Raises:
        RecipeError: Several devices, no validation, or what `fit` would refuse.
    """
    kept = {name: value for name, value in arguments.options.items() if name == "stage"}
    changed = replace(arguments, verb="fit", options=kept, overrides=[*arguments.overrides, *changes])
    session = open_session(changed)
    if place_of(session.trainer_options).processes > 1:
        msg = "search trains in one process: set trainer.devices to 1 (several searches may run beside each other)"
        raise RecipeError(msg)
    if session.trainer_options.get("limit_val_batches") == 0 or session.trainer_options.get("fast_dev_run"):
        msg = f"search decides by {session.search.by}, which trainer.limit_val_batches: 0 and fast_dev_run leave out"
        raise RecipeError(msg)
    session.trainer_options["enable_progress_bar"] = False
    return session


def lighten(run: Run) -> None:
    """Take a run's weights away; its numbers stay."""
    for name in ("checkpoints", "adapter", MERGED):
        shutil.rmtree(run.path / name, ignore_errors=True)


def reason(error: BaseException) -> str:
    """Why a trial failed, in a line."""
    text = str(error).strip().splitlines()
    return (
        text[0] if text and isinstance(error, TunesmithError) else f"{type(error).__name__}: {text[0] if text else ''}"
    )


@contextmanager
def silent() -> Iterator[None]:
    """Context in which nothing is printed."""
    before = console.quiet, stderr.quiet
    console.quiet = stderr.quiet = True
    try:
        yield
    finally:
        console.quiet, stderr.quiet = before
