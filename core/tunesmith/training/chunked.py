"""Sums and values over pieces of a batch whose logits would not fit into memory together."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tunesmith.training.forward import Chunk

Piece = tuple[Any, ...]
"""A chunk, and those of others at the same positions, or parts of tensors."""


def chunked_sum(term: Callable[..., Tensor], hidden: Tensor, pieces: Sequence[Piece]) -> Tensor:
    """Sum `term(*piece)` over the pieces with the logits of one piece in memory at a time.

    Where a term depends on nothing that trains but its piece of `hidden` (a frozen head), its gradient is taken at once
    and kept instead of the logits; else the term is computed again in backward.

    Args:
        term: Scalar of one piece.
        hidden: Inputs of the head at all positions, `[S, width]`, which the first chunk of each piece is a part of.
        pieces: The chunks of one pass, and of others at the same positions, or parts of tensors.
    """
    return torch.stack(_values(term, hidden, pieces)).sum()


def chunked_each(term: Callable[..., Tensor], hidden: Tensor, pieces: Sequence[Piece]) -> Tensor:
    """Values of `term(*piece)` at all positions, `[S]`, as `chunked_sum`.

    Args:
        term: Value of each position of one piece, `[c]`, that depends on no other position: its gradients by the
            positions are then told apart by their places, and can be taken before it is known what is made of them.
        hidden: As `chunked_sum`.
        pieces: As `chunked_sum`.
    """
    return torch.cat(_values(term, hidden, pieces))


def _values(term: Callable[..., Tensor], hidden: Tensor, pieces: Sequence[Piece]) -> list[Tensor]:
    part = pieces[0][0].hidden.detach().requires_grad_()
    first = term(pieces[0][0]._replace(hidden=part), *pieces[0][1:])
    if _ends_in(first, part) and not any(map(_trains, (other for piece in pieces for other in piece[1:]))):
        whole: Tensor = _AtOnce.apply(hidden, term, (first, part), pieces)  # type: ignore[no-untyped-call]
        return [whole]
    del first
    return [checkpoint(term, *piece, use_reentrant=False) for piece in pieces]


class _AtOnce(torch.autograd.Function):
    """Takes each piece's gradient in forward; backward only scales it: as a whole, or position by position."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, term: Callable[..., Tensor], first: tuple[Tensor, Tensor], pieces: Sequence[Piece]
    ) -> Tensor:
        # a tuple hides the first piece's graph from autograd, which would walk it again in backward
        value, part = first
        values, gradients = [value.detach()], [_gradient(value, part)]
        for chunk, *others in pieces[1:]:
            with torch.enable_grad():
                part = chunk.hidden.detach().requires_grad_()
                value = term(chunk._replace(hidden=part), *others)
            gradients.append(_gradient(value, part))
            values.append(value.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values) if values[0].ndim else torch.stack(values).sum()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        # a number of no dimension leaves the dtype as it is, and is not itself rounded to it
        factor = outer[0][:, None] if outer[0].ndim else outer[0]
        return (gradient * factor).to(gradient.dtype), None, None, None


def _gradient(value: Tensor, part: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(part)
    (gradient,) = torch.autograd.grad(value, part, torch.ones_like(value), allow_unused=True)
    return torch.zeros_like(part) if gradient is None else gradient


def _trains(other: Chunk | Tensor) -> bool:
    return (other.hidden if isinstance(other, Chunk) else other).requires_grad


def _ends_in(value: Tensor, leaf: Tensor) -> bool:
    """Whether `leaf` is all that the value's graph leads back to."""
    seen, todo = set(), [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and variable is not leaf:
            return False
        todo += [following for following, _ in node.next_functions]
    return True
