"""Lightning's strategy for weights in shards, with checkpoints of what trains, in one file or one for each process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy, Strategy, StrategyRegistry
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.training import shards
from tunesmith.training.over_shards import check_states, over_shards
from tunesmith.training.sharding import like

NAME = "fsdp2"


class FSDP2(ModelParallelStrategy):
    """Shards over all processes.

    Lightning's own saves the frozen base as well, asks for all of it in a checkpoint, and describes sharded ones by
    pickled objects.

    Args:
        save_distributed_checkpoint: Whether each process writes a file with its shards; else the first writes all.
        data_parallel_size: What a recipe says that the number of processes is.
        **options: `process_group_backend` and `timeout`, as Lightning has them.
    """

    def __init__(
        self, save_distributed_checkpoint: bool = True, data_parallel_size: int | None = None, **options: Any
    ) -> None:
        super().__init__(save_distributed_checkpoint=save_distributed_checkpoint, **options)
        self._said = data_parallel_size

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands over what `load_checkpoint` read."""
        return True

    def setup_environment(self) -> None:
        """Take all processes for one mesh; Lightning would cut each layer of a node into its devices.

        Raises:
            RecipeError: The recipe's `data_parallel_size` is another number.
        """
        world = self.num_nodes * self.num_processes
        if self._said not in (None, world):
            msg = f"trainer.strategy: data_parallel_size is {self._said}, but there are {world} processes; leave it out"
            raise RecipeError(msg)
        self._data_parallel_size, self._tensor_parallel_size = world, 1
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """What trains, in shards."""
        assert self.lightning_module is not None
        return self.lightning_module.state_dict()

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Restore what trains."""
        assert self.lightning_module is not None
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state, in shards."""
        state: dict[str, Any] = getattr(optimizer, "_optimizer", optimizer).state_dict()
        return state

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give each optimizer its state, whole tensors cut into shards like their weights'."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            if over_shards(optimizer):
                check_states(optimizer, state["state"])
                optimizer.load_state_dict(state)
                continue
            weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            cut = {number: _cut(values, weights[number]) for number, values in state["state"].items()}
            optimizer.load_state_dict({**state, "state": cut})

    def setup_optimizers(self, trainer: Trainer) -> None:
        """Make the optimizers.

        Raises:
            RecipeError: Their states could not be saved in one file.
        """
        super().setup_optimizers(trainer)
        for optimizer in self.optimizers:
            if over_shards(optimizer) and not self._save_distributed_checkpoint:
                msg = (
                    f"trainer.strategy: save_distributed_checkpoint is false, but the states of "
                    f"{type(optimizer).__name__} (model.optimizer) belong to each process's shards and do not fit "
                    "into one file; set true, or leave it out"
                )
                raise RecipeError(msg)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write a folder with each process's shards, or one file as any other strategy does."""
        path = Path(self.broadcast(filepath))
        if self._save_distributed_checkpoint:
            shards.write(checkpoint, path, self.global_rank, self.world_size)
        else:
            Strategy.save_checkpoint(self, shards.whole(checkpoint, self.is_global_zero), path, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint of either kind; of a file each process takes what it needs."""
        path = Path(self.broadcast(checkpoint_path))
        if shards.is_sharded(path):
            return shards.read(path, self.global_rank, self.device_mesh["data_parallel"])
        return shards.read_meta(path)


def _cut(values: Mapping[str, Any], weight: Tensor) -> dict[str, Any]:
    if not isinstance(weight, DTensor):
        return dict(values)
    return {
        name: like(weight, value) if isinstance(value, Tensor) and value.shape == weight.shape else value
        for name, value in values.items()
    }


def chosen(strategy: Any) -> Any:
    """The strategy that `trainer.strategy` asks for: `fsdp2`, or Lightning's class, becomes `FSDP2`.

    Raises:
        RecipeError: It is the older FSDP, cuts single layers, starts processes that no run fits into, or is unknown.
    """
    if isinstance(strategy, FSDPStrategy) or (isinstance(strategy, str) and strategy.startswith("fsdp_")):
        strategy = "fsdp"
    if strategy == "fsdp":
        msg = (
            "trainer.strategy: fsdp is torch's first kind, which melts weights into one tensor of one format, so that "
            f"frozen and trained ones cannot be told apart; use {NAME}"
        )
        raise RecipeError(msg)
    if strategy == NAME:
        return FSDP2()
    known = ["auto", NAME, *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in known:
        msg = f"trainer.strategy is {strategy}, which there is none of{did_you_mean(strategy, known)}"
        raise RecipeError(msg)
    if (how := _start_method(strategy)) in ("spawn", "fork", "forkserver"):
        name = strategy if isinstance(strategy, str) else f"DDPStrategy with start_method {how}"
        msg = (
            f"trainer.strategy: {name} hands the whole run over to further processes, which a loaded model and open "
            "files do not allow; use ddp, which starts the command again in each"
        )
        raise RecipeError(msg)
    if not isinstance(strategy, ModelParallelStrategy):
        return strategy
    if strategy._tensor_parallel_size not in ("auto", 1):
        msg = (
            f"trainer.strategy: tensor_parallel_size is {strategy._tensor_parallel_size}; layers are sharded over all "
            "processes and never cut: set 1, or leave it out"
        )
        raise RecipeError(msg)
    said = strategy._data_parallel_size
    return FSDP2(
        data_parallel_size=None if said == "auto" else said,
        save_distributed_checkpoint=strategy._save_distributed_checkpoint,
        process_group_backend=strategy._process_group_backend,
        timeout=strategy._timeout,
    )


def _start_method(strategy: Any) -> str | None:
    """How a strategy, or Lightning's name of one, starts further processes; None where it does not say."""
    if isinstance(strategy, str):
        known: Mapping[str, Any] = dict(StrategyRegistry).get(strategy, {})  # its own `get` makes the strategy
        named: str | None = known.get("init_params", {}).get("start_method")
        return named
    return getattr(strategy, "_start_method", None)
