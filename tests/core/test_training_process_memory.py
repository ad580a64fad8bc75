"""What a step frees stays with the process."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys

import torch

from tunesmith.training.process_memory import keep_freed


def step():
    # as a step does it: many pieces, all freed at its end
    return sum(float(piece[0]) for piece in [torch.ones(5_000_000) for _ in range(8)])


kept = sys.argv[1] == "keep" and keep_freed()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(kept, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 3)
"""


def faults(*words: str, **environment: str) -> tuple[bool, float]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, *words], env=plain | environment, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept == "True", float(count)


@pytest.mark.skipif(sys.platform != "linux", reason="an option of glibc")
def test_pages_that_a_step_frees_are_not_fetched_again() -> None:
    without, (kept, found) = faults("as it comes")[1], faults("keep")
    assert kept
    assert without > 10_000  # 8 pieces of 20 MB, 4 kB a page: 39,000
    assert found < without / 5


def test_the_users_own_choice_stays() -> None:
    assert not faults("keep", MALLOC_TRIM_THRESHOLD_="1000000")[0]
