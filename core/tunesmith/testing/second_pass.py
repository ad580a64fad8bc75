"""Second passes that differ from first ones, as by dropout, but row by row. Imports torch."""

import zlib
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.plugins.interfaces import Regularizer
from tunesmith.training.passes import ModelForward, Passes, Supervision

_DROPPED = 0.05


class _Noise(Regularizer):
    """Other embeddings, by each document's row and length."""

    def perturb(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """Add to them."""
        noise, ends = torch.empty_like(embeddings), batch.cu_seqlens.tolist()
        for row, start, end in zip(batch.sequence_example.tolist(), ends[:-1], ends[1:], strict=True):
            seed = zlib.crc32(f"{batch.examples[row].id} {end - start}".encode())
            noise[start:end].uniform_(-_DROPPED, _DROPPED, generator=torch.Generator(noise.device).manual_seed(seed))
        return embeddings + noise


@dataclass(frozen=True, slots=True)
class DroppingPasses(Passes):
    """Passes whose `again()` stands for one with other dropout.

    The tiny base has no dropout, and its draws would depend on the rows beside each row.
    """

    def __call__(self, batch: Batch, plan: Supervision | None = None, perturbed: bool = True) -> ModelForward:
        """Run the model over one micro-batch; a second time, which brings a plan along, with noise."""
        plain = Passes(**{part.name: getattr(self, part.name) for part in fields(Passes)})
        if plan is not None and perturbed:
            return replace(plain, perturbations=(*plain.perturbations, _Noise()))(batch, plan)
        forward = plain(batch, plan, perturbed)
        forward._passes = self
        return forward

    @classmethod
    def of(cls, passes: Any) -> "DroppingPasses":
        """The same passes, with such second ones."""
        return cls(**{part.name: getattr(passes, part.name) for part in fields(Passes)})
