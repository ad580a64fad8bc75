"""From trained parameters to an optimizer and its learning rates."""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Adam, Optimizer, SparseAdam
from torch.optim.lr_scheduler import LambdaLR

from tunesmith.errors import RecipeError
from tunesmith.training.over_shards import step_over_shards
from tunesmith.training.schedule import Schedule

_NOTHING = object()


def parameter_groups(
    trained: Sequence[nn.Parameter], own: Iterable[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Split parameters so that weight decay falls on matrices only, never on norms and biases.

    Args:
        trained: All parameters that train.
        own: Groups that the adapter made (`params`, and `lr_scale` of the learning rate). They follow the rest, whose
            rate is the one that is logged.

    Raises:
        RecipeError: Nothing trains.
    """
    if not trained:
        msg = "model.adapter leaves no parameter to train; check its targets"
        raise RecipeError(msg)
    groups = [dict(group) for group in own or ()]
    grouped = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in trained if id(parameter) not in grouped]
    split = []
    for group in [{"params": rest}, *groups]:
        matrices = [parameter for parameter in group["params"] if parameter.ndim > 1]
        vectors = [parameter for parameter in group["params"] if parameter.ndim <= 1]
        split += [{**group, "params": matrices}, {**group, "params": vectors, "weight_decay": 0.0}]
    return [group for group in split if group["params"]]


def build(make: Callable[[Iterable[Any]], Optimizer], groups: Sequence[dict[str, Any]]) -> Optimizer:
    """Make the recipe's optimizer and apply the groups' `lr_scale`; torch's own step in one kernel (see `fuse`).

    bitsandbytes' steps on shards where weights lie in shards.

    Raises:
        RecipeError: It refuses an option (a negative rate), or groups of parameters (LBFGS), or vectors (Muon).
    """
    scales = [group.get("lr_scale", 1.0) for group in groups]
    try:
        optimizer = make([{key: value for key, value in group.items() if key != "lr_scale"} for group in groups])
    except (TypeError, ValueError) as error:
        msg = f"model.optimizer cannot be used so: {' '.join(str(error).split())}"
        raise RecipeError(msg) from error
    for group, scale in zip(optimizer.param_groups, scales, strict=True):
        group["lr"] *= scale
    fuse(optimizer)
    step_over_shards(optimizer)
    return optimizer


def fuse(optimizer: Optimizer) -> None:
    """Let Adam and AdamW step in torch's fused kernel where the recipe leaves it open.

    By itself torch takes some ten passes over each tensor on a CPU. The option is set for groups of parameters: given
    to the constructor it also says that the step unscales gradients, for which Lightning refuses to clip them.
    """
    said = optimizer.defaults
    if isinstance(optimizer, Adam) and said["fused"] is said["foreach"] is None and not said["differentiable"]:
        for group in optimizer.param_groups:
            # weights in shards beside whole ones (a regularizer's own): that kernel takes one kind only
            group["fused"] = len({isinstance(parameter, DTensor) for parameter in group["params"]}) == 1


def check_steps(optimizer: Optimizer, accumulate: int) -> None:
    """Refuse an optimizer whose steps would not be made by the window's gradient.

    Args:
        optimizer: The recipe's.
        accumulate: Micro-batches a rank and optimizer step.

    Raises:
        RecipeError: It wants sparse gradients, or runs the last micro-batch of several again in its step.
    """
    name = type(optimizer).__name__
    if isinstance(optimizer, SparseAdam):
        msg = f"model.optimizer: {name} takes sparse gradients only, which nothing here has; use AdamW"
        raise RecipeError(msg)
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if accumulate > 1 and closure is not None and closure.default is closure.empty:
        msg = (
            f"model.optimizer: {name} runs a batch again within its step, which of {accumulate} micro-batches would be "
            "the last; set trainer.accumulate_grad_batches to 1 and raise data.batch_size, or use AdamW"
        )
        raise RecipeError(msg)


def scheduler(optimizer: Optimizer, schedule: Schedule, total: float) -> LambdaLR:
    """Learning rates by optimizer step.

    Args:
        optimizer: Its groups' rates are the peaks.
        schedule: The recipe's.
        total: Optimizer steps of the whole run.

    Raises:
        RecipeError: The run has no end that a schedule could be laid over.
    """
    if math.isinf(total) and (schedule.name != "constant" or 0 < schedule.warmup < 1):
        constant = schedule.name == "constant"
        which = f"model.schedule.warmup {schedule.warmup:g}" if constant else f"model.schedule {schedule.name}"
        msg = (
            f"{which} needs to know the run's length: set trainer.max_epochs or max_steps, or "
            f"{'give' if constant else 'take constant with'} a warmup of 0 or a number of steps"
        )
        raise RecipeError(msg)
    steps = 0 if math.isinf(total) else int(total)
    if math.isinf(total):
        return LambdaLR(optimizer, lambda step: schedule.factor(step, max(step, round(schedule.warmup)) + 1))
    return LambdaLR(optimizer, lambda step: schedule.factor(step, steps))


def options_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What the recipe says of each group of parameters; the rate that a schedule has reached is left out."""
    return [
        {key: deepcopy(value) for key, value in group.items() if key not in ("params", "lr")}
        for group in optimizer.param_groups
    ]


def reapply(
    options: Sequence[dict[str, Any]],
    optimizer: Optimizer,
    schedule: LambdaLR,
    then: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Let a resumed run follow its recipe: a checkpoint brings the options of before with it.

    What the recipe has not changed stays as the checkpoint has it: some optimizers keep there what they have found
    (Prodigy the distance to the solution, schedule-free ones their place).

    Args:
        options: As `options_of` gave them before the checkpoint was read.
        optimizer: As the checkpoint left it.
        schedule: Its rates; those of the step that it has reached are set.
        then: `options` of the run that made the checkpoint; None where it did not note them. Then all is set that the
            optimizer's constructor takes: a recipe can change no more, and what is found bears other names.
    """
    takes = {*inspect.signature(type(optimizer)).parameters, "initial_lr"}
    for number, (group, own) in enumerate(zip(optimizer.param_groups, options, strict=True)):
        changed = (
            takes if then is None else {key for key in own if not _same(own[key], then[number].get(key, _NOTHING))}
        )
        group.update({key: deepcopy(value) for key, value in own.items() if key in changed})
        for parameter in group["params"] if group.get("fused") else ():
            if isinstance(step := optimizer.state[parameter].get("step"), Tensor):  # that kernel counts where it steps
                optimizer.state[parameter]["step"] = step.to(parameter.device)
    schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    factors = [factor(schedule.last_epoch) for factor in schedule.lr_lambdas]
    for group, factor in zip(optimizer.param_groups, factors, strict=True):
        group["lr"] = group["initial_lr"] * factor


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(two, Tensor):
        return isinstance(one, Tensor) and isinstance(two, Tensor) and torch.equal(one.cpu(), two.cpu())
    return bool(one == two)
