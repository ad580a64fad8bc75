"""What a module loads when it is imported first, tried in a process of its own."""

import functools
import inspect
import json
import subprocess
import sys

from tunesmith.testing.check import fail

HEAVY = ("torch", "lightning", "transformers")
_SCRIPT = """
import importlib, importlib.util, json, sys
name, file, path, heavy = json.loads(sys.argv[1])
sys.path[:] = path
sys.dont_write_bytecode = True
if importlib.util.find_spec(name.partition(".")[0]) and not file.endswith(f"/{name}.py"):
    importlib.import_module(name)
else:
    spec = importlib.util.spec_from_file_location(name, file)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def heavy_imports(cls: type) -> tuple[str, ...]:
    """Which of the heavy libraries the module of `cls` loads.

    Raises:
        CheckFailedError: It cannot be imported alone.
    """
    return _heavy(cls.__module__, inspect.getfile(cls), tuple(sys.path))


@functools.cache
def _heavy(module: str, file: str, path: tuple[str, ...]) -> tuple[str, ...]:
    words = [sys.executable, "-c", _SCRIPT, json.dumps([module, file, path, HEAVY])]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=300)  # noqa: S603  our own script
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        fail(
            f"importing {module} in a fresh process fails: {last}",
            "a module that can be imported by itself",
            "let it import what it needs, whatever was imported before it",
        )
    return tuple(json.loads(ran.stdout.strip().splitlines()[-1]))
