"""Which device a verb without a Trainer runs on."""

from typing import Any

import torch


def device(trainer_options: dict[str, Any]) -> torch.device:
    """What the recipe's `trainer.accelerator` means: the first GPU where there is one, unless it says cpu."""
    wanted = trainer_options.get("accelerator") or "auto"
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("cpu")
