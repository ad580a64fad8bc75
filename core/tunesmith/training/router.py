"""The loss that keeps a mixture of experts balanced, by the family's own function, one document at a time.

Families add it to the loss of a whole padded batch, so that it depends on what a row is batched with, and on padding.
Here each document has its own, and a step takes the mean over the window's examples: the same for any layout of the
rows, and equal to the family's forward over one example (traps 4, 8).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, stack
from transformers import PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.errors import RecipeError
from tunesmith.training.forward import Term

NAME = "router"


@dataclass(frozen=True, slots=True)
class RouterLoss:
    """Load balancing (Fedus et al., 2021, arXiv:2101.03961, equations 4 to 6).

    Args:
        function: The family's own: router logits of all layers, number of experts, experts a token.
        experts: Number of experts.
        chosen: Experts that a token is sent to.
        coefficient: Factor of the loss.
    """

    function: Callable[..., Tensor]
    experts: int
    chosen: int
    coefficient: float

    def term(self, logits: tuple[Tensor, ...], batch: Batch) -> Term:
        """Sum over the documents of one micro-batch.

        Args:
            logits: Of each layer, `[T, experts]`.
            batch: Whose documents they are.
        """
        limits = pairwise(batch.cu_seqlens.tolist())
        documents = [tuple(layer[start:end] for layer in logits) for start, end in limits]
        losses = [self.function(document, self.experts, self.chosen) for document in documents]
        return Term(self.coefficient * stack(losses).sum(), "example")


def find_router_loss(model: PreTrainedModel, coefficient: float | None) -> RouterLoss | None:
    """Return the family's balancing loss where it is asked for, None where it is not.

    Args:
        model: The base.
        coefficient: What the recipe says; None for what the base's config says, which is mostly not to use it.

    Raises:
        RecipeError: The recipe asks for it, and the base has no router, or none with such a loss.
    """
    config: Any = model.config.get_text_config()
    if coefficient is None:
        # DBRX has it elsewhere in its config, and every family in the model
        own = getattr(config, "router_aux_loss_coef", None) or getattr(model, "router_aux_loss_coef", 0.0)
        coefficient = own if _outputs(config) else 0.0
    if not coefficient:
        return None
    function = getattr(sys.modules[type(model).__module__], "load_balancing_loss_func", None)
    experts, chosen = (getattr(model, name, None) for name in ("num_experts", "num_experts_per_tok"))
    if function is None or experts is None or chosen is None:
        name = type(model).__name__
        msg = f"model.router_aux_loss_coef is {coefficient:g}, but {name} has no experts to balance; leave it out"
        raise RecipeError(msg)
    return RouterLoss(function, experts, chosen, coefficient)


def _outputs(config: Any) -> bool:
    return bool(getattr(config, "output_router_logits", False))
