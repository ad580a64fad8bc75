"""Which number formats a run uses."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def resolve(precision: Precision) -> Literal["fp32", "bf16"]:
    """`auto` is bf16 where a GPU computes it natively, else fp32."""
    if precision != "auto":
        return precision
    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"


def chosen(precision: Precision) -> str:
    """The format, and why where `auto` chose it."""
    found = resolve(precision)
    why = " (chosen: no GPU with bf16)" if found == "fp32" else " (chosen: the GPU has it)"
    return f"{found}{why if precision == 'auto' else ''}"


def storage(precision: Precision) -> torch.dtype:
    """Format in which frozen weights are held; trained ones are always fp32."""
    return torch.bfloat16 if resolve(precision) == "bf16" else torch.float32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Context for forward passes: matrix products in bf16 where that is the precision."""
    if resolve(precision) == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
