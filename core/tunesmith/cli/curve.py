"""The loss curve of a run, and what it says in one sentence."""

import math
from collections.abc import Collection
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

# Training this much lower than validation, as a share of it, is worth a word: new rows are harder than known ones.
_WIDE = 0.2


class Curve(Callback):
    """Collects the validation losses, the one before the first step included, and what training lost between them.

    Args:
        comparable: Whether a resumed run goes on with the losses of before; they may be of other rows.
    """

    def __init__(self, comparable: bool = True) -> None:
        self.comparable = comparable
        self.validation: list[tuple[int, float]] = []
        self.between: list[tuple[int, float]] = []
        self.tasks: dict[str, list[tuple[int, float]]] = {}  # validation, where there are several
        self.training = math.nan
        self.planned = math.inf
        self._epoch: int | None = None  # of the last step
        self._steps: dict[int, float] = {}
        self._since: dict[int, float] = {}

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
            for task, loss in getattr(pl_module, "task_losses", {}).items():
                self.tasks.setdefault(task, []).append((trainer.global_step, loss))
            if self._since:
                self.between.append((trainer.global_step, _mean(self._since.values())))
                self._since = {}

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note the loss of the optimizer step, if this batch ended one."""
        if 0 < trainer.max_steps <= trainer.global_step:
            # Lightning validates where a run is told to stop, not where max_steps cuts an epoch
            trainer.should_stop = True
        # within a window the metrics still hold the step before it, which may be of the epoch before
        if "loss" in trainer.callback_metrics and not trainer.fit_loop._should_accumulate():
            if self._epoch != trainer.current_epoch and self._epoch is not None:
                self._steps = {}  # of an epoch whose end a checkpoint at its last step did not see
            self._epoch = trainer.current_epoch
            loss = float(trainer.callback_metrics["loss"])
            self._steps[trainer.global_step] = self._since[trainer.global_step] = loss

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the mean loss of the epoch's steps."""
        self._close()

    def _close(self) -> None:
        self.training = _mean(self._steps.values())
        self._steps = {}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close an epoch that a resumed run does not go on with."""
        if self._steps:
            self._close()

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run tells the whole story."""
        return {
            "validation": [list(p) for p in self.validation],
            "between": [list(p) for p in self.between],
            "tasks": {task: [list(p) for p in points] for task, points in self.tasks.items()},
            "training": self.training,
            "epoch": self._epoch,
            "steps": dict(self._steps),
            "since": dict(self._since),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with an earlier curve."""
        if self.comparable:
            self.validation = [(int(s), float(v)) for s, v in state_dict["validation"]]
            # a checkpoint of before 0.12 does not say what training lost between validations
            self.between = [(int(s), float(v)) for s, v in state_dict.get("between", ())]
            self._since = {int(s): float(v) for s, v in state_dict.get("since", {}).items()}
            self.tasks = {t: [(int(s), float(v)) for s, v in of] for t, of in state_dict.get("tasks", {}).items()}
        self.training = float(state_dict["training"])
        self._epoch = state_dict.get("epoch")  # not in a checkpoint of before 0.13
        self._steps = {int(s): float(v) for s, v in state_dict["steps"].items()}

    def summary(self, trainer: Trainer) -> dict[str, Any]:
        """Numbers for `result.json`."""
        if self._steps:  # Lightning begins nothing, nor ends it, where a resumed run has no step left to make
            self._close()
        return {
            "steps": trainer.global_step,
            # the one that was begun last counts, which Lightning does not count where a resumed run begins with it
            "epochs": self._epoch + 1 if self._epoch is not None else trainer.fit_loop.epoch_progress.current.ready,
            "validation_loss": [list(p) for p in self.validation],
            "train_loss": None if math.isnan(self.training) else self.training,
            "train_loss_between": [[step, None if math.isnan(loss) else loss] for step, loss in self.between],
            **({"task_losses": self._by_task()} if self.tasks else {}),
        }

    def _by_task(self) -> dict[str, list[list[float | None]]]:
        return {
            task: [[step, None if math.isnan(loss) else loss] for step, loss in points]
            for task, points in self.tasks.items()
        }

    def by_task(self, kept: int) -> str:
        """Validation loss of each task from start to the step that is kept; empty where there is one task only."""
        told = []
        for task, points in self.tasks.items():
            at = dict(points).get(kept, points[-1][1])
            told.append(f"{task} {points[0][1]:.3f} -> {at:.3f}" if len(points) > 1 else f"{task} {at:.3f}")
        return ", ".join(told)

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
        then, now = (dict(self.between).get(at, math.nan) for at in (step, self.validation[-1][0]))
        if last > best * 1.01:
            return f"{text}, lowest {best:.3f} at step {step}: it rose after that{_why_risen(then, now)}; {end}"
        training = self.training if math.isnan(now) else now
        gap = "" if math.isnan(training) else f" (training {training:.3f})"
        is_wide = last - training > _WIDE * last  # false for nan
        if self.validation[-2][1] - last > 0.02 * first:
            trend = "still falling, more epochs may help"
            trend += ", though training rows are known far better than new ones already" if is_wide else ""
        elif is_wide:
            trend = (
                f"levelled off, {last - training:.3f} above training: the model goes on with its training rows, which "
                "does not help with new ones any more (overfitting begins)"
            )
        else:
            trend = "levelled off, no sign of overfitting"
        return f"{text}{gap}: {trend}; {end}"


def _why_risen(then: float, now: float) -> str:
    """Why validation rose, by the training losses before its lowest point and before its end; nan where unknown."""
    if math.isnan(then) or math.isnan(now):
        return " (overfitting)"
    if now < then:
        learned = "the model learns its training rows by heart (overfitting)"
        return f" while training fell from {then:.3f} to {now:.3f}: {learned}"
    both = f", and training did not fall either ({then:.3f} -> {now:.3f})"
    return f"{both}: the learning rate is too high, rather than overfitting"


def _mean(losses: Collection[float]) -> float:
    return math.fsum(losses) / len(losses) if losses else math.nan
