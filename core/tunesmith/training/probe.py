"""Which layout a model can be trust with, found by trying (traps 8, 44)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.errors import DataError
from tunesmith.training.attention import (
    FUNCTIONS,
    RAGGED,
    RAGGED_PLAIN,
    counting_windows,
    language_model,
    looking,
    plain_attention,
    plain_name,
    windowed_layers,
)
from tunesmith.training.classes import Pool, find_class_head
from tunesmith.training.heads import Head, find_head, relative_error
from tunesmith.training.kernels import fused_kernels
from tunesmith.training.layouts import LAYOUTS, Layout, to_both_sides
from tunesmith.training.modes import evaluating

_LONGEST_WINDOW = 256
_LONGEST_REASON = 300
# Norm of the difference over the norm. It finds documents at wrong positions, or with a part of themselves only; that
# they don't see each other is shown by derivatives, whose zeros do not depend on how large the weights are.
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
_TOLERANCE_16_BIT = 2e-2
# As large as weights of a model usually are.
_STIR = 0.02


@dataclass(frozen=True, slots=True)
class Probe:
    """What a model can do: its layout, the reason in one sentence, its head, and what of a document that head takes."""

    layout: Layout
    reason: str
    head: Head
    pool: Pool | None = None


@torch.no_grad()
def probe(
    network: nn.Module,
    allowed: Layout = "ragged",
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    *,
    classes: bool = False,
    both_ways: bool = False,
) -> Probe:
    """Try two short documents together and one by one, and choose the layout; sets the attention that it needs.

    Takes a backward pass over them, which leaves no gradients.

    Args:
        network: The model with its adapter; its modes and the random state stay as they were.
        allowed: `padded` where the adapter cannot run on ragged batches.
        autocast: Makes the context in which it is going to run; weights of two dtypes may not run without.
        classes: Whether its head takes a document, and not each token.
        both_ways: Whether attention is to look to both sides in a decoder.

    Raises:
        DataError: Documents influence each other in both layouts, or tokens are to see what is behind them and don't.
    """
    model = language_model(network)
    name = type(model).__name__
    batch = _two_documents(model)
    with evaluating(network), autocast():
        tolerance = _tolerance(model)
        with plain_attention(model):
            head, pool = find_class_head(model, tolerance) if classes else (find_head(model, tolerance), None)
        with looking(model, both_ways):
            with plain_attention(model):
                alone = _one_by_one(model.base_model, batch, both_ways)
                if both_ways and not _sees_behind(model, batch, alone):
                    msg = f"model.base: tokens of {name} cannot be made to see what is behind them"
                    raise DataError(msg)
            reason = "the adapter needs it"
            if allowed == "ragged":
                reason = _try_ragged(model, batch, alone, tolerance, both_ways)
                if not reason:
                    return Probe("ragged", f"{name} keeps packed documents apart", head, pool)
            error = relative_error(LAYOUTS["padded"](model.base_model, batch, both_ways=both_ways).hidden, alone)
    if error > tolerance:
        msg = f"model.base: documents influence each other in {name}, packed and padded: it cannot be trained here"
        raise DataError(msg)
    return Probe("padded", reason, head, pool)


@contextmanager
def stirred(added: Iterable[nn.Parameter]) -> Iterator[None]:
    """Context in which what an adapter has added to a model is not zero, as it begins: it would show nothing."""
    empty = [parameter for parameter in added if parameter.is_floating_point() and not bool(parameter.any())]
    for parameter in empty:
        pattern = torch.cos(torch.arange(parameter.numel(), device=parameter.device, dtype=torch.float32))
        parameter.data.copy_(_STIR * pattern.view(parameter.shape))
    try:
        yield
    finally:
        for parameter in empty:
            parameter.data.zero_()


def _tolerance(model: PreTrainedModel) -> float:
    """How far results may be apart in the number format that products are in here."""
    if torch.is_autocast_enabled(model.device.type):
        return _TOLERANCE_16_BIT
    tolerance = _TOLERANCE.get(model.dtype, _TOLERANCE_16_BIT)
    if any(parameter.dtype == torch.int8 for parameter in model.parameters()):
        return _TOLERANCE_16_BIT  # which inputs are rounded depends on those beside them
    return max(tolerance, 1e-3) if getattr(model, "is_quantized", False) else tolerance


def _try_ragged(model: PreTrainedModel, batch: Batch, alone: Tensor, tolerance: float, both_ways: bool) -> str:
    """Set the ragged attention and keep it if it is right; returns the reason where it is not."""
    name, before = type(model).__name__, model.config._attn_implementation
    ours = RAGGED if fused_kernels() else RAGGED_PLAIN
    if before in FUNCTIONS:  # an earlier probe, on another device
        before, ours = plain_name(model), before
    # a layer in shards has given its weights back when derivatives are taken; all was seen before it was cut
    sharded = any(isinstance(parameter, DTensor) for parameter in model.parameters())
    if sharded and ours != model.config._attn_implementation:
        return f"{name} was found to need it before its weights were laid in shards"
    try:
        if not model._can_set_attn_implementation():
            return f"{name} does not use transformers' attention interface"
        model.set_attn_implementation(ours)
        with counting_windows() as windows:
            error = relative_error(LAYOUTS["ragged"](model.base_model, batch, both_ways=both_ways).hidden, alone)
        seen = not sharded and _seen(model, batch, both_ways)
    except (RuntimeError, TypeError, ValueError, KeyError, NotImplementedError) as failure:
        said = shorten(str(failure).splitlines()[0], _LONGEST_REASON, placeholder=" ...").rstrip(".")
        reason = f"{name} does not run packed documents ({said})"
    else:
        # a long window cannot be tried: no document here is longer than it
        masked = len(windows) < windowed_layers(model)
        if error <= tolerance and not seen and not masked:
            return ""
        if error <= tolerance and not seen:
            model.set_attn_implementation(before)
            return f"{name} keeps the window of its attention in a mask, which packed documents have none of"
        how = "their derivatives reach into each other" if seen else f"hidden states off by {error:.1g}"
        reason = f"{name} lets packed documents influence each other ({how})"
    model.set_attn_implementation(before)
    return reason


@torch.enable_grad()
def _seen(model: PreTrainedModel, batch: Batch, both_ways: bool = False) -> bool:
    """Whether one of two packed documents has a derivative by the other's embeddings that is not exactly zero.

    In 16 bit, or with weights as small as they are at the start, states that pass from one document to the next may
    change hidden states by less than their rounding; a derivative has its own exponent.
    """
    leaves: list[Tensor] = []

    def as_leaf(_: nn.Module, __: Any, out: Tensor) -> Tensor:
        leaves.append(out.detach().requires_grad_())
        return leaves[-1].clone()  # some families write into it

    handle = model.get_input_embeddings().register_forward_hook(as_leaf)
    try:
        hidden = LAYOUTS["ragged"](model.base_model, batch, both_ways=both_ways).hidden
    finally:
        handle.remove()
    if not leaves or any(leaf.shape[:2] != (1, len(batch.input_ids)) for leaf in leaves):
        msg = f"the embeddings of {type(model).__name__} cannot be followed"
        raise RuntimeError(msg)
    limit = int(batch.cu_seqlens[1])
    outer = torch.cos(torch.arange(hidden.numel(), device=hidden.device)).view_as(hidden).to(hidden.dtype)
    for own, others in ((slice(limit, None), slice(limit)), (slice(limit), slice(limit, None))):
        by = torch.autograd.grad(hidden[own], leaves, outer[own], retain_graph=True, allow_unused=True)
        if any(part is not None and bool(part[0, others].count_nonzero()) for part in by):
            return True
    return False


def _one_by_one(body: nn.Module, batch: Batch, both_ways: bool = False) -> Tensor:
    limits, more = batch.cu_seqlens.tolist(), to_both_sides(both_ways)
    rows = [batch.input_ids[start:end][None] for start, end in pairwise(limits)]
    return torch.cat([body(input_ids=row, use_cache=False, **more).last_hidden_state[0] for row in rows])


def _sees_behind(model: PreTrainedModel, batch: Batch, alone: Tensor) -> bool:
    """Whether another last token of each document changes the states of its first."""
    limits = batch.cu_seqlens.long()
    ids = batch.input_ids.clone()
    ids[limits[1:] - 1] = (ids[limits[1:] - 1] + 1) % model.config.get_text_config().vocab_size
    changed = _one_by_one(model.base_model, replace(batch, input_ids=ids), both_ways=True)
    return bool((changed != alone)[limits[:-1]].any(-1).all())


def _two_documents(model: PreTrainedModel) -> Batch:
    """Two documents of different lengths, the second longer than a short sliding window."""
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None) or 0
    longer = window + 4 if window <= _LONGEST_WINDOW else 9
    return documents_of((5, max(longer, 9)), config.vocab_size).to(model.device)


def documents_of(lengths: Sequence[int], vocabulary: int) -> Batch:
    """A micro-batch of documents of these lengths, all of it trained, out of arbitrary ids below `vocabulary`."""
    total = sum(lengths)
    limits = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    weights = torch.ones(total)
    weights[limits[:-1].long()] = 0.0
    return Batch(
        input_ids=(torch.arange(total) * 7 + 3) % vocabulary,
        position_ids=torch.cat([torch.arange(n) for n in lengths]),
        cu_seqlens=limits,
        loss_weights=weights,
        sequence_example=torch.arange(len(lengths)),
        examples=(),
        max_seqlen=max(lengths),
    )
