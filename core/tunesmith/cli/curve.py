"""The loss curves of a run: kept while training, written to `metrics.csv`, and put into one sentence."""

import csv
import math
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

VALIDATION = "val/loss"


class Curve(Callback):
    """Collects the validation losses, the one before the first step included, and the last training loss."""

    def __init__(self) -> None:
        self.validation: list[tuple[int, float]] = []
        self.training = math.nan
        self._steps: dict[int, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the validation loss at this step."""
        value = getattr(pl_module, "validation_loss", None)
        if value is not None and not math.isnan(value):
            self.validation.append((trainer.global_step, float(value)))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note the loss of the optimizer step, if this batch ended one."""
        if "loss" in trainer.callback_metrics:
            self._steps[trainer.global_step] = float(trainer.callback_metrics["loss"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the mean loss of the epoch's steps."""
        self.training = math.fsum(self._steps.values()) / len(self._steps) if self._steps else math.nan
        self._steps = {}

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run tells the whole story."""
        return {"validation": [list(p) for p in self.validation], "training": self.training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with an earlier curve."""
        self.validation = [(int(s), float(v)) for s, v in state_dict["validation"]]
        self.training = float(state_dict["training"])

    def summary(self, trainer: Trainer) -> dict[str, Any]:
        """Numbers for `result.json`."""
        return {
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "validation_loss": [list(p) for p in self.validation],
            "train_loss": None if math.isnan(self.training) else self.training,
        }

    def sentence(self) -> str:
        """Validation loss from start to end, and what it says about overfitting."""
        if not self.validation:
            return "no validation rows: whether the model overfits cannot be told"
        (_, first), (last_step, last) = self.validation[0], self.validation[-1]
        best_step, best = min(self.validation, key=lambda p: p[1])
        text = f"validation loss {first:.3f} -> {last:.3f}"
        if len(self.validation) == 1:
            return f"{text}: measured once only, so no trend can be told"
        if best_step == self.validation[0][0]:
            return f"{text}: it never fell below its start; the learning rate is too high or the data does not fit"
        if last > best * 1.01:
            return f"{text}, lowest {best:.3f} at step {best_step}: it rose after that (overfitting); step {best_step} is kept"
        gap = "" if math.isnan(self.training) else f" (training {self.training:.3f})"
        more = self.validation[-2][1] - last > 0.02 * first
        trend = "still falling, more epochs may help" if more else "levelled off, no sign of overfitting"
        return f"{text}{gap}: {trend}; step {best_step} is kept"


class RunLogger(CSVLogger):
    """`metrics.csv` in the run directory itself; a resumed run goes on with the file of before.

    Lightning's own logger deletes the file of an earlier process, and with it the first half of the curve.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory), name="", version="", flush_logs_every_n_steps=20)
        self._file = directory / "metrics.csv"

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer, which goes on after the rows that are there."""
        if self._experiment is None:
            rows = self._earlier()
            self._file.unlink(missing_ok=True)
            self._experiment = _Appending(log_dir=self.log_dir)
            self._experiment.metrics = rows
        return self._experiment

    def _earlier(self) -> list[dict[str, float]]:
        if not self._file.is_file():
            return []
        with self._file.open(newline="") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` holds the recipe."""


class _Appending(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """A run directory is never empty: it holds the recipe and the lock."""

    def save(self) -> None:
        if self.metrics:  # CSVLogger.save also writes hparams.yaml, which says nothing here
            super(ExperimentWriter, self).save()
