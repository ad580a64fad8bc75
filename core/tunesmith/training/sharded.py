"""What a LightningModule does differently where its weights lie in shards."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith.training import sharding
from tunesmith.training.attach import Attached
from tunesmith.training.gradients import norm
from tunesmith.training.trained_only import TrainedOnly


class Sharded(TrainedOnly):
    """A LightningModule that leaves each process its shards where the strategy has a mesh of processes.

    Attributes:
        network: What the adapter attached.
        attached: The same with all that belongs to it; None before it is loaded.
    """

    network: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.attached: Attached | None = None

    @property
    def root(self) -> sharding.Root | None:
        """What gathers the weights; None where every process holds them whole."""
        return None if self.attached is None else self.attached.root

    def configure_model(self) -> None:
        """Shard, before the optimizer is built; Lightning calls it under every strategy."""
        if self.attached is not None and self.root is None:
            self.settle(self.sharded(self.attached))

    def settle(self, attached: Attached) -> None:
        """Run as `attached` says."""
        raise NotImplementedError

    def sharded(self, attached: Attached) -> Attached:
        """Leave this process its shards, if it is one of a mesh."""
        mesh = self.device_mesh
        if mesh is None:
            return attached
        counted = attached.sizes()
        return replace(attached, root=sharding.shard(attached.network, mesh["data_parallel"]), counted=counted)

    def gathered(self) -> AbstractContextManager[None]:
        """Context in which the network can be run by itself."""
        return nullcontext() if self.root is None else self.root.gathered()

    def _trained(self) -> dict[str, Tensor]:
        # after a validation what was gathered is still there, apart from what the optimizer steps
        sharding.reshard(self.root)
        return super()._trained()

    def averaged(self, total: Tensor) -> Tensor:
        """A term of the weights themselves, whose gradient ranks that hold shards average as they do all others'."""
        return total if self.root is None else sharding.averaged(total)

    def finish_gradients(self, optimizer: Optimizer) -> float:
        """Do for small weights that are not sharded what DDP does for all; returns the norm over all processes."""
        if self.root is not None:
            sharding.average(p for group in optimizer.param_groups for p in group["params"])
        self._norm = norm(_gradients(optimizer))
        return float(self._norm)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm that is logged, of all shards in fp64.

        Torch's own would take weights that are not sharded for others, and in fp32 depends on the layout.
        """
        if not gradient_clip_val or gradient_clip_algorithm not in (None, "norm"):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        factor = (gradient_clip_val / (self._norm + 1e-6)).clamp(max=1.0)
        for gradient in _gradients(optimizer):
            sharding.local(gradient).mul_(factor)

    @contextmanager
    def whole(self, *, frozen: bool = False) -> Iterator[bool]:
        """Context in which the first process holds what trained whole; gives whether this is the first.

        Args:
            frozen: Whether it holds all other weights whole as well.
        """
        first = self._trainer is None or self.trainer.is_global_zero
        if self.attached is None or self.root is None:
            yield first
            return
        sharding.reshard(self.root)
        model = self.attached.model
        further = model.parameters() if frozen else map(model.get_parameter, self.attached.held)
        with sharding.trained_whole(self.network, first, list(further)):
            yield first

    def sum_over_ranks(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes."""
        total: Any = self.trainer.strategy.reduce(values, reduce_op="sum")
        return total  # type: ignore[no-any-return]


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
