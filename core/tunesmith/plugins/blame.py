"""Errors of plugins, told as such: which one, where it was named, and the line in it."""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.errors import RowError, TunesmithError


@contextmanager
def blamed(name: str, plugin: object) -> Iterator[None]:
    """Context in which an exception is the plugin's, and not the core's.

    Args:
        name: Where the recipe names it (`evaluators.rouge`).
        plugin: It.

    Raises:
        TunesmithError: Anything was raised but what plugins may raise; names the plugin and the line.
    """
    try:
        yield
    except (TunesmithError, RowError):
        raise
    except Exception as error:
        said = str(error).partition("\n")[0]
        what = f"{type(plugin).__name__} failed with {type(error).__name__}{f': {said}' if said else ''}"
        msg = f"{name}: {what}{_place(error, plugin)}\nthat is the plugin's fault: leave it out, or mend it there"
        raise TunesmithError(msg) from error


def _place(error: Exception, plugin: object) -> str:
    """The last line of the plugin's own file that ran."""
    try:
        own = inspect.getfile(type(plugin))
    except (TypeError, OSError):
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" ({own}:{lines[-1]})" if lines else f" ({own})"
