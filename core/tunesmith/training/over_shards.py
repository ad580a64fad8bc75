"""bitsandbytes' optimizers on weights in shards: its kernels take plain tensors, which each process's shards are.

A step is made shard by shard, as the 8-bit states of bitsandbytes are made block by block of 256 numbers: where shards
end at the end of a block, what they hold is what whole weights would. States stay with their process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from tunesmith.errors import RecipeError
from tunesmith.training.sharding import local

_MARK = "_over_shards"


def over_shards(optimizer: Optimizer) -> bool:
    """Whether its states are of this process's shards, which no other process can put together."""
    return getattr(optimizer, _MARK, False)


def step_over_shards(optimizer: Optimizer) -> None:
    """Let an optimizer of bitsandbytes step on this process's shards, where weights lie in shards."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    ours = any(kind.__module__.startswith("bitsandbytes.") for kind in type(optimizer).__mro__)
    if not ours or not any(isinstance(parameter, DTensor) for parameter in parameters):
        return
    whole = optimizer.step

    def step(self: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:  # a whole pass, which asks for the parameters' own gradients
            with torch.enable_grad():
                loss = closure()
        with _on_shards(self):
            whole()
        return loss

    optimizer.step = MethodType(step, optimizer)  # type: ignore[method-assign]
    setattr(optimizer, _MARK, True)


def check_states(optimizer: Optimizer, states: dict[int, dict[str, Any]]) -> None:
    """See that a checkpoint's states are of this process's shards.

    Raises:
        RecipeError: They are of whole weights.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in states.items():
        held = [
            *values.values(),
            *(v for nested in values.values() if isinstance(nested, dict) for v in nested.values()),
        ]
        sizes = {value.shape for value in held if isinstance(value, Tensor)}
        own, all_of_it = local(parameters[number]).shape, parameters[number].shape
        if own not in sizes and all_of_it in sizes:
            msg = (
                f"the checkpoint holds states of {type(optimizer).__name__} for whole weights, which cannot be cut "
                "into shards; resume with the trainer.strategy that made it, or begin anew"
            )
            raise RecipeError(msg)


@contextmanager
def _on_shards(optimizer: Optimizer) -> Iterator[None]:
    """Context in which the optimizer's parameters are this process's shards, with their gradients and states."""
    kept = [group["params"] for group in optimizer.param_groups]
    parts: list[tuple[Tensor, Tensor]] = []
    for group in optimizer.param_groups:
        own: list[Tensor] = []
        for parameter in group["params"]:
            part = parameter
            if isinstance(parameter, DTensor):
                part = nn.Parameter(local(parameter.detach()))  # the same memory
                if parameter.grad is not None and part.numel():
                    part.grad = local(parameter.grad)
                parts.append((parameter, part))
            own.append(part)
        group["params"] = own
    for parameter, part in parts:
        _move(optimizer, parameter, part)
    try:
        yield
    finally:
        for parameter, part in parts:
            _move(optimizer, part, parameter)
        for group, parameters in zip(optimizer.param_groups, kept, strict=True):
            group["params"] = parameters


def _move(optimizer: Optimizer, one: Tensor, other: Tensor) -> None:
    if one in optimizer.state:
        optimizer.state[other] = optimizer.state.pop(one)
