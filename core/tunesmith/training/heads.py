"""The way from hidden states to logits, proved equal to the model's own.

Families put more than a matrix at the end (a soft-cap, a scale, a bias). The plain output embedding is taken where it
gives bit by bit what the model's own forward gives with its body left out, for large hidden states too: at the start of
training a soft-cap may change logits by less than their rounding. Else that forward runs; else the model is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tunesmith.errors import DataError

Head = Callable[[Tensor], Tensor]
# Hidden states times this: what is no matrix at the end shows.
_LARGE = 1000.0


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
        before = vars(body).get("forward")  # an adapter's own
        body.forward = lambda *_, **__: output(last_hidden_state=hidden[None])
        try:
            logits: Tensor = model(inputs_embeds=hidden[None], use_cache=False).logits[0]
        finally:
            del body.forward
            if before is not None:
                body.forward = before
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
    plain, own = plain_head(model), own_head(model, type(body))
    found = [head for head in (own, plain) if _gives(head, hidden, expected, tolerance)]
    if not found:
        msg = f"{type(model).__name__}: logits from hidden states differ from the model's own: it cannot be trained"
        raise DataError(msg)
    if len(found) == 1:
        return found[0]
    large = (hidden, hidden * _LARGE)
    return plain if all(torch.equal(plain(states).float(), own(states).float()) for states in large) else own


def _gives(head: Head, hidden: Tensor, expected: Tensor, tolerance: float) -> bool:
    try:
        logits = head(hidden)
    except Exception:  # what a family's own code does without its body is anybody's guess
        return False
    return logits.shape == expected.shape and relative_error(logits, expected) <= tolerance


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    got, expected = got.cpu().double(), expected.cpu().double()  # Apple's GPUs have no double precision
    return float((got - expected).norm() / expected.norm().clamp_min(1e-30))
