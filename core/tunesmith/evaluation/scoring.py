"""Passes over padded batches: log-probabilities at supervised positions, and mean hidden states."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.data.encoded import Encoded
from tunesmith.training.attention import language_model

# Elements of the largest logits tensor that a batch may make (256 MB in float32), whatever the set's size (trap 33).
LOGITS_BUDGET = 2**26
TOKENS_AT_ONCE = 2**15
"""Tokens of a batch, answers included: their keys and values take 4 GiB in a model of 8 billion weights."""
_POSITIONS_AT_ONCE = 256

Progress = Callable[[int, int], None]


def pad_rows(rows: Sequence[Sequence[int]], pad: int, *, left: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and attention mask `[len(rows), longest]` of rows that are padded on one side."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        where = slice(width - len(row), None) if left else slice(0, len(row))
        ids[i, where] = torch.tensor(row, dtype=torch.long)
        mask[i, where] = 1
    return ids.to(device), mask.to(device)


def score(
    network: nn.Module, rows: Sequence[Encoded], batch_size: int, progress: Progress | None = None
) -> list[tuple[float, int]]:
    """Log-probability of each row's supervised tokens.

    Only numbers outlive a batch, logits exist at supervised positions only, and the logarithm of the softmax is taken
    in float32: the result depends neither on the batch size nor on the order (trap 31).

    Args:
        network: A causal model in evaluation mode with plain attention.
        rows: Sequences; a weight other than 0 marks a token that counts, by its number and not by its weight.
        batch_size: Most rows a pass.
        progress: Called with the rows done and their number.

    Returns:
        Sum in nats and number of tokens of each row; (0.0, 0) for a row that has none.
    """
    scores: list[tuple[float, int]] = [(0.0, 0)] * len(rows)
    done = 0
    for batch in _batches(rows, batch_size, language_model(network).config.get_text_config().vocab_size):
        logits, kept = _logits(network, [rows[i] for i in batch])
        for place, i in enumerate(batch):
            scores[i] = _sum_row(logits[place], kept, rows[i])
        del logits
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
    return scores


def mean_hidden(network: nn.Module, rows: Sequence[Sequence[int]], batch_size: int) -> Tensor:
    """Mean of the last hidden states of each row, `[len(rows), width]`, float32 on the CPU; zeros for an empty row."""
    out: Tensor | None = None
    order = sorted((i for i in range(len(rows)) if rows[i]), key=lambda i: len(rows[i]))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        ids, mask = pad_rows([rows[i] for i in batch], 0, left=False, device=device_of(network))
        options: dict[str, Any] = {"logits_to_keep": 1} if _keeps_logits(network) else {}
        result = network(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True, **options)
        hidden = result.hidden_states[-1][:, -ids.shape[1] :].float()  # methods with virtual tokens put them in front
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        means = ((hidden * weights).sum(1) / weights.sum(1)).cpu()
        if out is None:
            out = torch.zeros(len(rows), means.shape[1])
        out[batch] = means
    if out is None:
        out = torch.zeros(len(rows), language_model(network).config.get_text_config().hidden_size)
    return out


def device_of(network: nn.Module) -> torch.device:
    """Device that the inputs of `network` belong on."""
    return next(network.parameters()).device


def _targets(row: Encoded) -> list[int]:
    return [t for t, weight in enumerate(row.weights) if weight != 0 and t > 0]


def _batches(rows: Sequence[Encoded], batch_size: int, vocabulary: Any) -> Iterator[list[int]]:
    """Rows of similar length together; as many as their joint supervised positions leave room for."""
    batch: list[int] = []
    union: set[int] = set()
    for i in sorted((i for i in range(len(rows)) if _targets(rows[i])), key=lambda i: len(rows[i].ids)):
        wider = union.union(_targets(rows[i]))
        rows_then = len(batch) + 1
        too_wide = rows_then * len(wider) * vocabulary > LOGITS_BUDGET
        if batch and (len(batch) == batch_size or too_wide or rows_then * len(rows[i].ids) > TOKENS_AT_ONCE):
            yield batch
            batch, wider = [], set(_targets(rows[i]))
        batch.append(i)
        union = wider
    if batch:
        yield batch


def _logits(network: nn.Module, rows: Sequence[Encoded]) -> tuple[Tensor, dict[int, int]]:
    """Logits `[n, k, vocabulary]` and where in `k` the prediction of each target position lies."""
    # Right padding needs no position ids: with a causal mask nothing before the padding can see it.
    ids, mask = pad_rows([row.ids for row in rows], 0, left=False, device=device_of(network))
    width = ids.shape[1]
    positions = sorted({t for row in rows for t in _targets(row)})
    # Counted from the end: methods with virtual tokens put them in front.
    from_end = torch.tensor([t - 1 - width for t in positions], device=ids.device)
    if _keeps_logits(network):
        logits = network(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=from_end).logits
    else:
        logits = network(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, from_end]
    return logits, {t: k for k, t in enumerate(positions)}


def _sum_row(logits: Tensor, kept: dict[int, int], row: Encoded) -> tuple[float, int]:
    targets = _targets(row)
    total = 0.0
    for start in range(0, len(targets), _POSITIONS_AT_ONCE):
        part = targets[start : start + _POSITIONS_AT_ONCE]
        values = logits[[kept[t] for t in part]].float()
        wanted = torch.tensor([row.ids[t] for t in part], device=values.device)
        chosen = values.gather(1, wanted.unsqueeze(1)).squeeze(1)
        total += float((chosen - values.logsumexp(dim=-1)).cpu().double().sum())
    return total, len(targets)


def _keeps_logits(network: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(language_model(network).forward).parameters
