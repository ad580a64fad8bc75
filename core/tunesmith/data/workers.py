"""Signals in processes that make batches: what stops a run must not stop them before it has saved.

A shell, SLURM or systemd sends a signal to all processes of a run. The main one finishes its accumulation window and
saves, for which it needs the batches that are still to come; torch has it fail instead when a worker ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unharmed_start() -> Iterator[None]:
    """Context in which workers are begun: signals wait, so that none can meet one before `leave_signals` is called."""
    if sys.platform != "linux":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals(_: int) -> None:
    """Leave Ctrl-C and SIGTERM to the main process; torch calls it in each worker, with its number.

    A SIGTERM from the main process itself still ends a worker, or Python would wait for it for ever at its exit. A
    handler does not learn who sent a signal, so a thread waits for it. Where the system has no such wait (macOS,
    Windows), SIGTERM is left as torch has it. A worker whose main process was killed ends by itself, within seconds:
    torch looks for its parent; where that is a server that forked for the main process, we look for that one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main = multiprocessing.parent_process()
    if main is not None and main.pid != os.getppid():
        threading.Thread(target=_end_after, args=(main,), daemon=True).start()
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(_parent(),), daemon=True).start()


def _parent() -> int:
    """The main process; a server that forks for it may lie between."""
    parent = multiprocessing.parent_process()
    return os.getppid() if parent is None or parent.pid is None else parent.pid


def _end_after(main: multiprocessing.process.BaseProcess) -> None:
    main.join()  # until the pipe closes that only it holds open
    os._exit(1)


def _end_with_parent(parent: int) -> None:
    while sys.platform == "linux":
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
            os._exit(0)  # as torch's own handler does
