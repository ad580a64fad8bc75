"""Trained tensors in a safetensors file, written and read back name by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def write(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Write copies, so that tensors which share memory are whole."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)


def read(path: Path, own: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """A file's tensors, which are those of the model by name and shape.

    Raises:
        RecipeError: There is no such file, or its names or shapes are not the model's.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        msg = f"{path.parent} holds no {path.name}"
        raise RecipeError(msg)
    saved = load_file(path)
    different = sorted(set(saved) ^ set(own)) or sorted(name for name in own if own[name].shape != saved[name].shape)
    if different:
        msg = f"{path} does not fit: {len(different)} tensors differ in name or shape, first {different[0]}"
        raise RecipeError(msg)
    return saved


def restore(path: Path, own: "Mapping[str, Tensor]") -> None:
    """Copy a file's tensors into the model's own; raises as `read` does."""
    import torch

    saved = read(path, own)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(saved[name])
