"""Causal attention of one document on a CPU in bf16, with a backward that multiplies matrices.

SDPA's kernel for CPUs takes 17 to 28 us a token and layer backward in bf16, whatever the processor multiplies in
(SmolLM2's 9 heads of 64, documents of 60 to 500 tokens); in fp32 it takes less. Written as products of matrices, whose
kernels use AMX, it takes 6 to 13 us. Weights are made again from scores in bf16, as transformers' eager attention makes
them; over SmolLM2's 30 layers the gradient is as far from that of fp32 as SDPA's is (0.035 of its norm).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Rows of scores at a time, so that they stay in a core's cache.
_ROWS = 128
# Longer documents are SDPA's: scores no longer fit, and its kernel has more to do between two starts.
_LONGEST = 768


def suits(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether `attend` is the better way."""
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.shape[2] <= _LONGEST
        and query.shape == (*query.shape[:2], *value.shape[2:])
        and torch.is_grad_enabled()
        and (query.requires_grad or key.requires_grad or value.requires_grad)
    )


def attend(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """Attend causally within one document.

    Args:
        query: `[1, heads, T, width]`.
        key: `[1, key heads, T, width]`; each serves `heads / key heads` consecutive heads.
        value: As `key`.
        scaling: Factor of the scores; `1 / sqrt(width)` if None.

    Returns:
        `[1, heads, T, width]`.
    """
    out: Tensor = _Causal.apply(query, key, value, scaling or query.shape[-1] ** -0.5)  # type: ignore[no-untyped-call]
    return out


class _Causal(Function):
    """SDPA forward; backward by products of matrices, `_ROWS` queries at a time against all keys before them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.scaling = scaling
        grouped = query.shape[1] != key.shape[1]
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value = ctx.saved_tensors
        (_, heads, length, width), served = query.shape, key.shape[1]
        grouped = (served, heads // served, length, width)
        queries, outer, keys, values = query.reshape(grouped), gradient.reshape(grouped), key[0], value[0]
        of_query = torch.empty_like(queries)
        of_key, of_value = (torch.zeros(served, length, width) for _ in range(2))
        for start in range(0, length, _ROWS):
            end = min(length, start + _ROWS)
            # the heads that share a key are rows of one product
            q, g = (x[:, :, start:end].reshape(served, -1, width) for x in (queries, outer))
            weights = _weights(q, keys[:, :end], start, ctx.scaling)
            of_value[:, :end] += weights.mT @ g
            of_weights = g @ values[:, :end].mT
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            of_query[:, :, start:end] = (of_scores @ keys[:, :end]).view(served, -1, end - start, width)
            of_key[:, :end] += of_scores.mT @ q
        of_query *= ctx.scaling
        of_key *= ctx.scaling
        return of_query.view_as(query), of_key[None].to(key.dtype), of_value[None].to(value.dtype), None


def _weights(queries: Tensor, keys: Tensor, start: int, scaling: float) -> Tensor:
    """Softmax over the keys before each query: `[key heads, group * n, end]`, of queries `start` to `end`."""
    served, rows, _ = queries.shape
    end = keys.shape[1]
    scores = queries.new_empty(served, rows, end)
    torch.baddbmm(scores, queries, keys.mT, beta=0, alpha=scaling, out=scores)
    ahead = torch.full((end - start, end - start), float("-inf"), dtype=scores.dtype).triu_(1)
    scores.view(served, -1, end - start, end)[..., start:] += ahead
    return scores.softmax(-1)
