"""Classifiers that tell groups from hidden states, kept as good as they can be while the states change."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BETAS = (0.5, 0.9)  # states move under the adversaries: what they were long ago does not count
_SMALL = 1e-8
_FLOOR = 0.1


class Adversaries(nn.Module):
    """Linear and non-linear classifiers, and the states that they learn from: those of the last rows.

    All of it lies in buffers: Adam's moments too, so that a run that is resumed goes on as it was. Nothing is trained
    by the run's own optimizer, so that rate and steps are the adversaries' alone.

    Args:
        width: Of the states.
        groups: How many are told apart.
        inner: Units of the hidden layer of each classifier; 0 for a linear one.
        memory: Rows that are remembered.
        seed: Of the weights at the start.
    """

    mean: Tensor
    scale: Tensor
    states: Tensor
    groups: Tensor
    seen: Tensor
    steps: Tensor

    def __init__(self, width: int, groups: int, inner: Sequence[int], memory: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.number = len(inner)
        for at, units in enumerate(inner):
            shapes = [(units, width), (units,), (groups, units), (groups,)] if units else [(groups, width), (groups,)]
            for part, shape in enumerate(shapes):
                bound = (width if part < 2 else units) ** -0.5
                weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
                self.register_buffer(f"weight_{at}_{part}", weight)
                self.register_buffer(f"first_{at}_{part}", torch.zeros(shape))
                self.register_buffer(f"second_{at}_{part}", torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("states", torch.zeros(memory, width))
        self.register_buffer("groups", torch.full((memory,), -1, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(groups, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def logits(self, states: Tensor) -> list[Tensor]:
        """What each classifier says of states, `[rows, groups]`; gradients go to the states alone."""
        standard = (states - self.mean) / self.scale
        return [_classified(standard, self._parts("weight", at)) for at in range(self.number)]

    @torch.no_grad()
    def note(self, states: Tensor, groups: Tensor) -> None:
        """Remember rows in place of the oldest ones.

        Args:
            states: `[rows, width]`.
            groups: `[rows]`.
        """
        room = len(self.states)
        places = (int(self.seen.sum()) + torch.arange(len(groups), device=groups.device))[-room:] % room
        self.states[places] = states[-room:].float()
        self.groups[places] = groups[-room:]
        self.seen += groups.bincount(minlength=len(self.seen))

    def learn(self, steps: int, rate: float, decay: float) -> None:
        """Take steps of Adam on what is remembered (AdamW: Loshchilov & Hutter 2019), groups weighed alike.

        Args:
            steps: How many.
            rate: Of each.
            decay: Share of the weights, times the rate, that each step takes off.
        """
        held = self.groups >= 0
        states, groups = self.states[held], self.groups[held]
        counts = groups.bincount(minlength=len(self.seen)).float()
        if len(groups) < 2 or int((counts > 0).sum()) < 2:
            return
        spread = states.std(0)
        self.mean.copy_(states.mean(0))
        self.scale.copy_(spread + _FLOOR * spread.mean() + _SMALL)
        standard = (states - self.mean) / self.scale
        by_group = counts.sum() / (counts > 0).sum() / counts.clamp(min=1)
        for _ in range(steps):
            self.steps += 1
            for at in range(self.number):
                self._step(at, standard, groups, by_group, rate, decay)

    def _step(self, at: int, states: Tensor, groups: Tensor, weights: Tensor, rate: float, decay: float) -> None:
        parts = [part.detach().requires_grad_() for part in self._parts("weight", at)]
        with torch.enable_grad():
            loss = F.cross_entropy(_classified(states, parts), groups, weight=weights)
        gradients = torch.autograd.grad(loss, parts)
        number = int(self.steps)
        with torch.no_grad():
            for part, gradient in enumerate(gradients):
                weight, first, second = (
                    self.get_buffer(f"{kind}_{at}_{part}") for kind in ("weight", "first", "second")
                )
                first.lerp_(gradient, 1 - _BETAS[0])
                second.lerp_(gradient.square(), 1 - _BETAS[1])
                root = (second / (1 - _BETAS[1] ** number)).sqrt() + _SMALL
                weight.mul_(1 - rate * decay).sub_(rate / (1 - _BETAS[0] ** number) * first / root)

    def _parts(self, kind: str, at: int) -> list[Tensor]:
        buffers: dict[str, Any] = dict(self.named_buffers())
        return [buffers[f"{kind}_{at}_{part}"] for part in range(4) if f"{kind}_{at}_{part}" in buffers]


class _Reversal(torch.autograd.Function):
    """The identity, whose gradient comes back with the other sign, times a factor."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reversed_gradient(hidden: Tensor, strength: float) -> Tensor:
    """The same values, through which gradients come back times `-strength` (Ganin & Lempitsky 2015)."""
    found: Tensor = _Reversal.apply(hidden, strength)  # type: ignore[no-untyped-call]
    return found


def _classified(states: Tensor, parts: Sequence[Tensor]) -> Tensor:
    if len(parts) == 2:
        return F.linear(states, parts[0], parts[1])
    return F.linear(F.gelu(F.linear(states, parts[0], parts[1])), parts[2], parts[3])
