"""Regularizers that change the input embeddings while training (noise, adversarial steps)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.plugins.interfaces import Regularizer


@contextmanager
def perturbing(model: PreTrainedModel, regularizers: Sequence[Regularizer], batch: Batch) -> Iterator[None]:
    """Context in which the embeddings of `batch` pass through `regularizers`, padding left out."""

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if output.shape[0] == 1:
            return _perturbed(output[0], regularizers, batch)[None]
        # a padded batch holds each document in a row of its own
        place = (batch.sequence, batch.position_ids)
        return output.index_put(place, _perturbed(output[place], regularizers, batch))

    handle = model.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _perturbed(embeddings: Tensor, regularizers: Sequence[Regularizer], batch: Batch) -> Tensor:
    for regularizer in regularizers:
        embeddings = regularizer.perturb(embeddings, batch)
    return embeddings
