"""This process's memory: what the operating system says of it, and what is kept of what was freed."""

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
# Numbers of glibc's options, from malloc.h; larger pieces still go back to the system when they are freed.
_TRIM, _MMAP = -1, -3
_LARGE = (256 * 2**20, 32 * 2**20)  # what older releases allow at most


def peak_resident() -> int:
    """Most bytes that were resident at any moment so far."""
    # Linux first: what `getrusage` says there begins with the peak of the process that started this one
    return _status("VmHWM") or _usage()


def resident() -> int:
    """Bytes that are resident now; where the system does not tell, the most so far."""
    return _status("VmRSS") or _usage()


def keep_freed() -> bool:
    """Let the allocator keep what a step frees for the next one, instead of giving it back and fetching it again.

    Each page that comes back has to be cleared: 1 to 4 % of the processor time of a step (SmolLM2-135M, 1,000 tokens).
    Where all micro-batches have other lengths, the peak grows by up to a sixth: what is free lies in pieces of other
    sizes. To be called once weights are loaded, which do not come and go.

    Returns:
        Whether it does: only under glibc, and only where the user has not chosen by glibc's own variables.
    """
    chosen = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if platform.libc_ver()[0] != "glibc" or chosen or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    return any(libc.mallopt(_MMAP, size) for size in _LARGE) and bool(libc.mallopt(_TRIM, -1))


def _status(name: str) -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _usage() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # only macOS counts in bytes
