"""A micro-batch without padding, and the accumulation window that it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from tunesmith.data.encoded import Unit
from tunesmith.data.example import Example


@dataclass(frozen=True, slots=True)
class Window:
    """What one optimizer step counts, on all ranks, known before the window starts.

    Args:
        counts: Number of each unit over all micro-batches of the window on all ranks; `step` holds the number of
            micro-batches themselves, ghosts left out.
        factor: Micro-batches that Lightning divides a window by (`accumulate_grad_batches`, also in a partial last
            window) times the ranks that DDP averages over; 0 for a ghost, so that none of its terms counts.
        index: Number of the window within the epoch, from 0.
        epoch: The epoch, from 0.
        beside: The same counts of rows that regularizers bring along, by the name of their term.
    """

    counts: Mapping[str, int]
    factor: int
    index: int = 0
    epoch: int = 0
    beside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def scale(self, total: Tensor, unit: Unit) -> Tensor:
        """What `training_step` has to return for a sum, so that the step sees sum / count (traps 1, 2, 4, 6)."""
        return total * (self.factor / max(1, self.counts[unit]))


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences one after the other; T tokens, n sequences, no padding.

    Args:
        input_ids: `[T]`, int64.
        position_ids: `[T]`, from 0 in each sequence.
        cu_seqlens: `[n + 1]`, int32: where each sequence begins, and T.
        loss_weights: `[T]`, float32: weight of predicting this token from those before it; 0 at each sequence's start.
        sequence_example: `[n]`: index in `examples` of the example that each sequence belongs to.
        examples: The examples, for metadata (ids, tasks, extras).
        max_seqlen: Length of the longest sequence.
        window: The optimizer step that this micro-batch is part of; None outside training.
        ghost: Whether it only keeps a rank in step with the others: its rows count elsewhere, its loss weights are all
            0, and nothing of it may enter a loss, a metric or a count.
        beside: Rows that regularizers bring along, by the name of their term, with counts of their own.
        targets: `[T]`: what is to be predicted at each place, where that is not what stands there; else None.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    loss_weights: Tensor
    sequence_example: Tensor
    examples: tuple[Example, ...]
    max_seqlen: int
    window: Window | None = None
    ghost: bool = False
    targets: Tensor | None = None
    beside: Mapping[str, "Batch"] = field(default_factory=dict)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Return a copy with all tensors on `device`; pinned ones are copied while this process goes on.

        Lightning asks for that with plain tensors only.
        """
        tensors = self._tensors().items()
        moved = {k: v.to(device, non_blocking=non_blocking or v.is_pinned()) for k, v in tensors}
        beside = {name: batch.to(device, non_blocking) for name, batch in self.beside.items()}
        return replace(self, **moved, beside=beside)

    def pin_memory(self) -> "Batch":
        """Return a copy in page-locked memory, for asynchronous copies to a GPU."""
        beside = {name: batch.pin_memory() for name, batch in self.beside.items()}
        return replace(self, **{k: v.pin_memory() for k, v in self._tensors().items()}, beside=beside)

    def tensors(self) -> list[Tensor]:
        """All of them, with those beside it."""
        return [*self._tensors().values(), *(tensor for batch in self.beside.values() for tensor in batch.tensors())]

    def _tensors(self) -> dict[str, Any]:
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}

    @property
    def sequence(self) -> Tensor:
        """Index of the sequence that each token belongs to, `[T]`."""
        lengths = self.cu_seqlens.diff()
        return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
