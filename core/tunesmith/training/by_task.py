"""A pass over a micro-batch taken apart by task: the body runs once, head and loss on each task's examples."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.training.forward import Forward
from tunesmith.training.layouts import States
from tunesmith.training.passes import ModelForward, Passes, Supervision


def by_task(passes: Passes, forward: ModelForward, tasks: Mapping[str, str]) -> Iterator[tuple[str, ModelForward]]:
    """The examples of each task as a pass of their own; losses of the parts sum to that of the whole.

    Args:
        passes: How the model is run.
        forward: The pass over the whole micro-batch.
        tasks: The task of each source, by the source's name; examples of others come under an empty name.
    """
    of: dict[str, list[int]] = {}
    for at, example in enumerate(forward.batch.examples):
        of.setdefault(tasks.get(example.origin.source, ""), []).append(at)
    if len(of) == 1:
        yield next(iter(of)), forward
        return
    whole = _Whole(passes, forward)
    for task, examples in of.items():
        yield task, _Part(whole, examples)


class _Whole:
    """A pass with its baseline, which all parts take theirs from: as many runs as for the whole, on every rank."""

    def __init__(self, passes: Passes, forward: Forward) -> None:
        assert isinstance(forward, ModelForward)
        self.passes, self.forward = passes, forward

    @cached_property
    def baseline(self) -> "_Whole":
        return _Whole(self.passes, self.forward.baseline())


class _Part(ModelForward):
    """Some examples of a pass that has run."""

    def __init__(self, whole: _Whole, examples: list[int]) -> None:
        batch, tokens = part(whole.forward.batch, examples)
        hidden = whole.forward.hidden[tokens]
        super().__init__(whole.passes, batch, States(hidden), Supervision.of(batch, whole.passes.ahead))
        self._whole, self._examples = whole, examples

    def _head(self, hidden: Tensor) -> Tensor:
        return self._whole.forward._head(hidden)  # a baseline's leaves the adapter out

    def baseline(self) -> Forward:
        return _Part(self._whole.baseline, self._examples)


def part(batch: Batch, examples: list[int]) -> tuple[Batch, Tensor]:
    """Some examples of a micro-batch as one of their own, outside training.

    Args:
        batch: The micro-batch.
        examples: Their places in `batch.examples`, ascending.

    Returns:
        The part, and which of the whole's tokens are its own, `[T]`.
    """
    place = torch.full((len(batch.examples),), -1, device=batch.sequence_example.device)
    place[examples] = torch.arange(len(examples), device=place.device)
    owners = place[batch.sequence_example]
    kept = owners >= 0
    tokens = kept[batch.sequence]
    lengths = batch.cu_seqlens.diff()[kept]
    made = replace(
        batch,
        input_ids=batch.input_ids[tokens],
        position_ids=batch.position_ids[tokens],
        cu_seqlens=torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=lengths.dtype)]),
        loss_weights=batch.loss_weights[tokens],
        sequence_example=owners[kept],
        examples=tuple(batch.examples[at] for at in examples),
        max_seqlen=int(lengths.max()),
        targets=None if batch.targets is None else batch.targets[tokens],
        beside={},
    )
    return made, tokens
