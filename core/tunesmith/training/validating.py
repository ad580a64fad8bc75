"""The validation loss: one mean over the whole split and all ranks, however it is cut into batches (trap 31).

Where rows are of several tasks each has a mean of its own beside it, by its own count: of what they sum to, the whole
is the mean.
"""

import math

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.data.recipe_rows import RecipeRows
from tunesmith.data.tasks import told_apart
from tunesmith.plugins.interfaces import Objective
from tunesmith.training.by_task import by_task
from tunesmith.training.forward import Forward
from tunesmith.training.ledger import count, doubled, refuse_validation, summing
from tunesmith.training.passes import Passes
from tunesmith.training.sharded import Sharded


class Validating(Sharded):
    """A LightningModule that validates by its objective.

    Attributes:
        objective: Gives sums with their units.
        passes: Runs the model.
        validation_loss: Of the last validation; NaN before the first.
        task_losses: Of each task where there are several; the same.
    """

    objective: Objective
    passes: Passes

    def __init__(self) -> None:
        super().__init__()
        self.validation_loss = float("nan")
        self.task_losses: dict[str, float] = {}

    def on_validation_epoch_start(self) -> None:
        """Begin to add up."""
        data = getattr(self.trainer, "datamodule", None)
        self._tasks = data.tasks("validation") if isinstance(data, RecipeRows) else {}
        self._told = told_apart(self._tasks)
        width = 2 + len(self.objective.logs())
        # a row for each task, and one more for all that are of none
        shape = (len(self._told) + 1, width)
        self._validation = torch.zeros(shape, dtype=torch.float64, device=summing(self.device))

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add up the objective's sum and count; means are taken once, at the end (trap 31)."""
        forward = self.passes(batch)
        if not self._told or batch.ghost:
            self._add(-1, forward)
            return
        for task, one in by_task(self.passes, forward, self._tasks):
            self._add(self._told.index(task) if task else -1, one)

    def _add(self, row: int, forward: Forward) -> None:
        term, batch = self.objective.loss(forward), forward.batch
        if not batch.ghost:  # whose pass keeps in step with ranks that gather their weights from this one
            into = self._validation[row]
            into[0] += doubled(term.sum)
            into[1] += count(batch, term.unit)
            for place, name in enumerate(self.objective.logs(), 2):
                into[place] += doubled(term.logged[name])

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and what the objective logs beside it, over the whole split and all ranks, and by task.

        Raises:
            RecipeError: It is NaN or infinite; raised before a checkpoint is made of it.
        """
        sums: Tensor = self.sum_over_ranks(self._validation)
        total, units, *beside = sums.sum(0).tolist()
        self.validation_loss = _mean(total, units)
        if units and not math.isfinite(total):
            raise refuse_validation(self.validation_loss, self.global_step)
        self.log("val/loss", self.validation_loss, prog_bar=True, batch_size=1, sync_dist=True)
        for name, value in zip(self.objective.logs(), beside, strict=True):
            self.log(f"val/{name}", _mean(value, units), batch_size=1, sync_dist=True)
        self.task_losses = {}
        for task, (total, units, *beside) in zip(self._told, sums.tolist(), strict=False):
            self.task_losses[task] = _mean(total, units)
            self.log(f"val/loss/{task}", self.task_losses[task], batch_size=1, sync_dist=True)
            for name, value in zip(self.objective.logs(), beside, strict=True):
                self.log(f"val/{name}/{task}", _mean(value, units), batch_size=1, sync_dist=True)


def _mean(total: float, units: float) -> float:
    return total / units if units else float("nan")
