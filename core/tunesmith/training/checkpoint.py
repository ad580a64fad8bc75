"""When checkpoints are made, and how they reach the disk whole (traps 27 to 29)."""

import math
import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from tunesmith.errors import TunesmithError
from tunesmith.training.disk import PART, StraightToFile, UnsavedError, cause, checkpoint_bytes, complaint
from tunesmith.training.extent import check_interval
from tunesmith.training.randomness import gather
from tunesmith.training.shards import publish

# What stops a run; a shell's exit code for it is so much above its number.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SHELL = 128


class StoppedError(TunesmithError):
    """The run was asked to stop and has saved what it had; the exit code is a shell's for the signal.

    Args:
        message: What was saved, and where.
        number: The signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = _SHELL + number


class StepCheckpoint(Checkpoint):
    """Keeps `last.ckpt` and `best.ckpt`, made at optimizer steps only and replaced in one move.

    `last.ckpt` is written after each validation, and between validations when enough steps or minutes have passed.
    SIGTERM and Ctrl-C let the accumulation window end, save, and raise `StoppedError`; a second signal stops at once.
    A validation that is due then is made before the save: Lightning would leave it out of the resumed run.

    Args:
        directory: Where the files lie.
        monitor: The metric that `best.ckpt` is chosen by.
        mode: Whether a smaller (`min`) or greater (`max`) value is better.
        every_steps: Save after each so many optimizer steps; None leaves it to the minutes.
        every_minutes: Minutes between two saves; None leaves it to the steps.
        comparable: Whether a resumed run goes on with the best value of before; it may be of other rows.
    """

    def __init__(
        self,
        directory: str | Path,
        monitor: str = "val/loss",
        mode: str = "min",
        every_steps: int | None = None,
        every_minutes: float | None = 3.0,
        comparable: bool = True,
    ) -> None:
        self.directory = Path(directory)
        self.monitor = monitor
        self.mode = mode
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.comparable = comparable
        self.best_model_path = ""
        self.best_model_score: float | None = None
        self._saved_step = -1
        self._saved_time = 0.0
        self.signal: int | None = None
        self._stopping: int | None = None
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the first process's directory, as others may have begun in another second; write straight to files."""
        self.directory = Path(trainer.strategy.broadcast(str(self.directory)))
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # a recipe may name a way of its own
            trainer.strategy.checkpoint_io = StraightToFile()

    @property
    def last(self) -> Path:
        """The checkpoint that a run resumes from."""
        return self.directory / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best value of `monitor`."""
        return self.directory / "best.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that validation falls on optimizer steps, and take over the signals.

        Raises:
            RecipeError: It does not.
        """
        _begin_next_epoch(trainer)
        progress = trainer.fit_loop.epoch_loop.batch_progress
        done = progress.total.ready
        check_interval(trainer, int(trainer.num_training_batches), done - progress.current.ready, done)
        self._saved_time = time.monotonic()
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, self._on_signal)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save at an optimizer step where one is due."""
        if trainer.fit_loop._should_accumulate() or _tries_out(trainer):
            return
        self._stopping, save = self._decide(trainer)
        if (self._stopping is not None or save) and not _validates_now(trainer):
            self._save(trainer, self.last)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop before the next batch: by then the step is logged."""
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, and keep a copy if it is the best."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or _tries_out(trainer):
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is not None and self._is_better(float(value)):
            self.best_model_score, self.best_model_path = float(value), str(self.best)
            # the best first: killed between the two, the older `last` finds the same best again
            self._save(trainer, self.best, self.last)
        else:
            self._save(trainer, self.last)
        self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where no validation does."""
        if self._saved_step != trainer.global_step and not _tries_out(trainer):
            self._save(trainer, self.last)
        self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back to Lightning, which gives them back after this, and before `teardown`."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def state_dict(self) -> dict[str, Any]:
        """The best value so far; the files lie beside each other, whatever the directory is called now."""
        return {"best_model_score": self.best_model_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best value so far."""
        if not self.comparable:
            return
        self.best_model_score = state_dict["best_model_score"]
        self.best_model_path = str(self.best) if self.best_model_score is not None and self.best.exists() else ""

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def _stop(self, trainer: Trainer) -> None:
        if self._stopping is not None:
            name = signal.Signals(self.signal).name if self.signal else "a signal to another process"
            msg = f"stopped by {name} after step {trainer.global_step}; saved {self.last}"
            raise StoppedError(msg, self._stopping)

    def _decide(self, trainer: Trainer) -> tuple[int | None, bool]:
        """The signal that stops the run, and whether a save is due."""
        steps = self.every_steps is not None and trainer.global_step % self.every_steps == 0
        minutes = (time.monotonic() - self._saved_time) / 60
        save = steps or (self.every_minutes is not None and minutes >= self.every_minutes)
        if trainer.world_size == 1:
            return self.signal, save
        # clocks and signals differ between ranks, and a save is made by all of them together
        cast = [*(self.signal == number for number in _SIGNALS), save]
        votes = torch.tensor(cast, dtype=torch.int32, device=trainer.strategy.root_device)
        agreed = trainer.strategy.reduce(votes, reduce_op="sum")
        assert isinstance(agreed, Tensor)
        *stops, saves = (agreed > 0).tolist()
        return next((number for number, stop in zip(_SIGNALS, stops, strict=True) if stop), None), saves

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.best_model_score is None or not math.isfinite(self.best_model_score):
            return True
        return value < self.best_model_score if self.mode == "min" else value > self.best_model_score

    def _save(self, trainer: Trainer, *targets: Path) -> None:
        save(trainer, *targets)
        self._saved_step, self._saved_time = trainer.global_step, time.monotonic()


def save(trainer: Trainer, *targets: Path) -> None:
    """Write one checkpoint under several names: complete on the disk first, then each name in one move.

    Raises:
        UnsavedError: A file could not be written, on whichever rank; those of before are whole, and no part is left.
    """
    parts = [target.with_name(f".{target.name}{PART}") for target in targets]
    failure: Exception | None = None
    if trainer.is_global_zero:
        try:
            parts[-1].parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failure = error
    _agree(trainer, failure, parts, targets[-1])
    try:
        trainer.save_checkpoint(parts[-1])
    except (OSError, RuntimeError) as error:
        if cause(error) is None:
            raise
        failure = error
        trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other ranks wait
    if failure is None and trainer.is_global_zero:
        try:
            _put(parts, targets, trainer.global_step)
        except OSError as error:
            failure = error
    _agree(trainer, failure, parts, targets[-1])


def _agree(trainer: Trainer, failure: Exception | None, parts: Sequence[Path], target: Path) -> None:
    """Stop on all ranks where one of them failed, with its message; nothing half-written is left."""
    said = gather(None if failure is None else complaint(failure, target, checkpoint_bytes(trainer)))
    if found := [message for message in said if message is not None]:
        if trainer.is_global_zero:
            for part in parts:
                with suppress(OSError):  # a folder that is none
                    shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        raise UnsavedError(found[0]) from failure


def _put(parts: Sequence[Path], targets: Sequence[Path], step: int) -> None:
    """Give the last of the parts, which is written, the names of all targets."""
    if parts[-1].is_dir():
        publish(parts[-1], f"step-{step}", targets)
        return
    _sync(parts[-1])
    for target in targets[:-1]:
        _copy(parts[-1], target)
    parts[-1].replace(targets[-1])
    _sync(targets[-1].parent)


def _begin_next_epoch(trainer: Trainer) -> None:
    """Leave the epoch that had ended when the checkpoint was made.

    With `max_steps` Lightning takes every resumed run for one in mid-epoch, and trains beyond the end of the epoch.
    """
    fit = trainer.fit_loop
    if fit.restarted_on_epoch_end and fit.epoch_loop._num_ready_batches_reached():
        fit._restarting = fit.epoch_loop.restarting = False
        fit.epoch_progress.increment_completed()
        fit.reset_restart_stage()
        fit.epoch_loop.reset_restart_stage()


def _validates_now(trainer: Trainer) -> bool:
    """Whether a validation follows this batch, which then saves."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return loop._should_check_val_fx(fetcher) and not loop.val_loop.skip


def _tries_out(trainer: Trainer) -> bool:
    return bool(getattr(trainer, "fast_dev_run", False))


def _copy(source: Path, target: Path) -> None:
    """Give a finished file a second name; its bytes where the file system has no links."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(source)
    except OSError:
        temporary.write_bytes(source.read_bytes())
        _sync(temporary)
    temporary.replace(target)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
