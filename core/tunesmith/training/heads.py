"""The way from hidden states to logits, proved equal to the model's own.

Families put more than a matrix at the end (a soft-cap, a scale, a bias). The plain output embedding is taken where it
gives what the model gives; else the model's own forward runs with its body left out; else the model is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tunesmith.errors import DataError

Head = Callable[[Tensor], Tensor]


def plain_head(model: PreTrainedModel) -> Head:
    """Logits by the output embedding alone."""
    # looked up at each call: an adapter may wrap the module after this
    return lambda hidden: model.get_output_embeddings()(hidden)  # type: ignore[no-untyped-call]


def own_head(model: PreTrainedModel, output: type) -> Head:
    """Logits by the model's own forward, its body replaced by the hidden states that are given.

    Args:
        model: A model with a head.
        output: Class of what its body returns.
    """

    def head(hidden: Tensor) -> Tensor:
        body = model.base_model
        body.forward = lambda *_, **__: output(last_hidden_state=hidden[None])
        try:
            logits: Tensor = model(inputs_embeds=hidden[None], use_cache=False).logits[0]
        finally:
            del body.forward
        return logits

    return head


@torch.no_grad()
def find_head(model: PreTrainedModel, tolerance: float) -> Head:
    """Return the simplest head that equals the model's own logits; `model` is in evaluation mode.

    Raises:
        DataError: Neither way gives the model's logits.
    """
    embeddings = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if model.base_model is model or embeddings is None:
        msg = f"{type(model).__name__} has no head that can be told from its body: it cannot be trained"
        raise DataError(msg)
    ids = torch.arange(3, 9, device=model.device)[None] % model.config.get_text_config().vocab_size
    expected = model(input_ids=ids, use_cache=False).logits[0]
    body = model.base_model(input_ids=ids, use_cache=False)
    hidden = body.last_hidden_state[0]
    for head in (plain_head(model), own_head(model, type(body))):
        try:
            logits = head(hidden)
        except (TypeError, AttributeError, ValueError, RuntimeError):
            continue
        if logits.shape == expected.shape and relative_error(logits, expected) <= tolerance:
            return head
    msg = f"{type(model).__name__}: logits from hidden states differ from the model's own: it cannot be trained"
    raise DataError(msg)


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    got, expected = got.double(), expected.double()
    return float((got - expected).norm() / expected.norm().clamp_min(1e-30))
