"""Any value as text that says the same in every process."""

import dataclasses
import hashlib
from collections.abc import Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import Any

from tunesmith.testing.check import told
from tunesmith.testing.same import state_of

_NUMBERS = 3


def plain(value: Any) -> Any:
    """A value as JSON has it: `same` finds two of them equal where it finds the values so, in one process or in two.

    The order of a map or a set does not count; a tensor or array is its shape, type, first numbers and a hash of all.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        pairs = [[plain(key), plain(inner)] for key, inner in value.items()]
        return [type(value).__name__, sorted(pairs, key=repr)]
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Set):
        return [type(value).__name__, sorted(map(plain, value), key=repr)]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _numbers(value)
    if isinstance(value, BaseException):
        return told(value)
    if isinstance(value, float | complex | int | str | bytes | Enum | PurePath | range | slice):
        return repr(value)
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    if dataclasses.is_dataclass(value):
        held = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        return [type(value).__name__, plain(held)]
    return [type(value).__name__, plain(state_of(value))]


def _numbers(value: Any) -> Any:
    if hasattr(value, "detach"):  # a tensor, of a type that numpy may not have
        import torch

        value = value.detach().cpu().contiguous()
        raw = value.reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        raw = value.tobytes()
    first = value.reshape(-1)[:_NUMBERS].tolist()
    return f"{value.dtype}{list(value.shape)} {first} {hashlib.sha256(raw).hexdigest()[:16]}"
