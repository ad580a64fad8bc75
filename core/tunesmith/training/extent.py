"""How far a Trainer's options let a run go, and whether its validations come between two optimizer steps."""

import math
from typing import Any

from tunesmith.errors import RecipeError


def extent(trainer: Any, batches: int) -> tuple[int | None, int | None]:
    """Micro-batches that are trained on, and optimizer steps; None where only the clock ends the run.

    Args:
        trainer: Lightning's.
        batches: Micro-batches a rank and epoch.
    """
    accumulate: int = trainer.accumulate_grad_batches
    steps_an_epoch = -(-batches // accumulate)
    epochs, most = trainer.max_epochs, trainer.max_steps
    limits = [steps_an_epoch * epochs] if epochs is not None and epochs >= 0 else []
    steps = min([*limits, *([most] if most >= 0 else [])], default=None)
    if steps is None or not steps_an_epoch:
        return None, steps
    whole, rest = divmod(steps, steps_an_epoch)
    return whole * batches + rest * accumulate, steps


def check_least(trainer: Any, batches: int) -> None:
    """Insist that a run may be as long as it has to be; Lightning ends it without a word, and before its validation.

    Args:
        trainer: Lightning's.
        batches: Micro-batches a rank and epoch.

    Raises:
        RecipeError: `min_epochs` or `min_steps` is more than the run makes.
    """
    steps, an_epoch = extent(trainer, batches)[1], -(-batches // trainer.accumulate_grad_batches)
    if steps is None or trainer.fast_dev_run:
        return
    for key, each in (("min_epochs", an_epoch), ("min_steps", 1)):
        least = getattr(trainer, key)
        if least and least * each > steps:
            in_steps = f", which is {least * each} steps" if each > 1 else ""
            end = f"the run ends after {steps}; give at most {steps // each}, or raise trainer.max_epochs or max_steps"
            msg = f"trainer.{key} is {least}{in_steps}, but {end}"
            raise RecipeError(msg)


def interval(trainer: Any, batches: int) -> int | None:
    """Micro-batches from one validation to the next, as Lightning counts; None where the clock decides."""
    if trainer._val_check_time_interval is not None:
        return None
    said: int | float = trainer.val_check_interval
    return said if isinstance(said, int) else max(1, int(batches * said))


def check_interval(trainer: Any, batches: int, begun: int = 0, done: int = 0) -> None:
    """Insist on validations between two optimizer steps: a checkpoint inside of one would lose gradients.

    Without `check_val_every_n_epoch` Lightning counts on from epoch to epoch, where a shorter last window moves all
    that come after it.

    Args:
        trainer: Lightning's.
        batches: Micro-batches a rank and epoch.
        begun: Micro-batches that were counted before this epoch.
        done: Micro-batches that were counted so far.

    Raises:
        RecipeError: A validation would come at another place, or is never due.
    """
    every, accumulate = interval(trainer, batches), trainer.accumulate_grad_batches
    if every is None or trainer.limit_val_batches == 0:
        return
    across = trainer.check_val_every_n_epoch is None
    if every < 1 or (every > batches and not across):
        more = "; trainer.check_val_every_n_epoch: null counts on from epoch to epoch" if every > batches else ""
        msg = f"trainer.val_check_interval is {every}; an epoch has {batches} micro-batches: give 1 to {batches}{more}"
        raise RecipeError(msg)
    last = extent(trainer, batches)[0] if across else None
    if not across:
        begun = done = 0
    stop = done + (math.lcm(every, batches) if across else batches)
    for at in range((done // every + 1) * every, (stop if last is None else min(stop, last)) + 1, every):
        if (at - begun) % batches % accumulate:
            raise RecipeError(_inside(every, accumulate, batches, shifted=every % accumulate == 0))


def _inside(every: int, accumulate: int, batches: int, *, shifted: bool) -> str:
    said = f"trainer.val_check_interval: validation after every {every} batches falls between two optimizer steps"
    if not shifted:
        return f"{said}; use a multiple of accumulate_grad_batches ({accumulate})"
    return (
        f"{said}: an epoch of {batches} ends with a window of {batches % accumulate}, and "
        f"trainer.check_val_every_n_epoch: null counts on; use a multiple of {batches}, or validate within each epoch "
        "(trainer.check_val_every_n_epoch: 1)"
    )
