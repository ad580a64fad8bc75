"""What a module loads when it is imported first, tried in a process of its own."""

import functools

from tunesmith.testing.check import fail
from tunesmith.testing.elsewhere import loaded_by

HEAVY = ("torch", "lightning", "transformers")


@functools.cache
def heavy_imports(cls: type) -> tuple[str, ...]:
    """Which of the heavy libraries the module of `cls` loads.

    Raises:
        CheckFailedError: It cannot be imported alone.
    """
    answer = loaded_by(cls, HEAVY)
    if "error" in answer:
        fail(
            f"importing {cls.__module__} in a fresh process fails: {answer['error']}",
            "a module that can be imported by itself",
            "let it import what it needs, whatever was imported before it",
        )
    return tuple(answer["loaded"])
