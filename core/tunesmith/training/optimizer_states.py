"""How much an optimizer's states take, found before there are any."""

import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith.training.optimizer import build, parameter_groups
from tunesmith.training.specialist import Specialist

_ADAM = 8  # bytes a weight, two moments in fp32: where the optimizer cannot be tried
ASSUMED = f"assumed: {_ADAM} bytes a weight"
# Elements of a weight that is tried whole; of a larger one parts are, of so many and of half as many.
_WHOLE = 2**22

Group = dict[str, Any]


class States(NamedTuple):
    """Bytes of an optimizer.

    Attributes:
        held: Of its states.
        beside: What one step holds besides.
        assumed: Whether it could not be tried, so that `held` is what AdamW's are.
    """

    held: int
    beside: int
    assumed: bool = False


def optimizer_bytes(model: Specialist) -> States:
    """Find what the recipe's optimizer will hold, by a step without memory, or else by steps on small weights."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = parameter_groups(trained, model.adapter.groups(model.network))
    blank = [{**group, "params": [_blank(p.shape, p.dtype, "meta") for p in group["params"]]} for group in groups]
    empty = build(model.optimizer_factory, blank)
    fused = any(group.get("fused") for group in empty.param_groups)
    # one table of the size of the weights, where all tensors are stepped at once as on a GPU
    beside = 0 if fused else sum(parameter.numel() * parameter.element_size() for parameter in trained)
    # whatever a library's step says of weights that it was not written for
    with suppress(Exception):
        return States(_stepped(empty), beside)
    with suppress(Exception):
        return States(sum(_of_group(model.optimizer_factory, group) for group in groups), beside)
    return States(_ADAM * sum(parameter.numel() for parameter in trained), beside, assumed=True)


def _of_group(factory: Callable[..., Optimizer], group: Group) -> int:
    """Of one group, from a weight of each of its shapes; states grow with the rows, evenly from some size on."""
    alike = Counter((parameter.shape, parameter.dtype) for parameter in group["params"])
    return sum(count * _of_shape(factory, group, *kind) for kind, count in alike.items())


def _of_shape(factory: Callable[..., Optimizer], group: Group, shape: torch.Size, dtype: torch.dtype) -> int:
    def tried(rows: int | None) -> int:
        own = shape if rows is None else torch.Size((rows, *shape[1:]))
        return _stepped(build(factory, [{**group, "params": [_blank(own, dtype, "cpu")]}]))

    rows = _WHOLE * shape[0] // max(1, shape.numel()) if shape else 0
    if shape.numel() <= _WHOLE or rows < 2:
        return tried(None)
    half = tried(rows // 2)
    return half + round((tried(rows) - half) / (rows - rows // 2) * (shape[0] - rows // 2))


def _stepped(optimizer: Optimizer) -> int:
    for group in optimizer.param_groups:
        if group.get("fused"):
            group["fused"] = False  # that kernel does not run without memory; its states are these
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another device than the one that is asked about
        optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(value.numel() * value.element_size() for value in states)


def _blank(shape: torch.Size, dtype: torch.dtype, device: str) -> nn.Parameter:
    weight = nn.Parameter(torch.zeros(shape, dtype=dtype, device=device))
    weight.grad = torch.zeros_like(weight)
    return weight
