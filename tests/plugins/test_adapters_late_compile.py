"""bitsandbytes is loaded without torch's compiler, and what it compiles still is, when it is called."""

import subprocess
import sys

import pytest

from tunesmith_plugins.adapters.late_compile import _when_called

LOAD = """
import sys
import torch
from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

compile_now = torch.compile
load_bitsandbytes()
assert "bitsandbytes" in sys.modules
assert "torch._inductor.compile_fx" not in sys.modules
assert torch.compile is compile_now
"""


@pytest.mark.slow
def test_bitsandbytes_is_loaded_without_the_compiler() -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", LOAD], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("options", [{}, {"dynamic": False}], ids=str)
def test_a_function_is_compiled_once_when_it_is_first_called(options: dict[str, bool]) -> None:
    compiled = []

    def compile_now(function, **given):  # type: ignore[no-untyped-def]
        compiled.append(given)
        return lambda *words, **named: ("compiled", function(*words, **named))

    def double(number: int, plus: int = 0) -> int:
        """Twice."""
        return 2 * number + plus

    late = _when_called(compile_now, **options)(double) if options else _when_called(compile_now, double)
    assert not compiled
    assert (late.__name__, late.__doc__) == ("double", "Twice.")
    assert [late(3), late(3, plus=1)] == [("compiled", 6), ("compiled", 7)]
    assert compiled == [options]
