"""Plugins that keep every rule of the kit in ways that no built-in does: other units than tokens, pairs, noise."""

import zlib
from typing import Any

from tunesmith import Encoded, Example, Forward, Objective, Regularizer, Renderer, RowError, Term


def by_sequence(forward: Forward, weigh: Any) -> Any:
    """Sum over the tokens of each sequence: what they cost, or their weights."""
    import torch
    from torch.nn.functional import cross_entropy

    found = torch.zeros(len(forward.batch.cu_seqlens) - 1)
    for chunk in forward.chunks():
        costs = cross_entropy(forward.head(chunk.hidden), chunk.targets, reduction="none")
        found = found.index_add(0, chunk.sequence, chunk.weights * weigh(costs))
    return found


class Prefers(Objective):
    """Direct preference optimisation (Rafailov et al. 2023); unit: pair.

    Args:
        beta: How strongly it prefers.
    """

    def __init__(self, beta: float = 0.1) -> None:
        self.beta = beta

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        if not example.chosen:
            raise RowError("chosen", "is empty")
        return [renderer.conversation(turns) for turns in (example.chosen, example.rejected)]

    def loss(self, forward: Forward) -> Term:
        from torch.nn.functional import logsigmoid

        gained = by_sequence(forward.baseline(), lambda costs: costs) - by_sequence(forward, lambda costs: costs)
        return Term(-logsigmoid(self.beta * (gained[::2] - gained[1::2])).sum(), "pair")


class LearnsExamplesAlike(Objective):
    """The mean over each example's tokens, so that long answers count no more than short ones; unit: example."""

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        turns = example.messages or example.chosen
        if not turns:
            raise RowError("messages", "is empty")
        return [renderer.conversation(turns, example.tools)]

    def loss(self, forward: Forward) -> Term:
        numbers = by_sequence(forward, lambda costs: costs.detach() * 0 + 1)
        return Term((by_sequence(forward, lambda costs: costs) / numbers.clamp(min=1e-9)).sum(), "example")


class StaysAtItsStart(Regularizer):
    """Squared distance of the weights from where they began (Li et al. 2018); unit: step.

    Args:
        weight: Factor.
    """

    def __init__(self, weight: float = 0.1) -> None:
        self.weight = weight

    def setup(self, model: Any) -> None:
        self.start = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        self.model = model

    def penalty(self, forward: Forward) -> Term:
        parts = [(p - self.start[n]).square().sum() for n, p in self.model.named_parameters() if n in self.start]
        return Term(self.weight * sum(parts), "step")


class KeepsMeansSmall(Regularizer):
    """Squared mean state of each example; unit: example.

    Args:
        weight: Factor.
    """

    def __init__(self, weight: float = 1e-5) -> None:
        self.weight = weight

    def penalty(self, forward: Forward) -> Term:
        import torch

        owners = forward.batch.sequence_example[forward.batch.sequence]
        number = len(forward.batch.examples)
        nothing = torch.zeros(number, forward.hidden.shape[-1])
        means = nothing.index_add(0, owners, forward.hidden) / owners.bincount(minlength=number)[:, None]
        return Term(self.weight * means.square().sum(), "example")


class Shakes(Regularizer):
    """Noise on embeddings, of each row by its id."""

    def perturb(self, embeddings: Any, batch: Any) -> Any:
        import torch

        noise = []
        for at, length in zip(batch.sequence_example.tolist(), batch.cu_seqlens.diff().tolist(), strict=True):
            generator = torch.Generator().manual_seed(zlib.crc32(batch.examples[at].id.encode()))
            noise.append(torch.randn(length, embeddings.shape[-1], generator=generator))
        return embeddings + 0.1 * torch.cat(noise)


class RemembersHowLargeStatesWere(Regularizer):
    """Squared states over how large they were before training; unit: token.

    Args:
        weight: Factor.
    """

    def __init__(self, weight: float = 0.1) -> None:
        self.weight = weight

    def module(self) -> Any:
        import torch

        self.memory = torch.nn.Module()
        self.memory.register_buffer("size", torch.ones(()))
        return self.memory

    def prepare(self, forwards: Any) -> None:
        self.memory.size.fill_(sum(float(forward.hidden.detach().square().mean()) for forward in forwards))

    def penalty(self, forward: Forward) -> Term:
        states = forward.hidden[forward.supervised]
        return Term(self.weight * (states.square().mean(-1) / self.memory.size).sum(), "token")
