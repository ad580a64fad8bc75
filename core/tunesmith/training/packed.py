"""Which layers of a base are packed to 4 or 8 bit by bitsandbytes, and which stay whole."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert

# Scales are kept for blocks of 64 weights of a row; the CPU's kernels read no other widths.
_BLOCK = 64


def left_whole(outline: Any) -> list[str]:
    """Names of what a quantisation has to leave out, as `llm_int8_skip_modules` takes them.

    These are transformers' own exceptions (the head, tied weights), which a list of ours would replace, and layers of
    widths that have no whole blocks: the gates and routers of mixtures, one output or one for each expert.

    Args:
        outline: The base; its weights are not looked at and may be on the meta device.
    """
    linear = {name: layer for name, layer in outline.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
    odd = [name for name, layer in linear.items() if any(width % _BLOCK for width in layer.weight.shape)]
    fitting = linear.keys() - set(odd)
    whole = set(get_keys_to_not_convert(outline))
    return sorted(whole | {_ending(name, fitting) for name in odd})


def packed_share(model: nn.Module) -> float:
    """The share of a base's weights that is packed, in [0, 1]; what an adapter trains does not count."""
    sizes = [(parameter, numel(parameter)) for parameter in model.parameters() if not parameter.requires_grad]
    return sum(n for p, n in sizes if _is_packed(p)) / max(1, sum(n for _, n in sizes))


def numel(parameter: nn.Parameter) -> int:
    """Number of weights; of a packed tensor, of what it stands for."""
    state = getattr(parameter, "quant_state", None)
    return int(torch.Size(state.shape).numel()) if state is not None else parameter.numel()


def _ending(name: str, fitting: Iterable[str]) -> str:
    """What a layer is called in every decoder layer, unless a layer that can be packed is called so too."""
    parts = name.split(".")
    numbers = [at for at, part in enumerate(parts) if part.isdigit()]
    ending = ".".join(parts[numbers[-1] + 1 :]) if numbers else name
    return name if not ending or any(other.endswith(ending) for other in fitting) else ending


def _is_packed(parameter: nn.Parameter) -> bool:
    return getattr(parameter, "quant_state", None) is not None or parameter.dtype == torch.int8
