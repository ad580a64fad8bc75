"""Noise on the embeddings while training."""

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Adapter, Objective, Regularizer
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor, nn


class NEFTune(Regularizer):
    """Uniform noise on the input embeddings while training (Jain et al. 2023, arXiv:2310.05914).

    To each number of a document's embeddings, L tokens of width d, is added

        alpha / sqrt(L * d) * u,   u uniform in [-1, 1)

    so that the noise of a document is about alpha / sqrt(3) long whatever its length. L is the document's own length,
    prompt included, never that of the padded micro-batch, as in other implementations: a row's noise does not depend on
    the rows beside it. It is drawn anew in each epoch, from a generator seeded by seed, epoch and row: batches,
    accumulation, processes and a resumed run change nothing. There is none in validation and generation, nor in the
    base's passes. It has no term of the loss, and nothing is logged.

    Since 0.13.

    Args:
        alpha: Length of the noise; the paper tries 5, 10 and 15.
    """

    def __init__(self, alpha: float = 5.0) -> None:
        self.alpha = alpha

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """The paper's."""
        return [cls()]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse an amount that is none."""
        check_number(self, "alpha", above=True)

    def setup(self, model: "nn.Module") -> None:
        """Take the run's seed; later torch's is another in each process."""
        import torch

        self._seed = torch.initial_seed()

    def perturb(self, embeddings: "Tensor", batch: Any) -> "Tensor":
        """Add noise to each document."""
        import torch

        noise = torch.empty_like(embeddings, dtype=torch.float32)
        epoch = 0 if batch.window is None else batch.window.epoch
        numbers: Counter[int] = Counter()  # of the documents of each row
        parts = torch.split(noise, batch.cu_seqlens.diff().tolist())
        for row, part in zip(batch.sequence_example.tolist(), parts, strict=True):
            seed = _seed(self._seed, epoch, batch.examples[row].id, numbers[row])
            bound = self.alpha / math.sqrt(part.numel())
            part.uniform_(-bound, bound, generator=torch.Generator(part.device).manual_seed(seed))
            numbers[row] += 1
        return embeddings + noise.to(embeddings.dtype)


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "big")
