"""Loads bitsandbytes, as peft and transformers do, without torch's compiler, which most runs never call.

bitsandbytes decorates four functions by `torch.compile` where it is imported, which loads dynamo and inductor: two of
the eleven seconds of processor time that a `fit` took to load its libraries (2 cores, torch 2.13, bitsandbytes 0.50).
Two of them unpack 4 bit where no kernel of its own is there, two are its optimizers' on a CPU.
"""

import sys
from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any


def load_bitsandbytes() -> None:
    """Import it; what it compiles is compiled when it is first called."""
    if "bitsandbytes" in sys.modules:
        return
    import torch

    real = torch.compile
    torch.compile = partial(_when_called, real)
    try:
        import bitsandbytes  # noqa: F401
    finally:
        torch.compile = real


def _when_called(
    compile_now: Callable[..., Callable[..., Any]], function: Callable[..., Any] | None = None, /, **options: Any
) -> Callable[..., Any]:
    """`torch.compile`, that waits for the first call of what it is to compile."""
    if function is None:
        return partial(_when_called, compile_now, **options)
    compiled = cache(partial(compile_now, function, **options))

    @wraps(function)
    def call(*words: Any, **named: Any) -> Any:
        return compiled()(*words, **named)

    return call
