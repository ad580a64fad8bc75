"""Encoded rows to a ragged batch: sequences one after the other, no padding."""

from collections.abc import Sequence
from itertools import accumulate, chain

import torch
from torch import Tensor

from tunesmith.data.batch import Batch, Window
from tunesmith.data.drawing import Drawing
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow


def collate(
    rows: Sequence[EncodedRow],
    window: Window | None = None,
    ghost: bool = False,
    draw: Drawing | None = None,
    epoch: int = 0,
) -> Batch:
    """Lay the sequences of `rows` one after the other; a pair's two are neighbours.

    The first token of a sequence is never predicted, whatever its weight says: what stands before it belongs to
    another document (trap 9). Weights come from the encoding alone, never from token ids (traps 10, 11).

    Args:
        rows: The rows.
        window: The optimizer step that they are part of.
        ghost: Whether they count nothing.
        draw: Says what of a row an epoch learns; None learns all that has a weight.
        epoch: That epoch.
    """
    if draw is not None:
        rows = [draw(row, epoch) for row in rows]
    sequences = [sequence for row in rows for sequence in row.sequences]
    lengths = [len(sequence.ids) for sequence in sequences]
    starts = list(accumulate(lengths, initial=0))
    weights = torch.tensor(list(chain.from_iterable(s.weights for s in sequences)), dtype=torch.float32)
    weights[starts[:-1]] = 0.0
    if ghost:
        weights.zero_()
    owners = [index for index, row in enumerate(rows) for _ in row.sequences]
    return Batch(
        input_ids=torch.tensor(list(chain.from_iterable(s.ids for s in sequences)), dtype=torch.int64),
        position_ids=torch.cat([torch.arange(length) for length in lengths]),
        cu_seqlens=torch.tensor(starts, dtype=torch.int32),
        loss_weights=weights,
        sequence_example=torch.tensor(owners, dtype=torch.int64),
        examples=tuple(row.example for row in rows),
        max_seqlen=max(lengths),
        window=window,
        ghost=ghost,
        targets=_targets(sequences),
    )


def _targets(sequences: Sequence[Encoded]) -> Tensor | None:
    """What is to be predicted at each place; None where it is what stands there."""
    if all(sequence.targets is None for sequence in sequences):
        return None
    each = (s.ids if s.targets is None else s.targets for s in sequences)
    return torch.tensor(list(chain.from_iterable(each)), dtype=torch.int64)
