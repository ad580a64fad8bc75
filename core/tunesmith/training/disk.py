"""What a file that cannot be written becomes: one message, on all ranks, and nothing half-written left behind."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Trainer
from safetensors import SafetensorError

from tunesmith.errors import RecipeError

PART = ".part"


class UnsavedError(RecipeError):
    """What was trained could not be written: the disk is full, or its place may not be written to."""


class StraightToFile(TorchCheckpointIO):
    """Writes a checkpoint into its file; Lightning makes it twice in memory and once more where TMPDIR points."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write the file whole and give it its name in one move; to a place that is no file, as Lightning does."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # whoever names a part moves it himself
        part = target if target.suffix == PART else target.with_name(f".{target.name}{PART}")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            if part != target:
                part.unlink(missing_ok=True)
            raise
        if part != target:
            part.replace(target)


def cause(error: BaseException) -> OSError | None:
    """What the file system said; torch raises an error of its own over it."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found


def complaint(error: BaseException, path: Path, needed: int | None = None) -> str:
    """One line: the file, what the file system said, how much room is needed and how much is left.

    Args:
        error: What was raised.
        path: The file, or the folder that it was to lie in.
        needed: Bytes.
    """
    said = cause(error)
    why = (said.strerror if said is not None else None) or str(error)
    there = next(place for place in (path, *path.parents) if place.exists())
    free = f"{shutil.disk_usage(there).free / 1e6:,.1f} MB are free"
    takes = f"it takes about {needed / 1e6:,.1f} MB, " if needed is not None else ""
    return f"{path} could not be written: {why} ({takes}{free})"


def checkpoint_bytes(trainer: Trainer) -> int:
    """Size of a checkpoint: trained tensors and the optimizer's."""
    tensors = list(trainer.lightning_module.state_dict().values())
    for optimizer in trainer.optimizers:
        tensors += [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Context in which files of `path` are written.

    Raises:
        UnsavedError: The file system refuses.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UnsavedError(complaint(error, path)) from error
