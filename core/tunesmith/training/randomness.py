"""Random numbers that resume exactly, whatever else draws some between two training steps.

Validation, sampling and the start of a loader draw from torch's global generator, and not at the same places in a run
that goes on and in one that resumes. Training steps therefore draw from a stream of their own (trap 27).
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")


class Stream:
    """A random state that is only in force inside `with stream.running():`."""

    def __init__(self, seed: int) -> None:
        with torch.random.fork_rng(devices=_devices()):
            torch.manual_seed(seed)
            self._state = _read()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context in which torch draws from this stream; the global state is as before afterwards."""
        outer = _read()
        _write(self._state)
        try:
            yield
        finally:
            self._state = _read()
            _write(outer)

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and tuples only, so that a checkpoint loads with `weights_only=True`."""
        kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        return {
            "stream": list(self._state),
            "torch": _read(),
            "python": random.getstate(),
            "numpy": [kind, torch.from_numpy(np.array(keys, dtype=np.int64)), position, has_gauss, gauss],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state: the stream's, and those of torch, Python and numpy."""
        self._state = [tensor.cpu() for tensor in state["stream"]]
        _write([tensor.cpu() for tensor in state["torch"]])
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))


def _devices() -> list[int]:
    """The GPU of this process, if it uses one; asking others for their state would open them."""
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.cuda.current_device()] if on_gpu else []


def _read() -> list[torch.Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in _devices())]


def _write(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    for device, state in zip(_devices(), states[1:], strict=False):
        torch.cuda.set_rng_state(state, device)


def gather(state: T) -> list[T]:
    """What all ranks hold, in order; every rank must call it."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [state]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, state)
    return states


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context in which torch draws as after `manual_seed(seed)`, for weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=_devices()):
        torch.manual_seed(seed)
        yield
