"""Progress: one line in a terminal, a few plain lines where nobody watches."""

import math
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from tunesmith.cli.screen import console, say, stderr

_TENTHS = 10
_SECONDS = 30.0
"""Between two plain lines about answers, so that what is quick says nothing."""


class TrainingProgress(ProgressBar):
    """Optimizer steps, loss, speed and time left of the whole run; about ten plain lines without a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total: int | None = None
        self._first = 0
        self._tenth = 0
        self._began = 0.0
        self._measured: int | None = None

    def disable(self) -> None:
        """Say nothing; Lightning asks for it on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Speak."""
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether it speaks; `LightningModule.print` asks."""
        return self._enabled

    def print(self, *args: Any, **_: Any) -> None:
        """Say a line above the progress: what a module has to say while it trains."""
        say(" ".join(map(str, args)))

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what takes the time before the first step."""
        self._show("validation before the first step")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure time."""
        steps = trainer.estimated_stepping_batches
        self._total = None if math.isinf(steps) else int(steps)
        self._first, self._began = trainer.global_step, time.monotonic()
        self._tenth = self._tenths(self._first)
        self._show("", done=self._first)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Show where an optimizer step ended."""
        if not self._enabled or trainer.fit_loop._should_accumulate():
            return
        done = trainer.global_step
        if self._bar is not None:
            self._show(self._facts(trainer, done), done=done)
        elif self._tenths(done) > self._tenth or done == self._total:
            self._tenth = self._tenths(done)
            say(f"step {done}/{self._total or '?'}  {self._facts(trainer, done)}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say why no step is made."""
        if not trainer.sanity_checking and self._bar is not None:
            self._show("validating", done=trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note of which step the validation loss is that the next lines show."""
        if not trainer.sanity_checking:
            self._measured = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the line: what comes next sums up."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Clear the line for the message."""
        self._stop()

    def _tenths(self, done: int) -> int:
        return done * _TENTHS // self._total if self._total else done // 100

    def _facts(self, trainer: Trainer, done: int) -> str:
        known = trainer.callback_metrics
        parts = [f"loss {float(known['loss']):.3f}"] if "loss" in known else []
        if "val/loss" in known and self._measured is not None:
            parts.append(f"val/loss {float(known['val/loss']):.3f} at {self._measured}")
        if "tokens/s" in known:
            parts.append(f"{float(known['tokens/s']):,.0f} tokens/s")
        if self._total and self._first < done < self._total:
            left = (time.monotonic() - self._began) / (done - self._first) * (self._total - done)
            parts.append(f"{clock(left)} left")
        return "  ".join(parts)

    def _show(self, text: str, done: int = 0) -> None:
        if not self._enabled or not console.is_terminal:
            return
        if self._bar is None:
            fixed = Column(no_wrap=True)
            count = TextColumn("{task.fields[count]}", markup=False, table_column=fixed)
            facts = TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True))
            self._bar = Progress(count, BarColumn(bar_width=None), facts, console=console, transient=True, expand=True)
            self._task = self._bar.add_task("", total=None, count="", text=text)
            self._bar.start()
        count_text = f"step {done}/{self._total or '?'}" if self._began else ""
        self._bar.update(self._task, completed=done, total=self._total, count=count_text, text=text)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Bar:
    """Progress of generation on standard error, gone when it is done; a plain line now and then without a terminal."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` of `what` is done."""
        if not stderr.is_terminal and done < total and time.monotonic() - self._said >= _SECONDS:
            self._said = time.monotonic()
            stderr.print(f"{what} {done:,}/{total:,}", markup=False, highlight=False, soft_wrap=True)
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def clock(seconds: float) -> str:
    """`0:07`, `12:03`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
