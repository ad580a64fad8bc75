"""Full fine-tuning: every weight trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import Adapter, RecipeError

if TYPE_CHECKING:
    from torch import nn


class Full(Adapter):
    """Trains every weight of the base, in fp32; saved as a plain model that transformers loads.

    There is no adapter to switch off: comparisons with the base load a second copy of it.
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
        """Read the weights back."""
        import torch
        from safetensors.torch import load_model

        before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        files = sorted(directory.glob("*.safetensors"))
        if len(files) != 1:
            from transformers import AutoModelForCausalLM

            state = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).state_dict()
            model.load_state_dict(state)
        else:
            load_model(model, files[0])
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[name])
