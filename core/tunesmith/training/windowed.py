"""The optimizer steps of training: windows of micro-batches, what they add up to, and what is logged of them."""

import math

from torch.optim import Optimizer

from tunesmith.data.batch import Batch, Window
from tunesmith.training.regularizing import Regularizing


class Windowed(Regularizing):
    """A LightningModule that logs each window of micro-batches as the one step that it is.

    Attributes:
        logged: What the last step logged of its terms; empty before the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, float] = {}
        self._window: Window | None = None

    def on_train_epoch_start(self) -> None:
        """Leave the time between epochs out of the speed."""
        self.ledger.restart_clock()

    def on_validation_end(self) -> None:
        """Leave validation out of the speed."""
        self.ledger.restart_clock()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Remember the window that is running, and see that it is the one whose turn it is.

        Raises:
            RuntimeError: Loader and Trainer disagree: a window's counts would be another window's.
        """
        self._window = batch.window
        expected = batch_idx // self.trainer.accumulate_grad_batches
        if batch.window is None or batch.window.index != expected:
            found = batch.window and batch.window.index
            msg = f"the loader is at window {found}, the Trainer at {expected} of the epoch"
            raise RuntimeError(msg)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the window, and stop before a loss that is no number reaches the weights.

        Raises:
            RecipeError: Loss or gradient is NaN or infinite; names the rows.
        """
        assert self._window is not None
        norm = self.finish_gradients(optimizer)
        window = self._window
        values = self.logged = self.ledger.close(window.counts, self.sum_over_ranks, self.device, norm, window.beside)
        for name, value in values.items():
            if not math.isfinite(value):
                what = f"{name.replace('grad_norm', 'gradient norm')} is {value}"
                raise self.ledger.refuse(what, self.global_step + 1)
        self.ledger.clear()
        values["lr"] = optimizer.param_groups[0]["lr"]
        for name, value in values.items():
            self.log(name, value, on_step=True, on_epoch=False, prog_bar=name in {"loss", "tokens/s"}, batch_size=1)
