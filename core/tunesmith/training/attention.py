"""Attention over ragged batches: every document sees itself only, and no padding is computed (traps 7, 35).

Importing this module registers `tunesmith_ragged` with transformers, and a second one that leaves all derivatives to
torch. The functions get the documents' limits as keyword arguments, by the names that transformers itself uses for
variable-length kernels; a recomputation in backward thus sees the limits of its own batch. Models that drop them or
never call the function are found by `probe.py` (trap 44).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from tunesmith.training.causal import attend, suits

RAGGED, RAGGED_PLAIN = "tunesmith_ragged", "tunesmith_ragged_plain"
# How many layers said that they have a window, while `counting_windows`; None otherwise.
_windows: ContextVar[list[int] | None] = ContextVar("windows", default=None)
_sdpa_alone: ContextVar[bool] = ContextVar("sdpa_alone", default=False)


def ragged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    written_out: bool = True,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within each document.

    Args:
        module: The attention layer.
        query: `[1, heads, T, width]`; `key` and `value` may have fewer heads.
        key: `[1, key heads, T, width]`.
        value: `[1, key heads, T, width]`.
        attention_mask: Always None; the documents' limits say everything.
        dropout: Probability of dropping an attention weight; models pass 0 in evaluation.
        scaling: Factor of the scores; `1 / sqrt(width)` if None.
        sliding_window: A token sees this many tokens, itself included; as many of those behind it too, where tokens
            look ahead.
        softcap: Scores become `softcap * tanh(score / softcap)`.
        s_aux: A learned sink for each head, `[heads]`: takes part in the softmax, contributes no value.
        is_causal: Whether tokens look back only; the layer's own setting if None.
        cu_seq_lens_q: `[n + 1]`, where each document begins, and T; best on the CPU, where no layer waits for it.
        max_length_q: Length of the longest document.
        written_out: Whether `causal.py` may take the derivative.

    Returns:
        The outputs, `[1, T, heads, width]`, and no weights.

    Raises:
        RuntimeError: The limits did not arrive, or keys are longer than queries (a prefix or a cache).
    """
    if cu_seq_lens_q is None or max_length_q is None or key.shape[2] != query.shape[2]:
        msg = f"{type(module).__name__} cannot run on a ragged batch: it got no document limits, or keys of other rows"
        raise RuntimeError(msg)
    if (seen := _windows.get()) is not None and sliding_window is not None:
        seen.append(sliding_window)
    causal = is_causal if is_causal is not None else bool(getattr(module, "is_causal", True))
    if sliding_window is not None and not causal and getattr(module, "is_causal", True):
        sliding_window += 1  # as transformers' masks count the window of a decoder that looks both ways
    if sliding_window is not None and sliding_window >= max_length_q:
        sliding_window = None
    plain = softcap is not None or s_aux is not None
    written_out = written_out and not _sdpa_alone.get()
    lengths = cu_seq_lens_q.diff().tolist()
    # split, not slices: its backward is one concatenation instead of a zero-filled copy of all T tokens a document;
    # along the tokens as projections wrote them, `[1, T, heads, width]`, so that what is put together needs no copy
    documents = zip(*(torch.split(x.transpose(1, 2), lengths, 1) for x in (query, key, value)), strict=True)
    outputs = []
    for document in documents:
        q, k, v = (x.transpose(1, 2) for x in document)
        narrow = sliding_window is not None and sliding_window < q.shape[2]
        mask = _window_mask(q, sliding_window, causal) if narrow and sliding_window is not None else None
        if plain:
            outputs.append(_softmax_attention(q, k, v, causal, mask, dropout, scaling, softcap, s_aux))
        elif written_out and causal and mask is None and not dropout and suits(q, k, v):
            outputs.append(attend(q, k, v, scaling))
        else:
            outputs.append(
                F.scaled_dot_product_attention(
                    q, k, v, mask, dropout, causal and mask is None, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
                )
            )
    return torch.cat([x.transpose(1, 2) for x in outputs], 1), None


def _window_mask(query: Tensor, window: int, causal: bool = True) -> Tensor:
    position = torch.arange(query.shape[2], device=query.device)
    distance = position[:, None] - position
    return (distance >= 0) & (distance < window) if causal else distance.abs() < window


def _softmax_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool,
    mask: Tensor | None,
    dropout: float,
    scaling: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Write the scores out: no fused kernel has a soft-cap or sinks."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = (q @ k.transpose(2, 3)) * (scaling if scaling is not None else q.shape[-1] ** -0.5)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is None and causal:
        mask = _window_mask(q, q.shape[2])
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if sinks is not None:
        column = sinks.to(scores.dtype).reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1)
        weights = torch.cat([scores, column], -1).softmax(-1, dtype=torch.float32)[..., :-1]
    else:
        weights = scores.softmax(-1, dtype=torch.float32)
    return F.dropout(weights.to(q.dtype), dropout) @ v


def _plain_derivatives(*args: Any, **kwargs: Any) -> tuple[Tensor, None]:
    return ragged_attention(*args, **{**kwargs, "written_out": False})


FUNCTIONS: dict[str, Callable[..., tuple[Tensor, None]]] = {
    RAGGED: ragged_attention,
    RAGGED_PLAIN: _plain_derivatives,
}
for _name, _function in FUNCTIONS.items():
    AttentionInterface.register(_name, _function)


@contextmanager
def by_sdpa() -> Iterator[None]:
    """Context in which no model takes `causal.py`: what attention holds is then linear in the tokens, at any length."""
    token = _sdpa_alone.set(True)
    try:
        yield
    finally:
        _sdpa_alone.reset(token)


@contextmanager
def looking(model: PreTrainedModel, both_ways: bool) -> Iterator[None]:
    """Context in which a decoder makes masks that let tokens see what is behind them, if it is to look both ways.

    Masks are made in forward; what needs none is told by a keyword argument, which a recomputation in backward repeats.
    """
    if not both_ways:
        yield
        return
    held: list[Any] = [model.config, model.base_model.config, model.config.get_text_config()]
    configs = {id(config): config for config in held}
    before = [(config, getattr(config, "is_causal", None)) for config in configs.values()]
    try:
        for config, _ in before:
            config.is_causal = False
        yield
    finally:
        for config, value in before:
            if value is None:
                del config.is_causal
            else:
                config.is_causal = value


@contextmanager
def counting_windows() -> Iterator[list[int]]:
    """Context in which each call with a sliding window is noted; gives the list of windows."""
    seen: list[int] = []
    token = _windows.set(seen)
    try:
        yield seen
    finally:
        _windows.reset(token)


def windowed_layers(model: PreTrainedModel) -> int:
    """Number of layers that see a part of what is before a token only, as the model's config says."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
    window = getattr(config, "sliding_window", None)
    return int(config.num_hidden_layers) if window and getattr(config, "use_sliding_window", True) else 0


def language_model(network: nn.Module) -> PreTrainedModel:
    """Return transformers' own model inside what an adapter attached."""
    return next(module for module in network.modules() if isinstance(module, PreTrainedModel))


def plain_name(model: PreTrainedModel) -> str:
    """The attention that transformers itself would choose."""
    return "sdpa" if model._supports_sdpa else "eager"


def kernel(model: PreTrainedModel, layout: str) -> str:
    """What computes the attention of training, in words."""
    if layout != "ragged":
        return f"transformers' {plain_name(model)}"
    config = model.config.get_text_config()
    sinks = any(name.endswith("sinks") for name, _ in model.named_parameters())
    if sinks or getattr(config, "attn_logit_softcapping", None) is not None:
        return "a softmax written out, document by document"
    return "SDPA, document by document"


@contextmanager
def plain_attention(network: nn.Module) -> Iterator[None]:
    """Context in which the model uses transformers' own attention, for generation and padded batches.

    Left in place, the ragged attention knows no padding mask: left-padded generation was wrong in 3 of 3 rows.
    """
    model = language_model(network)
    own = model.config._attn_implementation
    if own not in FUNCTIONS:
        yield
        return
    model.set_attn_implementation(plain_name(model))
    try:
        yield
    finally:
        model.set_attn_implementation(own)
