"""What a step frees stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys

import torch

from tunesmith.training.process_memory import keep_freed


def step():
    # As a step does it: several pieces, all freed at its end. Each is above the 32 MiB up to which glibc by itself
    # comes to keep what was freed once, or not, as it happens to lie.
    return sum(float(piece[0]) for piece in [torch.ones(10_000_000) for _ in range(4)])


kept = sys.argv[1] == "keep" and keep_freed()
counts = []
for _ in range(7):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, sorted(counts)[3])  # the middle one: what is free comes to lie together in the first steps
"""


def faults(*words: str, **environment: str) -> tuple[bool, int]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, *words], env=plain | environment, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept == "True", int(count)


def newer_glibc() -> bool:
    """Whether pieces above 32 MiB can be kept, which releases before 2.35 refuse."""
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)


@pytest.mark.skipif(not newer_glibc(), reason="an option of glibc, without a limit since 2.35")
def test_pages_that_a_step_frees_are_not_fetched_again() -> None:
    without, (kept, found) = faults("as it comes")[1], faults("keep")
    assert kept
    assert without > 30_000  # 4 pieces of 40 MB, 4 kB a page: 39,000
    assert found < without / 2


def test_the_users_own_choice_stays() -> None:
    assert not faults("keep", MALLOC_TRIM_THRESHOLD_="1000000")[0]
