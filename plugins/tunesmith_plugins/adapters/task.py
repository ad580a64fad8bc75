"""What peft calls the task of a model, by which it knows its head and how it is run."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def task_of(model: "nn.Module") -> str | None:
    """Peft's task type: of a model for classes, whose head then trains whole and is saved; of one that generates; None.

    Args:
        model: transformers' model.
    """
    name = type(model).__name__
    if name.endswith("ForSequenceClassification"):
        return "SEQ_CLS"
    return "CAUSAL_LM" if hasattr(model, "generate") else None
