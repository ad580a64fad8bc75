"""A checkpoint in one file for each process: `shard-0.pt`, `shard-1.pt`, ... beside `meta.pt`, which is not sharded.

torch's own format for it (`torch.distributed.checkpoint`) describes itself in a pickled object, which runs code when it
is read; here all files load with `weights_only=True`. They fit the same number of processes, which a run that goes on
must have anyway: each has a random state of its own.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from tunesmith.errors import RecipeError
from tunesmith.training.averaging import UNAVERAGED
from tunesmith.training.randomness import gather
from tunesmith.training.sharding import local

META = "meta.pt"
_SHARDED = ("state_dict", UNAVERAGED, "optimizer_states")
_MARK = "shard of"


def is_sharded(path: Path) -> bool:
    """Whether a checkpoint is a folder with a file for each process."""
    return (path / META).is_file()


def read_meta(path: Path) -> dict[str, Any]:
    """What a checkpoint of either kind holds beside its tensors; of a file, they are mapped and not read."""
    content: dict[str, Any] = torch.load(
        path / META if is_sharded(path) else path, map_location="cpu", weights_only=True, mmap=True
    )
    return content


def whole(content: Any, keep: bool) -> Any:
    """Put the shards of all processes together, one tensor after the other; every process must call it.

    Args:
        content: Maps, lists and tensors, in the same order on all processes.
        keep: Whether this process wants the result; the others hold no more than one tensor at a time.
    """

    def join(tensor: DTensor) -> Tensor | None:
        full = tensor.full_tensor()
        return full.cpu() if keep else None

    return _each(content, join)


def write(content: dict[str, Any], path: Path, rank: int, world: int) -> None:
    """Write this process's shard, and in the first process all that is the same everywhere.

    Raises:
        OSError: On every process, where one of them could not write (a full disk).
    """
    error = None
    try:
        if rank == 0 and path.exists():  # of a run that was killed while it saved
            shutil.rmtree(path)
    except OSError as failure:
        error = _told(failure, path)
    _agree(error)
    try:
        path.mkdir(parents=True, exist_ok=True)
        mine = {key: _each(content[key], _marked) for key in _SHARDED if key in content}
        _save(mine, _place(path, rank))
        if rank == 0:
            _save({k: v for k, v in content.items() if k not in mine} | {"shards": world}, path / META)
    except OSError as failure:
        error = _told(failure, path)
    _agree(error)


def _told(failure: OSError, path: Path) -> tuple[Any, ...]:
    return failure.errno, failure.strerror, str(failure.filename or path)


def _agree(error: tuple[Any, ...] | None) -> None:
    """Raise on every process what one of them met."""
    for found in gather(error):
        if found is not None:
            raise OSError(*found)


def read(path: Path, rank: int, mesh: DeviceMesh) -> dict[str, Any]:
    """Read this process's shard and what is the same everywhere.

    Raises:
        RecipeError: It was made by another number of processes.
    """
    content = read_meta(path)
    made, world = content.pop("shards"), mesh.size()
    if made != world:
        msg = f"the checkpoint was made by {made} processes, this run has {world}; set trainer.devices"
        raise RecipeError(msg)
    mine = torch.load(_place(path, rank), map_location="cpu", weights_only=True, mmap=True)
    return content | {key: _unmarked(value, mesh) for key, value in mine.items()}


def publish(temporary: Path, name: str, targets: Sequence[Path]) -> None:
    """Give a finished folder its names, which are links: a folder cannot be put in another's place in one move.

    Args:
        temporary: The folder.
        name: What it is called from now on, beside `targets`; a number follows where that name is taken.
        targets: Links to it; folders that none of them points to any more are removed.
    """
    parent = temporary.parent
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    names = (name, *(f"{name}-{number}" for number in range(2, 10**6)))
    final = next(path for path in map(parent.joinpath, names) if not path.exists())
    temporary.rename(final)
    for target in targets:
        link = parent / f".{target.name}.link"
        link.unlink(missing_ok=True)
        link.symlink_to(final.name)
        link.replace(target)
    _sync(parent)
    used = {path.resolve() for path in parent.iterdir() if path.is_symlink()}
    for folder in parent.glob("step-*"):
        if folder.resolve() not in used:
            shutil.rmtree(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _save(content: Any, path: Path) -> None:
    with path.open("wb") as file:  # given a path, torch says of a full disk that a position was not expected
        torch.save(content, file)


def _place(path: Path, rank: int) -> Path:
    return path / f"shard-{rank}.pt"


def _each(content: Any, change: Callable[[DTensor], Any]) -> Any:
    if isinstance(content, DTensor):
        return change(content)
    if isinstance(content, dict):
        return {key: _each(value, change) for key, value in content.items()}
    return [_each(value, change) for value in content] if isinstance(content, list) else content


def _marked(tensor: DTensor) -> dict[str, Any]:
    (placement,) = tensor.placements
    # a clone: torch.save would write all of the storage that a shard is a part of
    part = local(tensor).detach().cpu().clone()
    return {_MARK: list(tensor.shape), "dim": getattr(placement, "dim", None), "part": part}


def _unmarked(content: Any, mesh: DeviceMesh) -> Any:
    if isinstance(content, dict) and _MARK in content:
        shape = torch.Size(content[_MARK])
        stride = torch.empty(shape, device="meta").stride()
        place = [Shard(content["dim"])]
        part = content["part"].to(mesh.device_type)
        return DTensor.from_local(part, mesh, place, run_check=False, shape=shape, stride=stride)
    if isinstance(content, dict):
        return {key: _unmarked(value, mesh) for key, value in content.items()}
    return [_unmarked(value, mesh) for value in content] if isinstance(content, list) else content
