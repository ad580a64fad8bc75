"""How far a recipe's Trainer options let a run go: steps, micro-batches, validations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.cli.place import Place, place_of
from tunesmith.data.module import RecipeData
from tunesmith.data.plan import MicroBatch, Plan
from tunesmith.training.extent import check_interval, check_least, extent, interval


@dataclass(frozen=True, slots=True)
class Course:
    """What one process runs through.

    Args:
        place: Where it runs.
        plan: Training's.
        validation: Validation's; None where there is none.
        steps: Optimizer steps; None where only the clock ends the run.
        micros: Micro-batches that are trained on; None likewise.
        validations: Passes over the validation rows; that before the first step may be a part of one.
    """

    place: Place
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
        """Cost of all micro-batches that are trained on, and of what goes beside them.

        Of one epoch where the clock ends the run.
        """
        first = [self.plan.cost_of(micro) for micro in self.plan.epoch(0, 0)[: len(self.plan)]]
        whole, rest = divmod(self.micros if self.micros is not None else len(first), len(first))
        return whole * sum(first) + sum(first[:rest])

    def begun(self, most: int) -> list[MicroBatch]:
        """Micro-batches of all processes in the epochs that are begun, of at most so many epochs."""
        return [micro for epoch in range(min(self.epochs, most)) for micro in self.plan.everywhere(epoch)]


def course(options: Mapping[str, Any], data: RecipeData, *, gpu: bool = False) -> Course:
    """Find out what a run would go through, as Lightning reads the options.

    Args:
        options: The recipe's, for its Trainer.
        data: Bound, with its rows.
        gpu: Whether a GPU is asked about that may not be here.

    Raises:
        RecipeError: Lightning refuses the options, or validation would fall between two optimizer steps, or the run
            ends before it may.
    """
    place = place_of(options, gpu=gpu)
    trainer: Any = place.trainer
    accumulate, world = trainer.accumulate_grad_batches, place.processes
    plan = data.plan("train", accumulate=accumulate, world=world, limit=trainer.limit_train_batches)
    check_interval(trainer, len(plan))
    check_least(trainer, len(plan))
    limit = trainer.limit_val_batches
    there = bool(data.prepare_rows().splits["validation"]) and limit != 0
    validation = data.plan("validation", world=world, limit=limit) if there else None
    micros, steps = extent(trainer, len(plan))
    if validation is None or not len(validation):
        return Course(place, plan, None, steps, micros, 0)
    before = min(1.0, trainer.num_sanity_val_steps / len(validation))
    return Course(place, plan, validation, steps, micros, before + _validations(trainer, len(plan), micros))


def _validations(trainer: Any, an_epoch: int, micros: int | None) -> int:
    """Passes over the validation rows after training has begun."""
    after, every = interval(trainer, an_epoch), trainer.check_val_every_n_epoch
    if micros is None or after is None:
        return 0
    if every is None:
        return micros // after
    whole, rest = divmod(micros, an_epoch)
    last = rest // after if (whole + 1) % every == 0 else 0
    return int(whole // every) * (an_epoch // after) + last
