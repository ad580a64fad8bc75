"""GPUs by name, and how much of their memory a program can have."""

import re

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

# GiB that torch finds on a card: below what is printed on the box, more so where error correction takes its part.
GPUS = {
    "t4": 14.6,
    "l4": 22.0,
    "l40s": 44.4,
    "a10": 22.0,
    "rtx-3090": 23.6,
    "rtx-4090": 23.6,
    "rtx-5090": 31.3,
    "a100-40": 39.4,
    "a100-80": 79.1,
    "h100": 79.1,
    "h200": 139.7,
    "b200": 178.3,
}
_UNITS = {"gib": 2**30, "": 2**30, "gb": 10**9}


def gpu_bytes(text: str) -> int:
    """Bytes of a GPU that is stated by name (`l4`) or by size (`24`, `"24 GiB"`, `24GB`).

    Raises:
        RecipeError: It is neither.
    """
    name = text.strip().lower()
    if name in GPUS:
        return int(GPUS[name] * 2**30)
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(gib|gb|)", name)
    if size is None or not float(size[1]):
        near = did_you_mean(name, GPUS)
        msg = f"--gpu is {text!r}{near}; give its memory in GiB (24), or one of {', '.join(GPUS)}"
        raise RecipeError(msg)
    return int(float(size[1]) * _UNITS[size[2]])
