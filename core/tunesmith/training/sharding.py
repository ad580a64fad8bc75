"""Weights, gradients and optimizer states in shards, one on each process, by torch's FSDP2 (`fully_shard`).

Each decoder layer is a unit that is gathered for its own pass and given back after it. All else (embeddings, last norm,
head) is one unit, gathered with the body and kept until backward ends: the head runs apart from the body, in chunks
that take derivatives inside of forward, where a hook that gives weights back would be in the way.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed import ReduceOp, all_reduce
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from tunesmith.training.attention import language_model, plain_attention
from tunesmith.training.modes import evaluating


class Root(nn.Module):
    """The body of a sharded model, whose forward gathers what no layer holds.

    Args:
        network: What the adapter attached; all of it is sharded.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run transformers' own body."""
        return language_model(self.network).base_model(*args, **kwargs)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Context in which the network can be run by itself: embeddings and head are whole."""
        model = language_model(self.network)
        with torch.no_grad(), evaluating(self.network), plain_attention(model):
            # which unit is the outermost is settled by the first that runs
            self(input_ids=torch.tensor([[0, 1]], device=model.device), use_cache=False)
        try:
            yield
        finally:
            if reset := getattr(self, "reset_iter_state", None):  # a layer that raised leaves hooks half done
                reset()
            reshard(self)


def shard(network: nn.Module, mesh: DeviceMesh) -> Root:
    """Leave each process its shard of every weight; one layer at a time reaches the mesh's device whole.

    Args:
        network: What the adapter attached, the same on all processes.
        mesh: The processes, in one dimension.
    """
    root = Root(network)
    whole = {parameter for parameter in network.parameters() if parameter.ndim == 0}
    for layer in layers(language_model(network)):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    fully_shard(root, mesh=mesh, reshard_after_forward=False, ignored_params=whole)
    return root


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """The blocks that transformers says are not to be split; embeddings, which the head may be tied to, left out."""
    names = set(model._no_split_modules or ())
    embeddings = model.get_input_embeddings()
    found = [module for module in model.modules() if type(module).__name__ in names]
    return [module for module in found if all(part is not embeddings for part in module.modules())]


def reshard(root: Root | None) -> None:
    """Give back what was gathered, so that `parameters()` are those that the optimizer steps."""
    if root is not None:
        cast("FSDPModule", root).reshard()


def put(into: Tensor, saved: Tensor) -> None:
    """Copy a whole tensor, or a shard like `into`, into the model's own."""
    if isinstance(into, DTensor):
        saved = like(into, saved)
    local(into).copy_(local(saved))


def like(own: DTensor, saved: Tensor) -> DTensor:
    """The shards of a whole tensor that `own` holds of its own; no process speaks to another."""
    if isinstance(saved, DTensor):
        return saved
    return distribute_tensor(saved.to(local(own).device), own.device_mesh, own.placements, src_data_rank=None)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor: its shard, or all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def average(parameters: Iterable[Tensor]) -> None:
    """Take the mean over all processes of gradients of weights that each holds whole; shards are means already."""
    for parameter in parameters:
        if not isinstance(parameter, DTensor):
            if parameter.grad is None:  # another process may have one
                parameter.grad = torch.zeros_like(parameter)
            all_reduce(parameter.grad, ReduceOp.SUM)
            parameter.grad.div_(torch.distributed.get_world_size())


def averaged(total: Tensor) -> Tensor:
    """The same number, whose gradient is the mean over all processes.

    What is computed from shards themselves, and not by a pass, has its gradient on them at once: nothing gathers and
    averages it, and a process whose turn is a ghost's would leave its shards without.
    """
    found: Tensor = _Averaged.apply(total)  # type: ignore[no-untyped-call]
    return found


class _Averaged(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor) -> Tensor:
        return total.view_as(total)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Tensor:
        mean = outer[0].clone()
        all_reduce(mean, ReduceOp.SUM)
        return mean.div_(torch.distributed.get_world_size())


@contextmanager
def trained_whole(network: nn.Module, first: bool, further: Sequence[Tensor] = ()) -> Iterator[None]:
    """Context in which what trained is whole in the first process's memory, to be saved; all processes must enter it.

    Args:
        network: A network whose shards are given back.
        first: Whether this is the first process; the others only send.
        further: Parameters that did not train and are saved too.
    """
    saved = {id(parameter) for parameter in further}
    places = [
        (module, name, parameter)
        for module in network.modules()
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if isinstance(parameter, DTensor) and (parameter.requires_grad or id(parameter) in saved)
    ]
    made: dict[int, nn.Parameter] = {}
    for _, _, parameter in places:  # a tied weight is one tensor in two places
        if id(parameter) not in made:
            full = parameter.full_tensor().detach()  # by all, for the first
            made[id(parameter)] = nn.Parameter(full.cpu() if first else parameter.detach(), parameter.requires_grad)
    for module, name, parameter in places:
        module._parameters[name] = made[id(parameter)]
    try:
        yield
    finally:
        for module, name, parameter in places:
            module._parameters[name] = parameter
