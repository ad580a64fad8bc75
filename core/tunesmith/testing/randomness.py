"""Global random states: whether somebody draws from them, and how to set them."""

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


def random_states() -> dict[str, Any]:
    """The global random states of Python, numpy and torch; of the latter two where they are loaded."""
    states: dict[str, Any] = {"python": random.getstate()}
    if numpy := sys.modules.get("numpy"):
        kind, keys, *rest = numpy.random.get_state(legacy=True)
        states["numpy"] = (kind, keys.tobytes(), *rest)
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


def drawn(before: dict[str, Any]) -> list[str]:
    """Which global random states are no longer what they were; a library that was loaded since does not count."""
    now = random_states()
    return [name for name in before if now[name] != before[name]]


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Context in which Python, numpy and torch draw as after seeding with `seed`; their states are put back.

    numpy and torch are left alone where nobody has loaded them.
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        random.seed(seed)
        if numpy is not None:
            stack.callback(numpy.random.set_state, numpy.random.get_state(legacy=True))
            numpy.random.seed(seed)
        if torch is not None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.default_generator.manual_seed(seed)
            if torch.cuda.is_available():  # else it would keep the seeds for later, with the place of each call
                torch.cuda.manual_seed_all(seed)
        yield
