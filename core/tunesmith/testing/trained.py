"""A trained adapter over the tiny base, as the checks of adapters ask for it. Imports torch where it is used."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tunesmith.testing.check import Trial, fail
from tunesmith.testing.material import examples

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunesmith.data.batch import Batch
    from tunesmith.data.encoded_rows import EncodedRow
    from tunesmith.training.specialist import Specialist

MERGED_WITHIN = 1e-3
"""How far logits may be from those of training by another way of computing, in fp32: sums are in another order."""
_MOVED = 3 * MERGED_WITHIN


def trained(trial: Trial) -> "tuple[Specialist, Tensor]":
    """A model after two steps, and its logits; they must have moved, or nothing could be told of them.

    Raises:
        CheckFailedError: They have not.
    """
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    before = models.logits(module, probe(module))
    models.train(module, rows_of(module))
    after = models.logits(module, probe(module))
    if models.distance(after, before) < _MOVED:
        advice = "see `trained_tensors_get_gradients`"
        fail("two steps at a rate of 0.02 leave the logits where they were", "a model that learns", advice)
    return module, after


def rows_of(module: "Specialist") -> "list[EncodedRow]":
    """What it is trained on."""
    from tunesmith.testing import models

    return models.encoded(module, examples()[:6])


def probe(module: "Specialist") -> "Batch":
    """What its logits are looked at for."""
    from tunesmith.testing import models

    return models.batch_of(module, rows_of(module))


def plain_logits(model: Any, batch: "Batch") -> "Tensor":
    """Logits of a plain model, one document at a time, by its own forward; peft puts those of virtual tokens first."""
    import torch

    with torch.no_grad():
        rows = [batch.input_ids[start:end][None] for start, end in pairwise(batch.cu_seqlens.tolist())]
        return torch.cat([model(input_ids=row).logits[0, -row.shape[1] :] for row in rows]).float()


def flags(network: "nn.Module") -> dict[str, bool]:
    """What trains."""
    return {name: p.requires_grad for name, p in network.named_parameters()}
