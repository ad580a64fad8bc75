"""Which number formats a run uses."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Format = Literal["fp32", "bf16"]
Precision = Literal["auto"] | Format


def resolve(precision: Precision, device: torch.device) -> Format:
    """`auto` is bf16 where the device multiplies matrices in it (a GPU with bf16, a processor with AMX), else fp32."""
    if precision != "auto":
        return precision
    return "bf16" if _multiplies_bf16(device) else "fp32"


def chosen(precision: Precision, device: torch.device) -> str:
    """The format, and why where `auto` chose it."""
    found = resolve(precision, device)
    if precision != "auto":
        return found
    if device.type == "mps":
        return f"{found} (chosen: bf16 is not tested on Apple's GPUs)"
    what, part = ("GPU", "bf16") if device.type == "cuda" else ("processor", "AMX")
    return f"{found} (chosen: the {what} has {'' if found == 'bf16' else 'no '}{part})"


def storage(found: Format) -> torch.dtype:
    """Format in which frozen weights are held; trained ones are always fp32."""
    return torch.bfloat16 if found == "bf16" else torch.float32


def autocast(found: Format, device: torch.device) -> AbstractContextManager[None]:
    """Context for forward passes: matrix products in bf16 where that is the precision."""
    return torch.autocast(device.type, torch.bfloat16) if found == "bf16" else nullcontext()


def _multiplies_bf16(device: torch.device) -> bool:
    """Emulated, or in vectors only, bf16 saves memory but hardly time, and costs digits."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
