"""What runs while a plugin is tried: files that are written, and work that is done."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_UNNAMED = getattr(os, "O_TMPFILE", 0)
# Python's events of changes in the file system, each with the places of its paths among the arguments.
_CHANGES = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.chmod": (0,),
}
_READS = ("open", "socket.connect", "subprocess.Popen", "os.system", "import")


class _Watch:
    """What the audit hook of this process reports to; Python has no way to take a hook away again."""

    def __init__(self) -> None:
        self.installed = False
        self.writes: list[str] | None = None
        self.work: list[str] | None = None
        self.allowed: list[str] = []

    def start(self) -> None:
        if not self.installed:
            sys.addaudithook(self.hear)
            self.installed = True

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.work is not None and event in _READS and not _own(arguments[0]):
            self.work.append(f"{event} {arguments[0]!r}")
        if self.writes is None:
            return
        if event in ("tempfile.mkstemp", "tempfile.mkdtemp"):
            self.allowed.append(os.fspath(arguments[0]))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            if not (_UNNAMED and arguments[2] & _UNNAMED == _UNNAMED):
                self._note(arguments[0])
        elif event in _CHANGES:
            for place in _CHANGES[event]:
                self._note(arguments[place])

    def _note(self, path: Any) -> None:
        with suppress(TypeError, ValueError):
            found = os.path.realpath(os.fsdecode(path))
            within = any(found == a or found.startswith(a + os.sep) for a in map(os.path.realpath, self.allowed))
            if not (within or found.startswith(("/dev/", "/proc/")) or _importing()):
                assert self.writes is not None
                self.writes.append(found)


_WATCH = _Watch()


def _importing() -> bool:
    """Whether a module is being imported: bytecode, and the caches that libraries make when they are loaded."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _own(what: Any) -> bool:
    """Whether an event is Python's own: compiled modules, and file descriptors that are open already."""
    return isinstance(what, int) or "__pycache__" in str(what)


@contextmanager
def written(*allowed: Path) -> Iterator[list[str]]:
    """Context that fills a list with the paths that are written, made, moved or removed outside of `allowed`.

    The working directory is an empty folder meanwhile: what compiled code writes there under a relative name, which
    Python is not told of, is found as well. Files of the module `tempfile` may be
    written, and what libraries write while they are imported.
    """
    found: list[str] = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _WATCH.start()
        _WATCH.writes, _WATCH.allowed = found, [str(path) for path in allowed]
        try:
            yield found
        finally:
            _WATCH.writes = None
            os.chdir(before)
            left = [os.path.realpath(path) for path in Path(folder).rglob("*")]
            found += [path for path in left if path not in found]


@contextmanager
def worked() -> Iterator[list[str]]:
    """Context that fills a list with files that are opened, modules imported, commands run and hosts called."""
    found: list[str] = []
    _WATCH.start()
    _WATCH.work = found
    try:
        yield found
    finally:
        _WATCH.work = None
