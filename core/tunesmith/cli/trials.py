"""One training of a search: a `fit` with other options, in this process and without its screen."""

import gc
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

Report = Callable[[int, float], bool]
_GRID = 5  # percent of a run: at such points trials are compared, however many validations they make


class Reporting(Callback):
    """Tells each validation loss, and ends the run where it is told to.

    Args:
        report: Gets the share of the run that is done, in percent, and the loss; says whether to end.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.ended = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell, but for the validation before the first step."""
        if trainer.sanity_checking or not trainer.global_step:
            return
        done = 100 * trainer.global_step / trainer.estimated_stepping_batches
        loss = float(getattr(pl_module, "validation_loss", float("nan")))
        if self.report(round(done / _GRID) * _GRID, loss) and done < 100:
            self.ended = trainer.should_stop = True


@dataclass(frozen=True)
class Trained:
    """How a trial went.

    Args:
        loss: The lowest validation loss after the first step.
        ended: Whether it was ended early by its report.
        seconds: It took.
        run: Its run.
    """

    loss: float
    ended: bool
    seconds: float
    run: Run


def train(arguments: Arguments, changes: Sequence[str], folder: str, report: Report, **options: Any) -> Trained:
    """Train once with other options.

    Args:
        arguments: Of the search.
        changes: Of the recipe, as a command line says them.
        folder: Name of the folder of runs that it goes to.
        report: Of its validation losses.
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
    telling = Reporting(report)
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
    return Trained(min(losses), telling.ended, seconds, run)


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
        msg = "search decides by val/loss, which trainer.limit_val_batches: 0 and fast_dev_run leave out"
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
