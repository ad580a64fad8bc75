"""The two ways to run a micro-batch through a model, both giving the hidden states of its T tokens."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from tunesmith.data.batch import Batch
from tunesmith.training.rotary import by_document

Layout = Literal["ragged", "padded"]


class States(NamedTuple):
    """What a model's body gives for the T tokens of a micro-batch.

    Attributes:
        hidden: Last hidden states, `[T, width]`.
        router: Router logits of each layer that has experts, `[T, experts]`; empty unless asked for.
    """

    hidden: Tensor
    router: tuple[Tensor, ...] = ()


def ragged(body: nn.Module, batch: Batch, router: bool = False, both_ways: bool = False) -> States:
    """Run the documents as one row of T tokens; the attention keeps them apart.

    Args:
        body: The model without its head.
        batch: The documents.
        router: Whether logits of routers are wanted.
        both_ways: Whether tokens are to see what is behind them in a decoder, within `attention.looking`.
    """
    limits = batch.cu_seqlens.cpu()  # each layer reads them: off a GPU once, not once a layer
    with by_document(body, batch, rows=False):
        out = body(
            input_ids=batch.input_ids[None],
            position_ids=batch.position_ids[None] + first_position(body),
            use_cache=False,
            cu_seq_lens_q=limits,
            cu_seq_lens_k=limits,
            max_length_q=batch.max_seqlen,
            max_length_k=batch.max_seqlen,
            **_asking(router, both_ways),
        )
    return States(out.last_hidden_state[0], _routed(out, router))


def first_position(body: nn.Module) -> int:
    """The position of a text's first token: RoBERTa's come behind that of padding."""
    table = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding: int | None = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def positions(model: Any) -> int | None:
    """Tokens of a text that a model of transformers has positions for; None where nothing says."""
    most: int | None = getattr(model.config, "max_position_embeddings", None)
    return None if most is None else most - first_position(model.base_model)


def padded(body: nn.Module, batch: Batch, router: bool = False, both_ways: bool = False) -> States:
    """Run one document a row, padded on the right with token 0 behind a mask; args as `ragged`."""
    inside = torch.zeros(len(batch.cu_seqlens) - 1, batch.max_seqlen, dtype=torch.bool, device=batch.input_ids.device)
    inside[batch.sequence, batch.position_ids] = True
    ids = torch.zeros_like(inside, dtype=torch.long)
    ids[inside] = batch.input_ids
    with by_document(body, batch, rows=True):
        out = body(input_ids=ids, attention_mask=inside.long(), use_cache=False, **_asking(router, both_ways))
    logits = tuple(layer[inside.flatten()] for layer in _routed(out, router))
    return States(out.last_hidden_state[inside], logits)


def _asking(router: bool, both_ways: bool) -> dict[str, bool]:
    return ({"output_router_logits": True} if router else {}) | to_both_sides(both_ways)


def to_both_sides(both_ways: bool) -> dict[str, bool]:
    """What tells the attention of each layer that tokens may see what is behind them."""
    return {"is_causal": False} if both_ways else {}


def _routed(out: Any, router: bool) -> tuple[Tensor, ...]:
    if not router:
        return ()
    return tuple(layer.reshape(-1, layer.shape[-1]) for layer in out.router_logits)


LAYOUTS: dict[Layout, Callable[..., States]] = {"ragged": ragged, "padded": padded}
