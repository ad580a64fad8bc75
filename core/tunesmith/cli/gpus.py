"""GPUs by name: how much of their memory a program can have, and which number formats they multiply in."""

import re
from typing import NamedTuple

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

# GiB that torch finds on a card: below what is printed on the box, more so where error correction takes its part.
GPUS = {
    "p100": 15.9,
    "v100-16": 15.8,
    "v100-32": 31.7,
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
# Of before 2020, without bf16: what torch makes up for it with saves memory but no time.
OLDER = {"p100", "v100-16", "v100-32", "t4"}
_UNITS = {"gib": 2**30, "": 2**30, "gb": 10**9}


class Gpu(NamedTuple):
    """A GPU that may be elsewhere.

    Attributes:
        capacity: Bytes that a program can have.
        bf16: Whether it multiplies in bf16.
        why: Where that is known from, in words.
    """

    capacity: int
    bf16: bool
    why: str


def stated_gpu(text: str) -> Gpu:
    """Find a GPU that is stated by name (`l4`) or by size (`24`, `"24 GiB"`, `24GB`).

    Raises:
        RecipeError: It is neither.
    """
    name = text.strip().lower()
    if name in GPUS:
        bf16 = name not in OLDER
        return Gpu(int(GPUS[name] * 2**30), bf16, f"the {name.upper()} has {'' if bf16 else 'no '}bf16")
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(gib|gb|)", name)
    if size is None or not float(size[1]):
        near = did_you_mean(name, GPUS)
        msg = f"--gpu is {text!r}{near}; give its memory in GiB (24), or one of {', '.join(GPUS)}"
        raise RecipeError(msg)
    return Gpu(int(float(size[1]) * _UNITS[size[2]]), True, "GPUs since 2020 have bf16; name yours if it is older")
