"""How a run ends before its last step: at an optimizer step, and at the same one where it was killed and resumed."""

import math
from collections.abc import Iterable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from tunesmith.errors import RecipeError


def check_after_validation(callbacks: Iterable[Callback], *, validates: bool, once_an_epoch: bool) -> None:
    """Let every EarlyStopping decide before the checkpoint of its validation is saved.

    Lightning lets it decide at the end of the epoch, after that: a run resumed from the checkpoint would decide again,
    by a count of before, and without the metric.

    Args:
        callbacks: The recipe's.
        validates: Whether the run validates at all; where it doesn't, the end of an epoch is all there is.
        once_an_epoch: Whether validation comes at the end of every epoch, and nowhere else.

    Raises:
        RecipeError: A recipe wants it decided at another time than after validation.
    """
    for callback in callbacks:
        if not isinstance(callback, EarlyStopping):
            continue
        if validates and callback._check_on_train_epoch_end and not once_an_epoch:
            msg = (
                "trainer.callbacks: EarlyStopping.check_on_train_epoch_end is true, but validation is not once at the "
                "end of every epoch; leave it out: EarlyStopping looks after each validation"
            )
            raise RecipeError(msg)
        callback._check_on_train_epoch_end = not validates


class Stopping(Callback):
    """Lets a stop wait for the optimizer step, and a resumed run stop where EarlyStopping had stopped it.

    A Timer may end the run at any micro-batch; the gradients of the window that is open would be lost. It has to come
    after all callbacks that stop a run.
    """

    def __init__(self) -> None:
        self._held = False
        self._patience: list[tuple[EarlyStopping, int]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note the recipe's patience, which a checkpoint's would replace."""
        self._patience = [(c, c.patience) for c in trainer.callbacks if isinstance(c, EarlyStopping)]  # type: ignore[attr-defined]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop where the run had been told to; Lightning keeps the reason in its checkpoint, not the decision."""
        for callback, patience in self._patience:
            if callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
                if patience > callback.patience:
                    callback.stopping_reason = EarlyStoppingReason.NOT_STOPPED
                else:
                    trainer.should_stop = True
            callback.patience = patience

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Take a stop back inside a window, and give it when its step is made."""
        self._held = self._held or trainer.should_stop
        trainer.should_stop = self._held and not trainer.fit_loop._should_accumulate()


def why_early(trainer: Trainer, planned: float) -> str:
    """Why a run ended before the steps that it was to make; empty where it made them all.

    Args:
        trainer: After `fit`.
        planned: How many steps it was to make; infinite where only the clock ends it.
    """
    if trainer.global_step >= planned:
        return ""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            return f"EarlyStopping: {_reason(callback)}"
        if isinstance(callback, Timer) and (callback.time_remaining() or math.inf) <= 0:
            return "the time that the recipe gives it is over"
    return ""


def _reason(callback: EarlyStopping) -> str:
    name = callback.monitor
    if callback.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:
        times = "time" if callback.wait_count == 1 else f"{callback.wait_count} times in a row"
        return f"{name} did not improve the last {times}"
    if callback.stopping_reason == EarlyStoppingReason.STOPPING_THRESHOLD:
        return f"{name} reached {callback.stopping_threshold:g}"
    if callback.stopping_reason == EarlyStoppingReason.DIVERGENCE_THRESHOLD:
        return f"{name} went beyond {callback.divergence_threshold:g}"
    return f"{name} is no number"
