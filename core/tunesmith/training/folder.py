"""The folder of a trained adapter: its own format, tokenizer and template, modules of plugins beside it."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from tunesmith.plugins.interfaces import Adapter
from tunesmith.training import content
from tunesmith.training.attach import Attached

EXTRAS = "extras.safetensors"


def save(directory: Path, adapter: Adapter, attached: Attached) -> None:
    """Write what was trained and the tokenizer that it was trained with."""
    directory.mkdir(parents=True, exist_ok=True)
    adapter.save(attached.network, directory)
    attached.tokenizer.save_pretrained(directory)
    if state := attached.extras.state_dict():
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, directory / EXTRAS)


def load(directory: Path, adapter: Adapter, attached: Attached) -> None:
    """Read what `save` wrote into a model to which the same adapter is attached.

    Raises:
        RecipeError: Names or shapes are not this model's.
    """
    adapter.load(attached.network, directory)
    if state := attached.extras.state_dict():
        path = directory / EXTRAS
        saved = load_file(path) if path.is_file() else {}
        content.restore({name: saved[name] for name in sorted(saved)}, dict(sorted(state.items())), str(path))
