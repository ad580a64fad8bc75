"""A model by its family's own functions and torch's, as tensors of another kind of device run it.

What a pass holds on a GPU is found on a CPU (`footprint.py`), and ours are functions for a CPU: they keep less than
what they stand for, or other things.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from tunesmith.training import attention

_ROTARY = "apply_rotary_pos_emb"
_OURS = "tunesmith"


@contextmanager
def by_sdpa() -> Iterator[None]:
    """Context in which attention is SDPA's at any length: what it holds is linear in the tokens."""
    with _having(attention, "suits", lambda *_: False):
        yield


@contextmanager
def as_written(network: nn.Module) -> Iterator[None]:
    """Context in which layers, norms, rotary positions and attention run as their libraries wrote them."""
    fused = [module for module in network.modules() if _is_ours(module.__dict__.get("forward"))]
    forwards = [module.__dict__.pop("forward") for module in fused]
    with ExitStack() as stack:
        stack.enter_context(by_sdpa())
        for name in {type(module).__module__ for module in network.modules()}:
            written = getattr(getattr(sys.modules[name], _ROTARY, None), "__wrapped__", None)
            if written is not None:
                stack.enter_context(_having(sys.modules[name], _ROTARY, written))
        try:
            yield
        finally:
            for module, forward in zip(fused, forwards, strict=True):
                module.__dict__["forward"] = forward


def _is_ours(forward: Any) -> bool:
    """Whether a module's forward was put over its class's own by us, or by a plugin that comes along."""
    return isinstance(forward, partial) and str(getattr(forward.func, "__module__", "")).startswith(_OURS)


@contextmanager
def _having(place: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)
