"""Which device a verb without a Trainer runs on, and what one with a Trainer ran on."""

import os
import platform
from typing import Any

import torch
from lightning.pytorch import Trainer
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


def machine(trainer: Trainer) -> dict[str, str]:
    """What a run was trained on, for `result.json`; no name of a host or a user."""
    kind = trainer.strategy.root_device.type
    name = torch.cuda.get_device_name(trainer.strategy.root_device) if kind == "cuda" else kind
    return {
        "device": f"{trainer.world_size} x {name}",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
