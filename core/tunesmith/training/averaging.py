"""Averages of the trained weights over the steps, as callbacks of Lightning: `EMA` and `SWA`.

Lightning's own copy the whole model, frozen base and all, and put the copy's tensors under other names into
checkpoints. Here what trains is averaged, and nothing else; in shards, each process averages its own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from tunesmith.errors import RecipeError
from tunesmith.training import content
from tunesmith.training.sharding import local, put

# In checkpoints, where there is an average: `state_dict` is the average then.
UNAVERAGED = "unaveraged"
AVERAGED = "averaged"


class Averaging(Callback, ABC):
    """Keeps an average of what trains beside it.

    Validation is of the average, and so are the best checkpoint and the adapter; training goes on with the weights
    themselves, which checkpoints hold as well: a resumed run has the same average.
    """

    def __init__(self) -> None:
        self._average: dict[str, Tensor] = {}
        self._loaded: dict[str, Tensor] = {}
        self._begun = False
        self._step = 0
        self._swapped = False

    @abstractmethod
    def check(self) -> None:
        """Refuse options out of range.

        Raises:
            RecipeError: One is.
        """

    @abstractmethod
    def share(self, step: int) -> float | None:
        """The part of the average that the weights after a step are; 1 begins it anew, None leaves it as it is.

        Args:
            step: Number of the optimizer step, from 1.
        """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights as they are, or go on with the average of the checkpoint."""
        self._step = trainer.global_step
        self._average = {name: tensor.clone() for name, tensor in self._weights(pl_module).items()}
        if self._loaded:
            content.restore({name: self._loaded[name] for name in self._average}, self._average, "the checkpoint")
        self._loaded = {}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Take the weights into the average after an optimizer step; checkpoints are made after this."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        share = self.share(self._step)
        if share is None:
            return
        self._begun = True
        for name, weight in self._weights(pl_module).items():
            local(self._average[name]).lerp_(local(weight), share)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in the weights' place."""
        if self._begun and self._average and trainer.state.fn == TrainerFn.FITTING:
            self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        if self._swapped:
            self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average, of which the adapter is made where no validation chose a best one."""
        if self._begun:
            for name, weight in self._weights(pl_module).items():
                put(weight, self._average[name])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average in the weights' place, and those beside it."""
        if self._begun:
            checkpoint[UNAVERAGED] = checkpoint["state_dict"]
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **self._average}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the average until weights are where they will be; the model itself takes the weights."""
        self._loaded = dict(checkpoint.get(AVERAGED, {}))

    def state_dict(self) -> dict[str, Any]:
        """Whether there is an average."""
        return {"begun": self._begun}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self._begun = state_dict["begun"]

    def _weights(self, module: LightningModule) -> dict[str, Tensor]:
        """What trains, in the memory of the model itself; buffers of plugins are no weights."""
        trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        return {name: tensor for name, tensor in module.state_dict().items() if name in trained}

    @torch.no_grad()
    def _swap(self, module: LightningModule) -> None:
        self._swapped = not self._swapped
        for name, weight in self._weights(module).items():
            own, average = local(weight), local(self._average[name])
            held = own.clone()
            own.copy_(average)
            average.copy_(held)


class EMA(Averaging):
    """Exponential moving average of the trained weights (after Polyak & Juditsky 1992).

    After each optimizer step

        average = decay * average + (1 - decay) * weights

    from the weights before the first step on. The validation loss, the best checkpoint and the adapter are of the
    average. With `warmup` the decay of step t is at most (1 + t) / (10 + t), as TensorFlow has it: a fine-tuning of
    some hundred steps would else end near the base. It takes one more copy of the trained weights.

    Args:
        decay: How much of the average stays; about the last 1 / (1 - decay) steps count.
        warmup: Whether it begins with a smaller decay.
        every_n_steps: Steps between two updates.
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True, every_n_steps: int = 1) -> None:
        super().__init__()
        self.decay = decay
        self.warmup = warmup
        self.every_n_steps = every_n_steps

    def check(self) -> None:
        """Refuse a decay that forgets all or nothing."""
        if not 0 < self.decay < 1:
            msg = f"trainer.callbacks: EMA.decay is {self.decay:g}; it lies between 0 and 1, such as 0.999"
            raise RecipeError(msg)
        _check_every("EMA", self.every_n_steps)

    def share(self, step: int) -> float | None:
        """What the new weights count."""
        if step % self.every_n_steps:
            return None
        updates = step // self.every_n_steps
        return 1 - (min(self.decay, (1 + updates) / (10 + updates)) if self.warmup else self.decay)


class SWA(Averaging):
    """Mean of the trained weights over the last part of a run (stochastic weight averaging, Izmailov et al. 2018).

        average = mean of the weights after each of the steps from `start` on

    Until then validation, checkpoints and adapter are of the weights themselves. The learning rate stays that of
    `model.schedule`; the paper's is constant or cyclic while it averages. It takes one more copy of the trained
    weights.

    Args:
        start: The step that it begins with; below 1 a share of all steps.
        every_n_steps: Steps between two that are averaged.
    """

    def __init__(self, start: float = 0.75, every_n_steps: int = 1) -> None:
        super().__init__()
        self.start = start
        self.every_n_steps = every_n_steps
        self._first = 0
        self._taken = 0

    def check(self) -> None:
        """Refuse a start that never comes."""
        if not 0 <= self.start < math.inf or (self.start > 1 and self.start != int(self.start)):
            msg = f"trainer.callbacks: SWA.start is {self.start:g}; give a share of all steps, or the number of one"
            raise RecipeError(msg)
        _check_every("SWA", self.every_n_steps)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the first step.

        Raises:
            RecipeError: It is a share of an unknown number, or there is no such step.
        """
        super().on_train_start(trainer, pl_module)
        steps = trainer.estimated_stepping_batches
        if self.start < 1 and math.isinf(steps):
            msg = (
                f"trainer.callbacks: SWA.start is {self.start:g} of the steps, whose number is unknown; give the "
                "number of a step, or set trainer.max_steps"
            )
            raise RecipeError(msg)
        self._first = max(1, math.ceil(self.start * steps) if self.start < 1 else int(self.start))
        if self._first > steps and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            msg = f"trainer.callbacks: SWA.start is {self.start:g}, but the run has {steps} steps"
            raise RecipeError(msg)

    def share(self, step: int) -> float | None:
        """One of as many as were taken."""
        if step < self._first or (step - self._first) % self.every_n_steps:
            return None
        self._taken += 1
        return 1 / self._taken

    def state_dict(self) -> dict[str, Any]:
        """How many were taken."""
        return {**super().state_dict(), "taken": self._taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after them."""
        super().load_state_dict(state_dict)
        self._taken = state_dict["taken"]


def averaging(callbacks: Iterable[Callback]) -> Averaging | None:
    """The one that averages weights among a recipe's callbacks, checked.

    Raises:
        RecipeError: There are two, or its options are out of range.
    """
    found = [callback for callback in callbacks if isinstance(callback, Averaging)]
    for callback in found:
        callback.check()
    if len(found) > 1:
        names = " and ".join(type(callback).__name__ for callback in found)
        msg = f"trainer.callbacks names {names}, and the adapter can be of one average only; leave one out"
        raise RecipeError(msg)
    return found[0] if found else None


def _check_every(name: str, steps: int) -> None:
    if steps < 1:
        msg = f"trainer.callbacks: {name}.every_n_steps is {steps}; it must be 1 or more"
        raise RecipeError(msg)
