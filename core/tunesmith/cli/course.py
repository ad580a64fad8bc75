"""How far a recipe's Trainer options let a run go: steps, micro-batches, validations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Trainer

from tunesmith.data.module import RecipeData
from tunesmith.data.plan import MicroBatch, Plan

# What decides about length; the rest of a recipe's options may ask for devices that are not here.
_OPTIONS = (
    "fast_dev_run",
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "limit_val_batches",
    "overfit_batches",
    "val_check_interval",
    "check_val_every_n_epoch",
    "accumulate_grad_batches",
    "num_sanity_val_steps",
)


@dataclass(frozen=True, slots=True)
class Course:
    """What one process runs through.

    Args:
        plan: Training's.
        validation: Validation's; None where there is none.
        steps: Optimizer steps; None where only the clock ends the run.
        micros: Micro-batches that are trained on; None likewise.
        validations: Passes over the validation rows; that before the first step may be a part of one.
    """

    plan: Plan
    validation: Plan | None
    steps: int | None
    micros: int | None
    validations: float

    @property
    def epochs(self) -> int:
        """Epochs that are begun; 1 where the clock ends the run."""
        return 1 if self.micros is None else -(-self.micros // len(self.plan))

    def cost(self) -> float:
        """Cost of all micro-batches that are trained on, as the plan counts; of one epoch where the clock ends it."""
        first = [sum(self.plan.costs[row] for row in micro.rows) for micro in self.plan.epoch(0, 0)[: len(self.plan)]]
        whole, rest = divmod(self.micros if self.micros is not None else len(first), len(first))
        return whole * sum(first) + sum(first[:rest])

    def begun(self, most: int) -> list[MicroBatch]:
        """Micro-batches of the epochs that are begun, of at most so many epochs."""
        epochs = range(min(self.epochs, most))
        return [micro for epoch in epochs for micro in self.plan.epoch(epoch, 0)[: len(self.plan)]]


def course(options: Mapping[str, Any], data: RecipeData) -> Course:
    """Find out what a run would go through, as Lightning reads the options.

    Args:
        options: The recipe's, for its Trainer.
        data: Bound, with its rows.
    """
    given = {key: options[key] for key in _OPTIONS if key in options}
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer: Any = Trainer(accelerator="cpu", devices=1, enable_model_summary=False, **silent, **given)
    accumulate, world = trainer.accumulate_grad_batches, processes(options)
    plan = data.plan("train", accumulate=accumulate, world=world, limit=trainer.limit_train_batches)
    limit = trainer.limit_val_batches
    there = bool(data.prepare_rows().splits["validation"]) and limit != 0
    validation = data.plan("validation", world=world, limit=limit) if there else None
    micros, steps = _length(trainer, len(plan), accumulate)
    if validation is None or not len(validation):
        return Course(plan, None, steps, micros, 0)
    before = min(1.0, trainer.num_sanity_val_steps / len(validation))
    return Course(plan, validation, steps, micros, before + _validations(trainer, len(plan), micros))


def processes(options: Mapping[str, Any]) -> int:
    """How many processes share the rows; one where the recipe leaves it to what it finds."""
    devices = options.get("devices")
    each = len(devices) if isinstance(devices, list | tuple) else devices
    if isinstance(each, str) and each.lstrip("-").isdigit():
        each = int(each)
    return (each if isinstance(each, int) and each > 0 else 1) * int(options.get("num_nodes") or 1)


def _length(trainer: Any, an_epoch: int, accumulate: int) -> tuple[int | None, int | None]:
    """Micro-batches and optimizer steps."""
    steps_an_epoch = -(-an_epoch // accumulate)
    epochs, most = trainer.max_epochs, trainer.max_steps
    limits = [steps_an_epoch * epochs] if epochs is not None and epochs >= 0 else []
    steps = min([*limits, *([most] if most >= 0 else [])], default=None)
    if steps is None or not steps_an_epoch:
        return None, steps
    whole, rest = divmod(steps, steps_an_epoch)
    return whole * an_epoch + rest * accumulate, steps


def _validations(trainer: Any, an_epoch: int, micros: int | None) -> int:
    """Passes over the validation rows after training has begun."""
    interval, every = trainer.val_check_interval, trainer.check_val_every_n_epoch
    if micros is None or trainer._val_check_time_interval is not None:
        return 0
    after: int = interval if isinstance(interval, int) else max(1, int(an_epoch * interval))
    if every is None:
        return micros // after
    whole, rest = divmod(micros, an_epoch)
    last = rest // after if (whole + 1) % every == 0 else 0
    return int(whole // every) * (an_epoch // after) + last
