"""Each trap that bit fine-tuning trainers in public has a test that carries its number."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TRAPS = 47


def test_every_trap_has_a_test_of_its_number() -> None:
    names = [name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_trap_\w+)", path.read_text())]
    numbered = {int(number) for name in names for number in re.findall(r"trap_(\d\d)(?=_)", name)}
    assert numbered == set(range(1, TRAPS + 1))
    assert all(re.match(r"test_(trap_\d\d_)+[a-z]", name) for name in names), names
