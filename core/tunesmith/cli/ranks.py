"""What goes wrong in one of several processes: said once, by the one that found it; all end with its exit code.

The others lose their connection to it in the midst of an exchange, and that is no news.
"""

import atexit
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tunesmith.errors import TunesmithError
from tunesmith.training.checkpoint import StoppedError

_KEY = "tunesmith/failure"
# What all processes find, the first says; so long the others wait for it.
_TURN = 2.0
# The one that failed stays so long for the first to end in order: Lightning kills it when another has gone.
_LINGER = 10.0
_PAUSE = 0.05
_LOST = re.compile(r"gloo/|connection (closed|reset) by peer|ncclRemoteError|ncclSystemError", re.IGNORECASE)


class SaidError(TunesmithError):
    """Another process says what is wrong.

    Args:
        code: Its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"another process ended with exit code {code}")
        self.exit_code = code


class LostError(TunesmithError):
    """Another process is gone, and nobody could say why."""


@contextmanager
def failing_together() -> Iterator[None]:
    """Context in which all processes of a run train; does nothing where there is one.

    Raises:
        SaidError: In all but one of the processes that an error reaches; nothing is left to say.
        LostError: In the first process: another was killed.
    """
    try:
        yield
    except StoppedError:  # all of them stop
        raise
    except Exception as error:
        store = _store()
        if store is None:
            raise
        rank = torch.distributed.get_rank()
        code = _heard(store, rank) if _lost(error) else _claimed(store, rank, getattr(error, "exit_code", 1))
        if code is not None:
            raise SaidError(code) from error
        if _lost(error):
            msg = "another process of this run has gone without a word: it was killed, or the machine's memory is full"
            raise LostError(msg) from error
        raise


def _claimed(store: Any, rank: int, code: int) -> int | None:
    """None where it falls to this process to say its error, else the exit code of the one that does."""
    end = time.monotonic() + (_TURN if rank else 0.0)
    try:
        while time.monotonic() < end and not store.check([_KEY]):
            time.sleep(_PAUSE)
        speaker, said = store.compare_set(_KEY, "", f"{rank} {code}").decode().split()
    except RuntimeError:  # the first process, which keeps the store, said what it had to and is gone
        return code
    if int(speaker) != rank:
        return int(said)
    if rank:
        atexit.register(_linger, os.getppid())
    return None


def _heard(store: Any, rank: int) -> int | None:
    """Exit code of the process that failed; None in the first process, where there is none that said anything."""
    if rank:  # the first has lost it as well, or is the one that failed
        return 1
    return int(store.get(_KEY).decode().split()[1]) if store.check([_KEY]) else None


def _lost(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def _linger(parent: int) -> None:
    """Let the others notice, and leave after the process that started this one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    end = time.monotonic() + _LINGER
    while os.getppid() == parent and time.monotonic() < end:
        time.sleep(_PAUSE)


def _store() -> Any:
    """What all processes can write into; None where this is the only one."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    return torch.distributed.distributed_c10d._get_default_store()
