"""Small training passes that tell what a large one costs; they change no weight."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tunesmith.data.batch import Batch
from tunesmith.data.beside import EncodedOf
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.plan import MicroBatch
from tunesmith.training.attach import recompute
from tunesmith.training.attention import by_sdpa
from tunesmith.training.footprint import Footprint, LiveBytes, Size, footprint
from tunesmith.training.gradients import norm
from tunesmith.training.specialist import Specialist

# Lengths and supervised tokens of a probe's documents: tokens, squares of lengths and supervised tokens, each varied.
_PROBES = ((32, 4), (48, 4), (64, 4), (32, 12))


def training_pass(model: Specialist, batch: Batch) -> float:
    """Run a micro-batch forward and backward as `training_step` does; returns the gradient's norm.

    Args:
        model: Its gradients are added to.
        batch: With or without a window.
    """
    model.weighed(batch, model.terms(model.passes(batch))).backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return float(norm(gradients))


def size_of(rows: Sequence[EncodedRow], layout: str, virtual: int = 0) -> Size:
    """What a micro-batch of these rows computes; padded documents are as long as the longest.

    Args:
        rows: They have one sequence or more each.
        layout: How they run.
        virtual: Tokens that the adapter puts before each sequence.
    """
    sequences = [sequence for row in rows for sequence in row.sequences]
    lengths = [virtual + len(sequence.ids) for sequence in sequences]
    if layout == "padded":
        lengths = [max(lengths)] * len(lengths)
    return Size(sum(lengths), sum(s.supervised for s in sequences), sum(length**2 for length in lengths))


def size_with(micro: MicroBatch, rows: Sequence[EncodedRow], beside: EncodedOf, layout: str, virtual: int = 0) -> Size:
    """What a micro-batch computes with the rows beside it, whose pass is held together with its own."""
    parts = [size_of([rows[at] for at in micro.rows], layout, virtual)]
    parts += [size_of([beside[name][at] for at in own.rows], layout, virtual) for name, own in micro.beside.items()]
    return Size(*map(sum, zip(*parts, strict=True)))


def warm_up(model: Specialist, row: EncodedRow) -> None:
    """Run a small pass, which loads what is loaded when it is first used: kernels, and a copy of the base.

    Args:
        model: It has no gradients after it.
        row: Lends its tokens and its example.
    """
    training_pass(model, collate([_stretched(row, *_PROBES[0])]).to(model.device))
    model.zero_grad(set_to_none=True)


def pass_footprint(model: Specialist, row: EncodedRow, *, held: bool = False) -> Footprint:
    """Find what a training pass holds at any size, from small passes over what becomes of one row.

    Attention is counted as SDPA's. What runs in its place on a CPU (`causal.py`) holds tables that grow in three ways
    with a document's length, which no small pass shows; it never held more, and at most 6 % less.

    Args:
        model: Loaded, in the precision and with the kernels that are asked about. It has no gradients after it.
        row: Lends its tokens and its example.
        held: Whether all gradients are there already, and are not counted: as each layer's are added to shards at once.
    """
    copies = 1 if len(row.sequences) > 1 else 2
    batches = {}
    for length, supervised in _PROBES:
        rows = [_stretched(row, length, supervised)] * copies
        batches[size_of(rows, model.layout, model.adapter.virtual_tokens)] = collate(rows).to(model.device)
    warm_up(model, row)
    config = model.passes.model.config.get_text_config()
    wide = config.hidden_size * (2 if model.passes.model.dtype.itemsize == 2 else 4)
    # the selected state, and a gradient for each term that is summed in chunks
    each_further = wide * (2 + len(model.regularizers))
    chunk = model.passes.chunk_size
    with by_sdpa():
        return footprint(lambda size: _timeline(model, batches[size], held), list(batches), chunk, each_further)


def held_tensors(model: Specialist) -> list[Tensor]:
    """Parameters, buffers, scales of quantised weights, what regularizers keep, a second copy of the base if loaded."""
    modules: list[nn.Module] = [model, *model.copies()]
    found = kept_tensors(model)
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            found += [tensor, *_inside(getattr(tensor, "quant_state", None))]
        scales = (getattr(getattr(part, "state", None), "SCB", None) for part in module.modules())  # of 8 bit
        found += [scale for scale in scales if isinstance(scale, Tensor)]
    return found


def kept_tensors(model: Specialist) -> list[Tensor]:
    """Tensors that regularizers keep outside of modules, such as copies of trained weights."""
    found = []
    for regularizer in model.regularizers.values():
        for value in vars(regularizer).values():
            for each in value if isinstance(value, list | tuple) else [value]:
                inside = (
                    [each] if isinstance(each, Tensor) else vars(each).values() if hasattr(each, "__dict__") else ()
                )
                found += [part for part in tree_leaves(list(inside)) if isinstance(part, Tensor)]
    return found


@contextmanager
def checkpointing(model: Specialist, on: bool) -> Iterator[None]:
    """Context with `model.gradient_checkpointing` on or off, whatever the recipe says."""
    recompute(model.passes.model, on)
    try:
        yield
    finally:
        recompute(model.passes.model, model.gradient_checkpointing)


def _timeline(model: Specialist, batch: Batch, held: bool = False) -> list[int]:
    known = [*held_tensors(model), *batch.tensors()]
    if held:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
            known.append(parameter.grad)
    with LiveBytes(known) as counted:
        terms = model.terms(model.passes(batch))
        torch.stack([term.sum for term in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    del terms
    model.zero_grad(set_to_none=True)
    timeline: list[int] = counted.timeline
    return timeline


def _stretched(row: EncodedRow, length: int, supervised: int) -> EncodedRow:
    weights = (0.0,) * (length - supervised) + (1.0,) * supervised
    sequences = [
        replace(
            sequence,
            ids=(tuple(sequence.ids) * (length // len(sequence.ids) + 1))[:length],
            weights=weights,
            share=1.0,  # all of these are learnt
        )
        for sequence in row.sequences
    ]
    return EncodedRow(row.example, tuple(sequences))


def _inside(state: Any) -> list[Tensor]:
    if state is None:
        return []
    values = list(vars(state).values())
    nested = [_inside(value) for value in values if hasattr(value, "absmax")]
    return [value for value in values if isinstance(value, Tensor)] + [tensor for part in nested for tensor in part]
