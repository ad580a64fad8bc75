"""The validation loss: one mean over the whole split and all ranks, however it is cut into batches (trap 31)."""

import math

import torch

from tunesmith.data.batch import Batch
from tunesmith.plugins.interfaces import Objective
from tunesmith.training.ledger import count, doubled, refuse_validation, summing
from tunesmith.training.passes import Passes
from tunesmith.training.sharded import Sharded


class Validating(Sharded):
    """A LightningModule that validates by its objective.

    Attributes:
        objective: Gives sums with their units.
        passes: Runs the model.
        validation_loss: Of the last validation; NaN before the first.
    """

    objective: Objective
    passes: Passes

    def __init__(self) -> None:
        super().__init__()
        self.validation_loss = float("nan")

    def on_validation_epoch_start(self) -> None:
        """Begin to add up."""
        self._validation = torch.zeros(2 + len(self.objective.logs()), dtype=torch.float64, device=summing(self.device))

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add up the objective's sum and count; means are taken once, at the end (trap 31)."""
        term = self.objective.loss(self.passes(batch))
        if not batch.ghost:  # whose pass keeps in step with ranks that gather their weights from this one
            self._validation[0] += doubled(term.sum)
            self._validation[1] += count(batch, term.unit)
            for place, name in enumerate(self.objective.logs(), 2):
                self._validation[place] += doubled(term.logged[name])

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and what the objective logs beside it, over the whole split and all ranks.

        Raises:
            RecipeError: It is NaN or infinite; raised before a checkpoint is made of it.
        """
        total, units, *beside = self.sum_over_ranks(self._validation).tolist()
        self.validation_loss = total / units if units else float("nan")
        if units and not math.isfinite(total):
            raise refuse_validation(self.validation_loss, self.global_step)
        self.log("val/loss", self.validation_loss, prog_bar=True, batch_size=1, sync_dist=True)
        for name, value in zip(self.objective.logs(), beside, strict=True):
            self.log(f"val/{name}", value / units if units else float("nan"), batch_size=1, sync_dist=True)
