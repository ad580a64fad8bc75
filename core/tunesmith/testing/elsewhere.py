"""What a plugin does in another process: with another hash seed, unused before, and where nothing is at stake.

Two such processes serve all plugins that one process checks: one forks for each request and loads nothing itself, the
other keeps torch and a tiny model. They start when they are first needed, and end with this process.
"""

import atexit
import inspect
import json
import os
import pickle
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

from tunesmith.testing.check import Trial
from tunesmith.testing.plain import plain
from tunesmith.testing.same import state_of
from tunesmith.testing.trials import trials_of
from tunesmith.testing.work import trains

_SCRIPT = """
import json, sys
from pathlib import Path
path, folder = json.loads(sys.argv[1])
sys.path[:] = path
from tunesmith.testing.peer import serve
serve(Path(folder))
"""
_SECONDS = 900


@dataclass(frozen=True)
class Report:
    """What became of a plugin that was put to work elsewhere.

    Args:
        result: What came out, as `plain` says it.
        writes: The paths that it wrote and was not told to.
        error: What it failed with; empty where it did not.
    """

    result: Any = None
    writes: tuple[str, ...] = ()
    error: str = ""


class _Peer:
    """The other process, with folders of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tunesmith-testing-"))
        places = {name: self.folder / name for name in ("home", "temporary", "working")}
        for place in places.values():
            place.mkdir()
        self.caches = caches()
        environment = os.environ | self.caches | _homes(places["home"], places["temporary"])
        environment["PYTHONHASHSEED"] = other_hash_seed()
        words = [sys.executable, "-c", _SCRIPT, json.dumps([_path(), str(self.folder)])]
        errors = (self.folder / "errors").open("wb")
        self.process = subprocess.Popen(  # noqa: S603  our own script
            words,
            cwd=places["working"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        errors.close()
        self.asked = 0

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.asked += 1
        request |= {
            "path": _path(),
            "place": str(self.folder / f"told-{self.asked}"),
            "caches": [*self.caches.values()],
        }
        try:
            self.process.stdin.write(pickle.dumps(request))
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], _SECONDS)[0]:
                return self._ended(f"no end after {_SECONDS} s")
        except BrokenPipeError:
            return self._ended("the process has ended")
        said = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(said) if said else self._ended("the process has ended")
        return answer

    def _ended(self, how: str) -> dict[str, Any]:
        self.close()
        last = (self.folder / "errors").read_text(errors="replace").strip().splitlines()[-1:]
        shutil.rmtree(self.folder, ignore_errors=True)
        return {"error": ": ".join([how, *last])}

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """End it, and all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


_PEERS: dict[tuple[int, bool], _Peer] = {}
# Reports of the class that was asked about last: several checks look at one.
_REPORTS: dict[str, Report] = {}
_LAST: list[type] = []


def report_of(trial: Trial) -> Report | None:
    """What becomes of an instance that is put to work elsewhere.

    Returns:
        The report; None where the class or the options of the instance cannot be taken there, of which
        `imports_no_torch` and `can_be_pickled` tell.
    """
    if trial.cls not in _LAST:
        _REPORTS.clear()
        _LAST[:] = [trial.cls]
    if _key(trial) not in _REPORTS:
        group = _siblings(trial)
        _REPORTS.update(zip(group, _asked([*group.values()]), strict=False))
    return _REPORTS.get(_key(trial))


def loaded_by(cls: type, heavy: Sequence[str]) -> dict[str, Any]:
    """What importing the module of a class alone does.

    Returns:
        `loaded`, which of the libraries in `heavy` are loaded; or `error`, why the module cannot be imported.
    """
    return _peer(False).ask(do="imports", fork=True, heavy=heavy, module=cls.__module__, file=inspect.getfile(cls))


def other_hash_seed() -> str:
    """A hash seed that this process has not, unless by rare chance."""
    return "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"


def caches() -> dict[str, str]:
    """Variables that name the folders in which libraries keep what they fetched or compiled, set to where these lie.

    They stay where they are: what lies there may be needed, and what is added is the library's affair.
    """
    home = Path.home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    places = {
        "HF_HOME": cache / "huggingface",
        "TORCH_HOME": cache / "torch",
        "TORCH_EXTENSIONS_DIR": cache / "torch_extensions",
        "TORCHINDUCTOR_CACHE_DIR": Path(tempfile.gettempdir()) / f"torchinductor_{_user()}",
        "TRITON_CACHE_DIR": home / ".triton" / "cache",
        "CUDA_CACHE_PATH": home / ".nv" / "ComputeCache",
        "MPLCONFIGDIR": cache / "matplotlib",
        "NLTK_DATA": home / "nltk_data",
    }
    return {name: os.environ.get(name) or str(place) for name, place in places.items()}


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run as somebody without a name
        return str(os.getuid())


def _homes(home: Path, temporary: Path) -> dict[str, str]:
    """Variables by which programs find the user's folders."""
    found = {"HOME": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    found |= {"XDG_CACHE_HOME": home / ".cache", "XDG_CONFIG_HOME": home / ".config"}
    found |= {"XDG_DATA_HOME": home / ".local" / "share", "XDG_STATE_HOME": home / ".local" / "state"}
    # packages may be installed below the real home
    return {name: str(place) for name, place in found.items()} | {"PYTHONUSERBASE": site.getuserbase()}


def _path() -> list[str]:
    return [str(Path(place).absolute()) for place in sys.path]


def _asked(group: Sequence[Trial]) -> list[Report]:
    """Reports of several instances of one class; none where they cannot be taken elsewhere."""
    first = group[0]
    try:
        file, instances = inspect.getfile(first.cls), [_packed(trial) for trial in group]
    except Exception:
        return []
    heavy = trains(first.cls.kind) or first.cls.kind == "audit"  # whose subjects load torch
    torch = sys.modules.get("torch")
    answer = _peer(heavy).ask(
        do="work",
        fork=not heavy,
        module=first.cls.__module__,
        file=file,
        instances=instances,
        seed=1 if trains(first.cls.kind) else 2,
        threads=torch.get_num_threads() if torch else 0,
        **{"class": first.cls.__qualname__},
    )
    if "absent" in answer:
        return []
    if "error" in answer:
        return [Report(error=answer["error"]) for _ in group]
    return [Report(found["result"], tuple(found["writes"]), found["error"]) for found in answer["reports"]]


def _packed(trial: Trial) -> bytes:
    """The state of an instance, or itself where it knows how to leave something out; and its rows."""
    try:
        return pickle.dumps((state_of(trial.plugin), trial.rows))
    except Exception:
        return pickle.dumps((trial.plugin, trial.rows))


def _key(trial: Trial) -> str:
    return repr((plain(state_of(trial.plugin)), plain(trial.rows)))


def _siblings(trial: Trial) -> dict[str, Trial]:
    """What the class itself wants to be tried, if this instance is among it, so that libraries are imported once."""
    try:
        found = {_key(other): other for other in trials_of(trial.cls, trial.rows)}
    except Exception:  # it wants options: `makes_trial_instances` says why
        found = {}
    return found if _key(trial) in found else {_key(trial): trial}


def _peer(heavy: bool) -> _Peer:
    """The process for light or for heavy work, started where there is none."""
    key = os.getpid(), heavy
    if key not in _PEERS or _PEERS[key].process.poll() is not None:
        _PEERS[key] = _Peer()
        atexit.register(_PEERS[key].remove)
    return _PEERS[key]
