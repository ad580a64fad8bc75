"""Full fine-tuning: every weight trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import Adapter, RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Full(Adapter):
    """Trains every weight of the base, in fp32; saved as a plain model that transformers loads.

    There is no adapter to switch off: comparisons with the base load a second copy of it.

    Since 0.1.
    """

    switchable = False

    def load_options(self) -> dict[str, Any]:
        """Weights in fp32, whatever the precision: updates of a small learning rate vanish in 16 bit."""
        import torch

        return {"dtype": torch.float32}

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Let every weight train."""
        if getattr(model, "is_quantized", False):
            msg = "model.adapter: Full cannot train a quantised base; use LoRA, or a base that is not quantised"
            raise RecipeError(msg)
        return model.requires_grad_(True)

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write safetensors and configuration."""
        model.save_pretrained(directory)  # type: ignore[operator]

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the weights back, name by name; a tied weight is stored once.

        Raises:
            RecipeError: The files' names or shapes are not this model's.
        """
        import torch

        saved = _read(directory, model)
        own = model.state_dict()
        held = {own[name].data_ptr() for name in saved if name in own}
        different = [name for name in saved if name not in own or own[name].shape != saved[name].shape]
        different += [name for name in own if name not in saved and own[name].data_ptr() not in held]
        if different:
            msg = f"{directory} does not fit: {len(different)} tensors differ in name or shape, first {different[0]}"
            raise RecipeError(msg)
        with torch.no_grad():
            for name, tensor in saved.items():
                own[name].copy_(tensor)

    def loading(self, base: str) -> str:
        """A model of its own: the base is not needed."""
        return (
            "from transformers import AutoModelForCausalLM\n"
            "model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)"
        )


def _read(directory: Path, model: "nn.Module") -> dict[str, "Tensor"]:
    """The saved weights by the names that they have in memory."""
    import torch
    from safetensors.torch import load_file

    saved: dict[str, Tensor] = {}
    for path in sorted(directory.glob("*.safetensors")):
        if path.name != "extras.safetensors":
            saved |= load_file(path)
    if saved.keys() <= model.state_dict().keys():
        return saved
    # transformers writes some families as their authors did (each expert apart), and puts them together when it loads
    fresh, found = type(model).from_pretrained(  # type: ignore[attr-defined]
        directory, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, local_files_only=True
    )
    if found["missing_keys"] or found["unexpected_keys"] or found["mismatched_keys"]:
        return saved
    state: dict[str, Tensor] = fresh.state_dict()
    return state
