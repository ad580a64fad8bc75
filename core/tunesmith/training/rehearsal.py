"""How long training takes and how much memory, from a few of its own micro-batches; no weight is changed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tunesmith.data.batch import Batch
from tunesmith.training.optimizer import build, parameter_groups
from tunesmith.training.probing import training_pass
from tunesmith.training.specialist import Specialist

_MOST = 8
# On a busy machine the wall's clock may show so many times the bound.
_PATIENCE = 4
# Elements of trained weights on which an optimizer step is timed; of more, a part of each tensor.
_STEPPED = 2**24
_ALIKE = 1.3


@dataclass(frozen=True, slots=True)
class Timing:
    """One measurement.

    Args:
        cost: Of the micro-batch, as its plan says.
        wall: Seconds.
        processor: Processor seconds, of all threads.
    """

    cost: float
    wall: float
    processor: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a micro-batch: `each + per_cost * cost`."""

    each: float
    per_cost: float

    def seconds(self, micros: float, cost: float) -> float:
        """Seconds of so many micro-batches that cost so much together."""
        return self.each * micros + self.per_cost * cost


def pace(points: Sequence[tuple[float, float]]) -> Pace:
    """Fit seconds to costs, both parts of it at least 0.

    Args:
        points: Cost and seconds of each measurement. Where all costs are about the same, all is put down to them.
    """
    costs, seconds = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    by_cost = Pace(0.0, float(seconds.sum() / costs.sum()))
    if costs.max() < _ALIKE * costs.min():
        return by_cost
    # relative errors count: a long micro-batch is no more certain than a short one
    slope, each = np.polyfit(costs, seconds, 1, w=1 / seconds)
    if slope <= 0:
        return Pace(float(seconds.mean()), 0.0)
    return Pace(float(each), float(slope)) if each >= 0 else by_cost


def rehearse(
    model: Specialist, makes: Sequence[tuple[float, Callable[[], Batch]]], seconds: float, *, training: bool = True
) -> list[Timing]:
    """Measure micro-batches within a bound of time: once to warm up, once each, then again what time is left for.

    The bound is held by the processor's clock, so that a busy machine measures what an idle one does, and more loosely
    by the wall's.

    Args:
        model: Where it will run. Its gradients are those of the last micro-batch.
        makes: Cost of each micro-batch and what makes it, the cheapest first. The first is always measured.
        seconds: No further one is begun that would likely end after this.
        training: Whether a pass goes backward too; else it is one of validation.

    Returns:
        The measurements in their order; without the costliest micro-batches where time forbids them.
    """
    spent = [_timed(model, *makes[0], training)]
    found: list[Timing] = []
    while len(found) < _MOST:
        for cost, make in makes:
            more = max(1.0, cost / spent[-1].cost)
            busy = sum(t.processor for t in spent) + more * spent[-1].processor
            past = sum(t.wall for t in spent) + more * spent[-1].wall
            full = busy > seconds * torch.get_num_threads() or past > _PATIENCE * seconds
            if found and (full or len(found) == _MOST):
                return found
            found.append(_timed(model, cost, make, training))
            spent.append(found[-1])
    return found


def _timed(model: Specialist, cost: float, make: Callable[[], Batch], training: bool) -> Timing:
    model.zero_grad(set_to_none=True)
    synchronize(model.device)
    wall, processor = time.perf_counter(), time.process_time()
    batch = make().to(model.device)
    if training:
        training_pass(model, batch)
    else:
        model.eval()
        with torch.no_grad():
            float(model.objective.loss(model.passes(batch)).sum)
        model.train()
    synchronize(model.device)
    return Timing(cost, time.perf_counter() - wall, time.process_time() - processor)


def step_seconds(model: Specialist) -> tuple[float, float]:
    """Wall and processor seconds of an optimizer step, measured on copies of the trained weights."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    share = min(1.0, _STEPPED / max(1, sum(parameter.numel() for parameter in trained)))
    groups = [
        {**group, "params": [_copy(parameter, share) for parameter in group["params"]]}
        for group in parameter_groups(trained, model.adapter.groups(model.network))
    ]
    optimizer = build(model.optimizer_factory, groups)
    optimizer.step()  # makes its states
    synchronize(model.device)
    wall, processor = time.perf_counter(), time.process_time()
    optimizer.step()
    synchronize(model.device)
    return (time.perf_counter() - wall) / share, (time.process_time() - processor) / share


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _copy(parameter: nn.Parameter, share: float) -> nn.Parameter:
    rows = max(1, round(len(parameter) * share)) if parameter.ndim else 1
    copy = nn.Parameter((parameter[:rows] if parameter.ndim else parameter).detach().clone())
    copy.grad = torch.full_like(copy, 1e-3)
    return copy
