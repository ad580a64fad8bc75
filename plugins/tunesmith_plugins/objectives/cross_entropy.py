"""Cross-entropy with its derivative: one table of probabilities instead of three tables of the vocabulary's width.

torch's keeps log-probabilities, fills a table with zeros for the targets' gradient, and makes a third one in backward.
Here the softmax is the gradient but for the target's column (as in Liger, Hsu et al. 2024, arXiv:2410.10989).
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from torch import Tensor


class _Each(Function):
    @staticmethod
    def forward(ctx: Any, logits: "Tensor", targets: "Tensor") -> "Tensor":
        row = torch.arange(len(targets), device=targets.device)
        highest, place = logits.max(-1)
        table = torch.softmax(logits, -1, dtype=torch.float32)
        # the normaliser by way of the highest probability, which is never too small for a logarithm
        normaliser = highest.float() - table[row, place].log()
        losses = normaliser - logits[row, targets].float()
        table[row, targets] -= 1
        ctx.save_for_backward(table)
        ctx.dtype = logits.dtype
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: "Tensor") -> Any:
        (table,) = ctx.saved_tensors
        # in place: a second backward over the same graph is refused by torch
        return table.mul_(gradient[:, None]).to(ctx.dtype), None


def cross_entropies(logits: "Tensor", targets: "Tensor") -> "Tensor":
    """Negative log-probability of each target, `[n]`, in fp32 whatever the logits are.

    Args:
        logits: `[n, vocabulary]`.
        targets: Ids, `[n]`.
    """
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return F.cross_entropy(logits.float(), targets, reduction="none")
    losses: Tensor = _Each.apply(logits, targets)  # type: ignore[no-untyped-call]
    return losses
