"""Rotary frequencies that depend on a document's length: each document has its own, whatever it is batched with.

A `longrope` family (Phi-3 and 4 with 128k positions) turns documents beyond its original length by other frequencies.
transformers decides it once for a whole batch, by the greatest position in it: one long document would change all
others of its micro-batch (trap 35).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.data.batch import Batch


@contextmanager
def by_document(body: nn.Module, batch: Batch, rows: bool) -> Iterator[None]:
    """Context in which documents up to the original length keep the frequencies that they have alone.

    Args:
        body: The model without its head.
        batch: What runs through it.
        rows: Whether each document has a row of its own.
    """
    limit = _limit(body)
    if limit is None or batch.max_seqlen <= limit:
        yield
        return
    short = batch.cu_seqlens.diff() <= limit
    short = short[:, None] if rows else short[batch.sequence][None]

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], long: tuple[Tensor, ...]) -> Any:
        arguments = dict(zip(("x", "position_ids", "layer_type"), args, strict=False)) | kwargs
        arguments["position_ids"] = arguments["position_ids"].clamp(max=limit - 1)
        pairs = zip(module.forward(**arguments), long, strict=True)
        return tuple(torch.where(short[..., None], one, other) for one, other in pairs)

    with ExitStack() as stack:
        for module in body.modules():
            if _switches(module):
                handle = module.register_forward_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
        yield


def _switches(module: nn.Module) -> bool:
    kind = getattr(module, "rope_type", None)
    return "longrope" in (kind.values() if isinstance(kind, dict) else (kind,))


def _limit(body: nn.Module) -> int | None:
    """Tokens of the longest document that the original frequencies are for; None where there are no others."""
    parameters = getattr(getattr(body, "config", None), "rope_parameters", None) or {}
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    limits = [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min(limits, default=None)
