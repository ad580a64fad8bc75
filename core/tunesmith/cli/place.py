"""Where a run takes place, as Lightning resolves the recipe's options: which device, and how many processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities.distributed import _suggested_max_num_threads
from lightning.pytorch import Trainer

from tunesmith.cli.refusals import making
from tunesmith.training.fsdp2 import FSDP2

# Options that ask for devices, which may be another machine's.
_PLACING = ("accelerator", "devices", "num_nodes", "strategy", "plugins", "sync_batchnorm")
_SILENT: dict[str, Any] = {
    "logger": False,
    "callbacks": None,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run takes place.

    Args:
        trainer: Knows the run's limits; never runs.
        device: Of a process.
        processes: On all machines.
        machines: How many.
        sharded: Whether weights lie in shards.
        here: Whether this machine has the devices that the recipe asks for.
        guessed: Whether it takes all GPUs of a machine that is not this one: counted as one.
    """

    trainer: Trainer
    device: torch.device
    processes: int
    machines: int = 1
    sharded: bool = False
    here: bool = True
    guessed: bool = False

    @property
    def beside(self) -> int:
        """Processes on one machine."""
        return max(1, self.processes // self.machines)

    @property
    def threads(self) -> int:
        """Threads of each process; several on one machine get their share of its cores, unless the user says more."""
        if self.beside == 1 or "OMP_NUM_THREADS" in os.environ:
            return torch.get_num_threads()
        return _suggested_max_num_threads(self.beside)

    @property
    def crowding(self) -> float:
        """How many threads of the run share a core; 1 where none has to, and on GPUs."""
        cores = _suggested_max_num_threads(1)
        return max(1.0, self.beside * self.threads / cores) if self.device.type == "cpu" and self.beside > 1 else 1.0

    def __str__(self) -> str:
        machines = f" on {self.machines} machines" if self.machines > 1 else ""
        threads = f", {self.threads} thread{'s' if self.threads > 1 else ''} each" if self.device.type == "cpu" else ""
        return f"{self.processes} x {self.device.type}{machines}{threads}{', weights in shards' * self.sharded}"


def place_of(options: Mapping[str, Any], *, gpu: bool = False) -> Place:
    """Find out where `fit` would run.

    Args:
        options: The recipe's, for its Trainer.
        gpu: Whether a GPU is asked about that may not be here.

    Raises:
        RecipeError: Lightning refuses the options.
    """
    if _is_here(options, gpu):
        with making(options):
            trainer: Any = Trainer(**{**options, **_SILENT})
        strategy = trainer.strategy
        return Place(trainer, strategy.root_device, trainer.world_size, trainer.num_nodes, isinstance(strategy, FSDP2))
    rest = {key: value for key, value in options.items() if key not in _PLACING}
    with making(options):
        trainer = Trainer(**{**rest, **_SILENT}, accelerator="cpu", devices=1)
    count, machines = _count(options.get("devices")), int(options.get("num_nodes") or 1)
    sharded = isinstance(options.get("strategy"), FSDP2)
    device = torch.device("cuda" if gpu else "cpu")
    return Place(trainer, device, (count or 1) * machines, machines, sharded, here=False, guessed=count is None)


def _is_here(options: Mapping[str, Any], gpu: bool) -> bool:
    """Whether this machine has the devices that are asked for; what it lacks may be elsewhere."""
    wanted = options.get("accelerator") or "auto"
    cards = torch.cuda.device_count()
    if wanted in ("gpu", "cuda"):
        return 0 < (_count(options.get("devices")) or 1) <= cards
    if wanted == "mps" and not torch.backends.mps.is_available():
        return False
    return not gpu or (cards > 0 and wanted == "auto")


def _count(devices: Any) -> int | None:
    """How many devices are asked for; None for all that there are."""
    if isinstance(devices, list | tuple):
        return len(devices)
    if isinstance(devices, str) and "," in devices:
        return len([part for part in devices.split(",") if part.strip()])
    number = int(devices) if isinstance(devices, int | str) and str(devices).lstrip("-").isdigit() else -1
    return number if number > 0 else None
