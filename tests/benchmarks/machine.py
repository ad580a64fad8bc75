"""What every benchmark here shares: a child process with its cost, and the machine that the numbers are from."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile

CHECKOUT = Path(__file__).resolve().parents[2]
# Threads that spin while they wait are charged for it; and no number here may depend on a hub.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_PACKAGES = ("tunesmith", "torch", "lightning", "transformers", "peft", "bitsandbytes")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a child process took.

    Args:
        code: Exit code.
        output: Its standard output and error, in the order written.
        wall: Seconds from start to end.
        processor: Processor seconds, user and system, of it and of the children it waited for.
        peak: Resident bytes at most.
    """

    code: int
    output: str
    wall: float
    processor: float
    peak: int


def run(command: Sequence[str | Path], *, threads: int = 0, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end in a process of its own.

    Args:
        command: Program and arguments.
        threads: Threads of its matrix products; 0 leaves the choice to the libraries.
        environment: Variables beside this process's own.
    """
    variables = {**os.environ, **QUIET, **(environment or {})}
    variables.pop("OMP_NUM_THREADS", None)
    if threads:
        variables["OMP_NUM_THREADS"] = str(threads)
    with TemporaryFile() as written:
        begin = time.perf_counter()
        child = subprocess.Popen([str(c) for c in command], env=variables, stdout=written, stderr=subprocess.STDOUT)
        # wait4 gives this one child's use. A child starts with its parent's peak, so this process imports no torch.
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        written.seek(0)
        output = written.read().decode(errors="replace")
    return Cost(child.returncode, output, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def cli(*words: str | Path, threads: int = 0, environment: Mapping[str, str] | None = None) -> Cost:
    """Run `lightning-cli` as installed beside this interpreter."""
    command = [Path(sys.executable).with_name("lightning-cli"), *words]
    return run(command, threads=threads, environment=environment)


def need(cost: Cost, what: str, allowed: Sequence[int] = (0,)) -> None:
    """Leave with the child's last words when it failed."""
    if cost.code not in allowed:
        sys.exit(f"{what} ended with exit code {cost.code}:\n{cost.output[-4000:]}")


def header(title: str) -> None:
    """Print what was measured, where and with what."""
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    print(f"{title}, {datetime.now().astimezone():%Y-%m-%d %H:%M}")
    print(f"{_processor()}; load before: {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, {versions}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns, the first column to the left."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for number, line in enumerate(lines):
        cells = [
            c.ljust(w) if place == 0 else c.rjust(w) for place, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * w for w in widths))
    print()


def against(value: float, limit: float) -> str:
    """How a value stands to the most that it should be."""
    return f"{'met' if value <= limit else 'MISSED'} ({value / limit:.2f} of it)"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", "").split()
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    cores = len(os.sched_getaffinity(0))
    return f"{facts.get('model name', platform.machine())}, {cores} cores; {' '.join(known) or 'none of AVX2, AMX'}"
