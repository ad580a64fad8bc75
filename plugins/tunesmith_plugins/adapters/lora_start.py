"""LoRA that starts from the base's own directions (PiSSA, OLoRA), written as plain LoRA.

peft takes the updates' first value out of the base: `W = W' + s B0 A0`, and trains `W' + s B A`. What was learned is
`s (B A - B0 A0)`, an update of the untouched base of twice the rank: `s [B, -B0] [A; A0]`. So it is written, and every
library that knows LoRA loads it; peft alone would take `W'` out of the base again, where it knows the method.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tunesmith import RecipeError
from tunesmith_plugins.adapters import files

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAME = "default"
_START = "tunesmith_start"


class _Start(NamedTuple):
    """The first value of an update, `[rank, in]` and `[out, rank]`, on the CPU."""

    down: "Tensor"
    up: "Tensor"


def note(network: "nn.Module", key: str, init: str) -> None:
    """Remember with each layer what its update began with.

    Args:
        network: As peft has just made it.
        key: The recipe's, that says how it begins.
        init: How.

    Raises:
        RecipeError: A layer holds its weights otherwise than a linear one.
    """
    from peft.tuners.lora import Linear

    for name, layer in _layers(network):
        linear: bool = isinstance(layer, Linear)
        if not linear:
            msg = f"{key} is {init}, which is for linear layers alone; {name} is none: leave it out of targets"
            raise RecipeError(msg)
        weights = (part[_NAME].weight.detach().cpu().clone() for part in (layer.lora_A, layer.lora_B))
        setattr(layer, _START, _Start(*weights))


def save(network: Any, directory: Path) -> None:
    """Write plain LoRA of twice the rank over the untouched base."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(network, save_embedding_layers=False)
    for name, layer in _layers(network):
        start, scaling = getattr(layer, _START), layer.scaling[_NAME]
        down, up = (tensors[f"{name}.{part}.weight"].cpu() for part in ("lora_A", "lora_B"))
        tensors[f"{name}.lora_A.weight"] = _stack(down, start.down, 0)
        tensors[f"{name}.lora_B.weight"] = _stack(scaling * up, -scaling * start.up, 1)
    network.save_pretrained(directory, save_embedding_layers=False)
    files.write(directory / "adapter_model.safetensors", tensors)
    config = network.peft_config[_NAME]
    kept = {name: getattr(config, name) for name in ("r", "lora_alpha", "use_rslora", "init_lora_weights")}
    rank = 2 * config.r
    # the scaling is in the tensors: alpha / rank is 1
    for name, value in {"r": rank, "lora_alpha": rank, "use_rslora": False, "init_lora_weights": True}.items():
        setattr(config, name, value)
    mode, config.inference_mode = config.inference_mode, True
    try:
        config.save_pretrained(directory)
    finally:
        for name, value in kept.items():
            setattr(config, name, value)
        config.inference_mode = mode


def load(network: Any, directory: Path) -> None:
    """Read back what `save` wrote; the base gives up what the file's updates began with.

    Raises:
        RecipeError: Names or shapes are not the model's.
    """
    import torch
    from peft import get_peft_model_state_dict

    own = get_peft_model_state_dict(network, save_embedding_layers=False)
    wide = dict(own)
    for name, _ in _layers(network):
        wide |= {f"{name}.lora_A.weight": torch.cat([own[f"{name}.lora_A.weight"]] * 2, 0)}
        wide |= {f"{name}.lora_B.weight": torch.cat([own[f"{name}.lora_B.weight"]] * 2, 1)}
    files.restore(directory / "adapter_model.safetensors", wide)
    with torch.no_grad():
        for name, layer in _layers(network):
            rank, scaling, before = layer.r[_NAME], layer.scaling[_NAME], getattr(layer, _START)
            down, up = wide[f"{name}.lora_A.weight"], wide[f"{name}.lora_B.weight"] / scaling
            own[f"{name}.lora_A.weight"].copy_(down[:rank])
            own[f"{name}.lora_B.weight"].copy_(up[:, :rank])
            start = _Start(down[rank:].cpu().clone(), -up[:, rank:].cpu().clone())
            change = scaling * (before.up @ before.down - start.up @ start.down)
            weight = layer.get_base_layer().weight
            weight += (change.T if layer.fan_in_fan_out else change).to(weight)
            setattr(layer, _START, start)


def _stack(one: "Tensor", other: "Tensor", dim: int) -> "Tensor":
    import torch

    return torch.cat([one, other.to(one)], dim)


def _layers(network: "nn.Module") -> Iterator[tuple[str, Any]]:
    """Layers with an update, by the names that peft saves them under."""
    from peft.tuners.lora import LoraLayer

    for name, module in network.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module
