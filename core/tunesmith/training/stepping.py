"""How a LightningModule steps: the recipe's optimizer, its rates, and what follows each step."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tunesmith.training.optimizer import build, options_of, parameter_groups, scheduler
from tunesmith.training.schedule import Schedule
from tunesmith.training.windowed import Windowed


class Stepping(Windowed):
    """A LightningModule that steps by a recipe's optimizer.

    Attributes:
        optimizer_factory: Makes the optimizer from parameter groups.
        schedule: Learning rates by optimizer step.
        whole_run: Optimizer steps of the whole run; None where only the clock ends it.
    """

    optimizer_factory: Callable[[Iterable[Any]], Optimizer]
    schedule: Schedule
    whole_run: int | None = None
    _rates: LambdaLR

    def configure_optimizers(self) -> Any:
        """Optimizer over the trained parameters, learning rate by optimizer step."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = build(self.optimizer_factory, parameter_groups(trained, self.adapter.groups(self.network)))
        steps = self.trainer.estimated_stepping_batches
        self.whole_run = None if math.isinf(steps) else int(steps)
        rates = scheduler(optimizer, self.schedule, steps)
        self.adapter.start(self.network, self.whole_run)
        self.optimizer_options, self._rates = options_of(optimizer), rates
        return [optimizer], [{"scheduler": rates, "interval": "step"}]

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Step, and let adapter and objective follow (AdaLoRA prunes ranks, KTO moves what it refers to)."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.adapter.after_step(self.network, self.global_step + 1)
        self.objective.after_step({name: self.logged[name] for name in self.objective.logs()})
