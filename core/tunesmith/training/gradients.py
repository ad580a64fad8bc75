"""The norm of a gradient, the same for any layout: in fp32 torch's own depends on how weights are cut and ordered."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.distributed import ReduceOp, all_reduce
from torch.distributed.tensor import DTensor

from tunesmith.training.ledger import doubled, summing
from tunesmith.training.sharding import local

# Numbers of which squares are added in fp32: an error of a few 1e-8. All in fp64 takes a CPU four times as long.
_ROW = 1024
_SMALL = 1 << 16


def norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm over all gradients and processes, a scalar in fp64.

    Args:
        gradients: Whole ones, the same on all processes, and this process's shards of others.
    """
    if not gradients:
        return torch.zeros((), dtype=torch.float64)
    device = summing(gradients[0].device)
    total = _squared((g for g in gradients if not isinstance(g, DTensor)), device)
    if cut := [local(g) for g in gradients if isinstance(g, DTensor)]:
        of_shards = _squared(cut, device)
        all_reduce(of_shards, ReduceOp.SUM)
        total = total + of_shards
    return total.sqrt()


def _squared(gradients: Iterable[Tensor], device: torch.device) -> Tensor:
    """Sum of squares; many small tensors (LoRA's) are taken together."""
    flat = [gradient.detach().reshape(-1) for gradient in gradients]
    small = [part for part in flat if len(part) <= _SMALL]
    total = torch.zeros((), dtype=torch.float64, device=device)
    for part in (*([torch.cat(small)] if small else []), *(part for part in flat if len(part) > _SMALL)):
        whole = len(part) // _ROW * _ROW
        dtype = torch.promote_types(part.dtype, torch.float32)
        for rows in (part[:whole].view(-1, _ROW), part[None, whole:]):
            total = total + doubled(torch.linalg.vector_norm(rows, dim=1, dtype=dtype)).square().sum()
    return total
