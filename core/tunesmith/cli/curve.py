"""The loss curve of a run, and what it says in one sentence."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Curve(Callback):
    """Collects the validation losses, the one before the first step included, and the last training loss.

    Args:
        comparable: Whether a resumed run goes on with the losses of before; they may be of other rows.
    """

    def __init__(self, comparable: bool = True) -> None:
        self.comparable = comparable
        self.validation: list[tuple[int, float]] = []
        self.training = math.nan
        self.planned = math.inf
        self._steps: dict[int, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how many steps the run is to make; infinite where only the clock ends it."""
        self.planned = trainer.estimated_stepping_batches

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the validation loss at this step; that of a few batches is no start to compare with."""
        if trainer.sanity_checking and trainer.num_sanity_val_batches != trainer.num_val_batches:
            return
        value = getattr(pl_module, "validation_loss", None)
        if value is not None and not math.isnan(value):
            self.validation.append((trainer.global_step, float(value)))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note the loss of the optimizer step, if this batch ended one."""
        if 0 < trainer.max_steps <= trainer.global_step:
            # Lightning validates where a run is told to stop, not where max_steps cuts an epoch
            trainer.should_stop = True
        # within a window the metrics still hold the step before it, which may be of the epoch before
        if "loss" in trainer.callback_metrics and not trainer.fit_loop._should_accumulate():
            self._steps[trainer.global_step] = float(trainer.callback_metrics["loss"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the mean loss of the epoch's steps."""
        self._close()

    def _close(self) -> None:
        self.training = math.fsum(self._steps.values()) / len(self._steps) if self._steps else math.nan
        self._steps = {}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close an epoch that a resumed run does not go on with."""
        if self._steps:
            self._close()

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run tells the whole story."""
        return {"validation": [list(p) for p in self.validation], "training": self.training, "steps": dict(self._steps)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with an earlier curve."""
        if self.comparable:
            self.validation = [(int(s), float(v)) for s, v in state_dict["validation"]]
        self.training = float(state_dict["training"])
        self._steps = {int(s): float(v) for s, v in state_dict["steps"].items()}

    def summary(self, trainer: Trainer) -> dict[str, Any]:
        """Numbers for `result.json`."""
        if self._steps:  # Lightning begins nothing, nor ends it, where a resumed run has no step left to make
            self._close()
        return {
            "steps": trainer.global_step,
            "epochs": trainer.fit_loop.epoch_progress.current.ready,  # the one that was begun last counts
            "validation_loss": [list(p) for p in self.validation],
            "train_loss": None if math.isnan(self.training) else self.training,
        }

    def sentence(self, kept: int, missing: str = "") -> str:
        """Validation loss from start to end, what it says about overfitting, and which step's weights are kept.

        Args:
            kept: The step that the adapter is saved from.
            missing: Why there is no validation loss, where there is none.
        """
        if not self.validation:
            return f"{missing or 'validation did not run'}: whether the model overfits cannot be told"
        (begin, first), (_, last) = self.validation[0], self.validation[-1]
        since = f" at step {begin}" if begin else ""
        if len(self.validation) == 1:
            return f"validation loss {first:.3f}{since}: measured once only, so no trend can be told"
        text = f"validation loss {first:.3f}{since} -> {last:.3f}"
        step, best = min((p for p in self.validation if p[0]), key=lambda p: p[1])
        end = f"step {kept} is kept" if kept == step else f"step {kept} is kept, as no checkpoint holds step {step}"
        if not begin and best >= first:
            why = "the learning rate is wrong or the data does not fit"
            return f"{text}: it never fell below its start; {why}; lowest after it {best:.3f} at step {step}; {end}"
        if last > best * 1.01:
            return f"{text}, lowest {best:.3f} at step {step}: it rose after that (overfitting); {end}"
        gap = "" if math.isnan(self.training) else f" (training {self.training:.3f})"
        more = self.validation[-2][1] - last > 0.02 * first
        trend = "still falling, more epochs may help" if more else "levelled off, no sign of overfitting"
        return f"{text}{gap}: {trend}; {end}"
