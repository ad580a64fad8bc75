"""Which device a verb without a Trainer runs on."""

from typing import Any

import torch
from lightning.pytorch.accelerators import MPSAccelerator


def device(trainer_options: dict[str, Any]) -> torch.device:
    """What the recipe's `trainer.accelerator` means to Lightning, so that all verbs run where `fit` does.

    The first GPU where there is one, Apple's too, unless it says cpu.
    """
    wanted = trainer_options.get("accelerator") or "auto"
    if wanted in ("auto", "gpu", "mps") and MPSAccelerator.is_available():
        return torch.device("mps", 0)
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("cpu")
