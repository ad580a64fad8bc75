"""Whether a model that is put together gets layers of ours in place of those of transformers and peft."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Kernels = Literal["auto", "plain"]
_chosen: ContextVar[Kernels] = ContextVar("kernels", default="auto")


def fused_kernels() -> bool:
    """Whether `Adapter.attach` may make layers run fused, as `model.kernels` says; torch is not asked.

    Since 0.6.
    """
    return _chosen.get() == "auto"


@contextmanager
def choosing(kernels: Kernels) -> Iterator[None]:
    """Context in which a model is put together.

    Args:
        kernels: `auto`: layers may be replaced by what computes the same in fewer passes over memory; `plain`: never.
    """
    token = _chosen.set(kernels)
    try:
        yield
    finally:
        _chosen.reset(token)
