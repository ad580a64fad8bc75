"""Models that put a text into classes: whose their head is, and the way from hidden states to its logits."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.errors import DataError, RecipeError
from tunesmith.training.heads import Head, relative_error

Pool = Literal["last", "first", "mean"]
_LENGTHS = [5, 9]


def known_classes(config: Any) -> list[str]:
    """The classes that a base's own head knows, in order; none where it has no such head."""
    names = [str(name) for name in getattr(config, "architectures", None) or ()]
    if not any(name.endswith("ForSequenceClassification") for name in names):
        return []
    return [str(config.id2label[at]) for at in sorted(config.id2label)]


def check_order(known: Sequence[str], wanted: Mapping[int, str]) -> None:
    """Insist on the order in which the base's own head has the same classes.

    Raises:
        RecipeError: They stand in another order, so that its head would name them wrongly.
    """
    names = [wanted[at] for at in sorted(wanted)]
    if set(known) == set(names) and list(known) != names:
        msg = f"model.objective: the base's own head has the classes in another order; write them as {list(known)}"
        raise RecipeError(msg)


def renew_head(model: PreTrainedModel) -> None:
    """Draw the weights of all that is not the body anew, as the family does for a model from scratch."""
    body = set(model.base_model.modules())
    for module in model.modules():
        if module is not model and module not in body:
            for parameter in module.parameters(recurse=False):
                parameter._is_hf_initialized = False  # type: ignore[attr-defined]
            model._init_weights(module)  # type: ignore[no-untyped-call]


def trains_head(network: nn.Module, model: PreTrainedModel) -> bool:
    """Whether anything trains that is not in the model's body."""
    body = {id(parameter) for parameter in model.base_model.parameters()}
    return any(parameter.requires_grad and id(parameter) not in body for parameter in network.parameters())


def pooled(hidden: Tensor, batch: Batch, pool: Pool) -> Tensor:
    """What a head takes of each document, `[n, width]`.

    Args:
        hidden: Of all tokens, `[T, width]`.
        batch: Whose documents they are.
        pool: The last token's, the first token's, or the mean of all.
    """
    limits = batch.cu_seqlens.long()
    if pool != "mean":
        return hidden.index_select(0, limits[1:] - 1 if pool == "last" else limits[:-1])
    sums = hidden.new_zeros(len(limits) - 1, hidden.shape[1], dtype=torch.float32)
    sums = sums.index_add(0, batch.sequence, hidden.float())
    return (sums / limits.diff()[:, None]).to(hidden.dtype)


def class_head(model: PreTrainedModel, output: type) -> Head:
    """Logits by the model's own forward, its body replaced by one hidden state for each document: `[n, width]`.

    Args:
        model: A model with a head for classes.
        output: Class of what its body returns.
    """

    def head(hidden: Tensor) -> Tensor:
        body: Any = model.base_model
        states = {"last_hidden_state": hidden[:, None]}
        if (pooler := getattr(body, "pooler", None)) is not None:
            # ALBERT's is a layer alone, with its activation beside it
            plain = isinstance(pooler, nn.Linear)
            states["pooler_output"] = body.pooler_activation(pooler(hidden)) if plain else pooler(hidden[:, None])
        ids = torch.full((len(hidden), 1), _no_pad(model), device=hidden.device)
        body.forward = lambda *_, **__: output(**states)
        try:
            logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        finally:
            del body.forward
        return logits

    return head


@torch.no_grad()
def find_class_head(model: PreTrainedModel, tolerance: float) -> tuple[Head, Pool]:
    """Find which hidden state of a document gives the model's own logits; `model` is in evaluation mode.

    Raises:
        DataError: None does.
    """
    vocabulary, no_pad = model.config.get_text_config().vocab_size, _no_pad(model)
    pad = model.config.get_text_config().pad_token_id
    ids = (torch.arange(sum(_LENGTHS), device=model.device) * 7 + 3) % vocabulary
    ids = torch.where(ids == (-1 if pad is None else pad), no_pad, ids)
    documents = [part[None] for part in torch.split(ids, _LENGTHS)]
    expected = torch.cat([model(input_ids=document).logits for document in documents])
    outputs = [model.base_model(input_ids=document) for document in documents]
    hidden = torch.cat([output.last_hidden_state[0] for output in outputs])
    head = class_head(model, type(outputs[0]))
    batch = _batch(ids)
    pools: tuple[Pool, ...] = ("last", "first", "mean")
    for pool in pools:
        if _gives(head, pooled(hidden, batch, pool), expected, tolerance):
            return head, pool
    name = type(model).__name__
    msg = f"{name}: logits of classes from hidden states differ from the model's own: it cannot be trained"
    raise DataError(msg)


def _gives(head: Head, hidden: Tensor, expected: Tensor, tolerance: float) -> bool:
    try:
        logits = head(hidden)
    except Exception:  # what a family's own code does without its body is anybody's guess
        return False
    return logits.shape == expected.shape and relative_error(logits, expected) <= tolerance


def _no_pad(model: PreTrainedModel) -> int:
    """A token that no family takes for padding."""
    pad = model.config.get_text_config().pad_token_id
    return 3 if pad != 3 else 4


def _batch(ids: Tensor) -> Batch:
    limits = torch.tensor([0, *_LENGTHS], dtype=torch.int32, device=ids.device).cumsum(0, dtype=torch.int32)
    return Batch(
        input_ids=ids,
        position_ids=torch.cat([torch.arange(b - a, device=ids.device) for a, b in pairwise(limits.tolist())]),
        cu_seqlens=limits,
        loss_weights=torch.zeros(len(ids), device=ids.device),
        sequence_example=torch.arange(len(_LENGTHS), device=ids.device),
        examples=(),
        max_seqlen=max(_LENGTHS),
    )
