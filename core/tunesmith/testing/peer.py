"""The other side of `tunesmith.testing.elsewhere`: a process that imports modules and puts plugins to work when asked.

It has a hash seed of its own, and empty folders for the working directory, the user's home and temporary files.
"""

import importlib
import importlib.util
import inspect
import json
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tunesmith.plugins.import_from import import_from
from tunesmith.testing.check import Trial, told
from tunesmith.testing.plain import plain
from tunesmith.testing.randomness import global_seed
from tunesmith.testing.same import made_of
from tunesmith.testing.tree import Root
from tunesmith.testing.watch import written

Request = dict[str, Any]
Answer = dict[str, Any]


def serve(folder: Path) -> None:
    """Answer requests from standard input until it ends.

    Args:
        folder: Where its folders lie; removed in the end.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # what plugins read and print is none of ours
        os.dup2(nothing, stream)
    sys.dont_write_bytecode = True
    try:
        while True:
            request = pickle.load(requests)  # noqa: S301  of the process that started this one
            answer = _in_a_fork(request) if request["fork"] else _answer(request)
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
    except (EOFError, BrokenPipeError):
        shutil.rmtree(folder, ignore_errors=True)


def load(name: str, file: str) -> ModuleType:
    """Import a module that another process has, be it installed or a file of its own.

    Args:
        name: Its name.
        file: Its file.
    """
    importlib.invalidate_caches()
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == file:
        return loaded
    if importlib.util.find_spec(name.partition(".")[0]) and not file.endswith(f"/{name}.py"):
        return importlib.import_module(name)
    return import_from(Path(file), name)


def imports(request: Request) -> Answer:
    """Which of some libraries a module loads, where nothing was loaded before it."""
    load(request["module"], request["file"])
    return {"loaded": [name for name in request["heavy"] if name in sys.modules]}


def work(request: Request) -> Answer:
    """What instances of a class give when they are put to work, as `plain` says it; and what they write meanwhile."""
    try:
        cls: Any = load(request["module"], request["file"])
        for name in request["class"].split("."):
            cls = getattr(cls, name)
        given = [pickle.loads(instance) for instance in request["instances"]]  # noqa: S301  as above
    except (Exception, SystemExit) as error:
        return {"absent": told(error)}
    if not request["fork"]:
        import torch

        from tunesmith.testing import models

        torch.set_num_threads(request["threads"] or torch.get_num_threads())
        models.warm()
    trials = [Trial(held if isinstance(held, cls) else made_of(cls, held), rows) for held, rows in given]
    return {"reports": [_report(trial, request) for trial in trials]}


def _report(trial: Trial, request: Request) -> Answer:
    from tunesmith.testing.work import put_to_work

    places = {"~": Path.home(), ".": Path.cwd(), "$TMPDIR": Path(tempfile.gettempdir())}
    place = Path(request["place"])
    place.mkdir()
    roots = [*(Root(path) for path in places.values()), *code_of(trial.cls)]
    result, error = None, ""
    with written([place, *map(Path, request["caches"])], roots) as paths:
        try:
            with global_seed(request["seed"]):
                result = plain(put_to_work(trial, place, turned=True))
        except (Exception, SystemExit) as failure:
            error = told(failure)
    shutil.rmtree(place, ignore_errors=True)
    shown = [_shown(path, places) for path in paths]
    for path in paths:  # else the next one of the same kind finds them there, and writes nothing
        if _shown(path, places) != path:
            _remove(Path(path))
    return {"result": result, "writes": shown, "error": error}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def code_of(cls: type) -> Iterator[Root]:
    """Where the code of a class lies: its package, or the folder of its file."""
    package = sys.modules.get(cls.__module__.partition(".")[0])
    for path in getattr(package, "__path__", ()):
        yield Root(Path(path), hidden=False)
    if not hasattr(package, "__path__"):
        yield Root(Path(inspect.getfile(cls)).parent, deep=False, hidden=False)


_DO: dict[str, Callable[[Request], Answer]] = {"imports": imports, "work": work}


def _answer(request: Request) -> Answer:
    sys.path[:] = request["path"]
    try:
        return _DO[request["do"]](request)
    except (Exception, SystemExit) as error:
        return {"error": told(error)}


def _in_a_fork(request: Request) -> Answer:
    """The answer of a process that loads what it needs for this request alone."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writer, "wb") as file:
                file.write(json.dumps(_answer(request)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if said else {"error": f"the process ended ({os.waitstatus_to_exitcode(status)})"}


def _shown(path: str, places: dict[str, Path]) -> str:
    """A path as it would be called outside of this process."""
    for name, place in places.items():
        real = os.path.realpath(place)
        if path.startswith(real + os.sep):
            return name + path.removeprefix(real)
    return path
