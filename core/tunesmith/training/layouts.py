"""The two ways to run a micro-batch through a model, both giving the hidden states of its T tokens."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from tunesmith.data.batch import Batch

Layout = Literal["ragged", "padded"]


def ragged(body: nn.Module, batch: Batch) -> Tensor:
    """Run the documents as one row of T tokens; the attention keeps them apart. Returns `[T, width]`."""
    out = body(
        input_ids=batch.input_ids[None],
        position_ids=batch.position_ids[None],
        use_cache=False,
        cu_seq_lens_q=batch.cu_seqlens,
        cu_seq_lens_k=batch.cu_seqlens,
        max_length_q=batch.max_seqlen,
        max_length_k=batch.max_seqlen,
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden


def padded(body: nn.Module, batch: Batch) -> Tensor:
    """Run one document a row, padded on the right with token 0 behind a mask. Returns `[T, width]`."""
    inside = torch.zeros(len(batch.cu_seqlens) - 1, batch.max_seqlen, dtype=torch.bool, device=batch.input_ids.device)
    inside[batch.sequence, batch.position_ids] = True
    ids = torch.zeros_like(inside, dtype=torch.long)
    ids[inside] = batch.input_ids
    out = body(input_ids=ids, attention_mask=inside.long(), use_cache=False)
    hidden: Tensor = out.last_hidden_state[inside]
    return hidden


LAYOUTS: dict[Layout, Callable[[nn.Module, Batch], Tensor]] = {"ragged": ragged, "padded": padded}
