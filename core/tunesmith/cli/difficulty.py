"""Before a curriculum by loss: the base's loss on each training row, measured once a run."""

import os
import time

import numpy as np

from tunesmith.cli.runs import Run
from tunesmith.cli.screen import console, is_first_rank
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.curriculum import LOSS
from tunesmith.errors import RecipeError
from tunesmith.training.difficulty import base_losses
from tunesmith.training.fsdp2 import FSDP2

_FILE = "losses.npy"
_EVERY = 2.0


def check_difficulty(session: Session) -> None:
    """Refuse a curriculum by loss where the base's losses cannot be measured before the run.

    Raises:
        RecipeError: Weights lie in shards, or several processes were started at once.
    """
    curriculum = session.data.curriculum
    if curriculum is None or curriculum.by != LOSS:
        return
    reason = ""
    if isinstance(session.trainer_options.get("strategy"), FSDP2):
        reason = "weights that lie in shards are not there before it"
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        reason = "torchrun starts all processes at once"
    if reason:
        msg = (
            f"data.curriculum.by is {LOSS}, which is measured by one process before the run, and {reason}\n"
            "order by length or by a column"
        )
        raise RecipeError(msg)


def measure_difficulty(session: Session, run: Run) -> None:
    """Give the data the base's losses, where the recipe orders by them; those of a run that is resumed are its own.

    The first process measures and keeps them in the run before Lightning starts the others.
    """
    curriculum = session.data.curriculum
    if curriculum is None or curriculum.by != LOSS:
        return
    rows = session.data.encoded("train").rows
    path = run.path / _FILE
    if path.is_file() and len(kept := np.load(path, allow_pickle=False)) == len(rows):
        session.data.set_losses(kept)
        return
    session.model.to(session.model.runs_on)
    shown = time.monotonic()

    def done(number: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > _EVERY and is_first_rank() and console.is_terminal:
            shown = time.monotonic()
            console.print(f"  difficulty  {number:,} of {len(rows):,} rows measured", end="\r")

    losses = base_losses(session.model, rows, done)
    if is_first_rank():
        np.save(path, losses, allow_pickle=False)
    session.data.set_losses(losses)
