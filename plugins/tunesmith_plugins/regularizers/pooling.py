"""One hidden state for each row of a pass."""

from typing import TYPE_CHECKING

import torch

from tunesmith import Forward

if TYPE_CHECKING:
    from torch import Tensor


def pooled(forward: Forward, how: str, classes: bool) -> "tuple[Tensor, Tensor]":
    """A state for each row, `[rows, width]`, and which rows have one, `[rows]`; of two sequences the first counts.

    Args:
        forward: The pass.
        how: `last`: of the last token before what is learnt; `mean`: of all up to it; `text`: of all tokens.
        classes: Whether the model has a head for classes, which learns no token; `last` is what the head takes.
    """
    batch, hidden = forward.batch, forward.hidden
    ends, owner = batch.cu_seqlens.long(), batch.sequence_example
    first = torch.ones_like(owner, dtype=torch.bool)
    first[1:] = owner[1:] != owner[:-1]
    starts, stops = ends[:-1], ends[1:]
    last = stops - 1
    if how != "text" and not classes and len(forward.supervised):
        begins = torch.full_like(last, len(hidden)).scatter_reduce(
            0, batch.sequence[forward.supervised], forward.supervised, "amin"
        )
        last = torch.minimum(last, begins)
    kept = last > starts if how != "text" and not classes else torch.ones_like(first)
    if how == "last":
        states = forward.pooled() if classes else hidden[last]
    else:
        places = torch.arange(len(hidden), device=hidden.device)
        inside = (places <= last[batch.sequence])[:, None]
        sums = torch.zeros(len(last), hidden.shape[1], device=hidden.device)
        sums = sums.index_add(0, batch.sequence, torch.where(inside, hidden.float(), 0.0))
        states = sums / (last - starts + 1)[:, None]
    return states[first], kept[first]
