"""Whole answers: which turns are theirs, and how likely they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunesmith import Chunk, Forward, Message

if TYPE_CHECKING:
    from torch import Tensor


def apart(one: Sequence[Message], other: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Two conversations in which what both begin with has no weight."""
    shared = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        shared += 1
    return _silent(one, shared), _silent(other, shared)


def last_alone(turns: Sequence[Message]) -> list[Message]:
    """A conversation of which the last turn alone has a weight."""
    return _silent(turns, len(turns) - 1)


def _silent(turns: Sequence[Message], number: int) -> list[Message]:
    return [replace(turn, weight=0.0, spans=()) if at < number else turn for at, turn in enumerate(turns)]


def log_ratios(forward: Forward, base: Forward | None = None) -> "Tensor":
    """Sum of the supervised tokens' log-probabilities in each sequence, `[n]`, in nats; weights multiply each token's.

    Args:
        forward: The pass that is trained.
        base: A pass over the same batch whose log-probabilities are taken off, token by token; None takes off nothing.
    """
    from tunesmith_plugins.objectives.cross_entropy import cross_entropies

    def gained(chunk: Chunk, *others: Chunk) -> "Tensor":
        losses = cross_entropies(forward.head(chunk.hidden), chunk.targets)
        for other in others:
            assert base is not None
            losses = losses - cross_entropies(base.head(other.hidden), other.targets)
        return -losses

    found = forward.each(gained, *(() if base is None else (base,)))
    return _summed(forward, found * forward.weights)


def lengths(forward: Forward) -> "Tensor":
    """Sum of the supervised tokens' weights in each sequence, `[n]`: their number, where all weigh 1."""
    return _summed(forward, forward.weights)


def _summed(forward: Forward, values: "Tensor") -> "Tensor":
    """Sum of a value at each supervised position over each sequence, `[n]`."""
    batch = forward.batch
    total = values.new_zeros(len(batch.cu_seqlens) - 1)
    return total.index_add(0, batch.sequence[forward.supervised], values)
