"""The folder of a trained adapter: its own format, tokenizer and template, modules of plugins beside it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.plugins.interfaces import Adapter
from tunesmith.training import content
from tunesmith.training.attach import Attached
from tunesmith.training.with_base import Pretrained

EXTRAS = "extras.safetensors"


def save(directory: Path, adapter: Adapter, attached: Attached) -> None:
    """Write what was trained and the tokenizer that it was trained with."""
    directory.mkdir(parents=True, exist_ok=True)
    adapter.save(attached.network, directory)
    if attached.probe.pool is not None and not (directory / "config.json").exists():
        attached.model.config.save_pretrained(directory)  # which says the classes
    attached.tokenizer.save_pretrained(directory)
    if state := _kept(attached.extras.state_dict()):
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, directory / EXTRAS)


def save_merged(
    directory: Path,
    adapter: Adapter,
    attached: Attached,
    pretrained: Pretrained,
    about: Mapping[str, Any],
) -> None:
    """Write whole weights, and what they were made of, as a folder that is a base; never half of one.

    Args:
        directory: Where; what lies there is replaced.
        adapter: Folds itself in; the network is used up.
        attached: What trained.
        pretrained: What the base was made of.
        about: What is noted beside it.
    """
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model: Any = adapter.merge(attached.network)
    model.save_pretrained(part)
    attached.tokenizer.save_pretrained(part)  # with the chat template that was trained on
    pretrained.write(part, **about)
    shutil.rmtree(directory, ignore_errors=True)
    part.rename(directory)


def load(directory: Path, adapter: Adapter, attached: Attached) -> None:
    """Read what `save` wrote into a model to which the same adapter is attached.

    Raises:
        RecipeError: Names or shapes are not this model's.
    """
    adapter.load(attached.network, directory)
    if state := _kept(attached.extras.state_dict()):
        path = directory / EXTRAS
        saved = _kept(load_file(path)) if path.is_file() else {}
        content.restore({name: saved[name] for name in sorted(saved)}, dict(sorted(state.items())), str(path))


def _kept(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model needs of the plugins' modules: a regularizer's has done its work when training ends."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("reg-")}
