"""What a checkpoint of a run holds: trained tensors and random states, never the frozen base."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Adapter
from tunesmith.training import content
from tunesmith.training.averaging import AVERAGED, UNAVERAGED
from tunesmith.training.ledger import Ledger
from tunesmith.training.randomness import Stream, gather


class TrainedOnly(LightningModule):
    """A LightningModule whose checkpoints hold what trains.

    Attributes:
        adapter: May keep tensors beside what trains.
        network: What it attached.
        trained_names: Of the tensors that train, in the optimizer's order; set when the base is loaded.
        extras: Modules of objective and regularizers.
        ledger: The accumulation window that is open.
        stream: Random state of training steps; None before the first.
        optimizer_options: What the recipe says of the optimizer's groups; kept beside what they have become.
        options_then: The same of the run that made the checkpoint; None without one, or where it lacks them.
    """

    adapter: Adapter
    network: nn.Module
    extras: nn.Module
    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.trained_names: list[str] = []
        self.stream: Stream | None = None
        self.optimizer_options: list[dict[str, Any]] = []
        self.options_then: list[dict[str, Any]] | None = None
        self._saved_randomness: list[dict[str, Any]] | None = None

    def name_trained(self) -> None:
        """Fix which tensors train: parameters by their flag, buffers of plugins' modules, what the adapter keeps."""
        self.trained_names = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        self.trained_names += [f"extras.{name}" for name, _ in self.extras.named_buffers()]
        self.trained_names += [f"adapter.{name}" for name in self.adapter.kept(self.network)]

    def start_stream(self, seed: int) -> bool:
        """Take up the random state of the checkpoint, or begin one from `seed`; returns whether there was one."""
        self.stream = Stream(seed)
        saved, self._saved_randomness = self._saved_randomness, None
        if saved is not None:
            self.stream.restore(saved[self.global_rank])
        return saved is not None

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The trained tensors only; a frozen base is never copied, nor unpacked by reading it (trap 43)."""
        return {name: tensor.detach() for name, tensor in self._trained().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Restore exactly the trained tensors; see `restore_trained`."""
        self.restore_trained(state_dict)

    def restore_trained(self, state: Mapping[str, Tensor]) -> None:
        """Copy the trained tensors of a checkpoint into the model.

        Raises:
            RecipeError: The checkpoint's names or shapes are not this model's.
        """
        content.restore(state, self._trained(), "the checkpoint")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the optimizer's options and the random state of every rank; never save accumulated gradients away.

        Raises:
            RecipeError: A callback saves between two optimizer steps.
        """
        if self.ledger.open:
            msg = (
                "a checkpoint inside an accumulation window loses gradients; let trainer.callbacks save at optimizer "
                "steps (every_n_train_steps, or the default checkpoints)"
            )
            raise RecipeError(msg)
        checkpoint["optimizer_options"] = self.optimizer_options
        if self.stream is not None:
            checkpoint["randomness"] = gather(self.stream.state())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the optimizer's options, and the random state for the first step; what is before it draws freely.

        Raises:
            RecipeError: The checkpoint was made by another number of processes.
        """
        saved = checkpoint.get("randomness")
        if saved is not None and len(saved) != self.trainer.world_size:
            world = self.trainer.world_size
            msg = f"the checkpoint was made by {len(saved)} processes, this run has {world}; set trainer.devices"
            raise RecipeError(msg)
        self._saved_randomness = saved
        if UNAVERAGED in checkpoint:  # training goes on with these; a callback that averages takes the others
            checkpoint[AVERAGED], checkpoint["state_dict"] = checkpoint["state_dict"], checkpoint.pop(UNAVERAGED)
        self.options_then = checkpoint.get("optimizer_options")

    def _trained(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = dict(self.named_parameters())
        tensors |= {f"extras.{name}": buffer for name, buffer in self.extras.named_buffers()}
        tensors |= {f"adapter.{name}": tensor for name, tensor in self.adapter.kept(self.network).items()}
        return {name: tensors[name] for name in self.trained_names}
