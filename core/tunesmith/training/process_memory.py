"""What the operating system says of this process's memory."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_resident() -> int:
    """Most bytes that were resident at any moment so far."""
    # Linux first: what `getrusage` says there begins with the peak of the process that started this one
    return _status("VmHWM") or _usage()


def resident() -> int:
    """Bytes that are resident now; where the system does not tell, the most so far."""
    return _status("VmRSS") or _usage()


def _status(name: str) -> int:
    lines = _STATUS.read_text().splitlines() if _STATUS.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _usage() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # only macOS counts in bytes
