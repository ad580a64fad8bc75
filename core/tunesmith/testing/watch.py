"""What runs while a plugin is tried: files that are written, and work that is done."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tunesmith.testing.tree import Root, changes, snapshot

if TYPE_CHECKING:
    from types import FrameType

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_UNNAMED = getattr(os, "O_TMPFILE", 0)
# Python's events of changes in the file system: the places of each path, and of the folder it is relative to, among
# the arguments.
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.truncate": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.link": ((1, 3),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
}
_TEMPORARY = ("tempfile.mkstemp", "tempfile.mkdtemp")
_READS = (
    "open",
    "socket.connect",
    "sqlite3.connect",
    "subprocess.Popen",
    "os.system",
    "os.posix_spawn",
    "os.exec",
    "import",
)


class _Watch:
    """What the audit hook of this process reports to; Python has no way to take a hook away again."""

    def __init__(self) -> None:
        self.installed = False
        self.work: list[str] | None = None
        self.writes: list[str] | None = None
        self.allowed: list[str] = []
        self.databases: dict[str, tuple[int, int] | None] = {}

    def start(self) -> None:
        if not self.installed:
            sys.addaudithook(self.hear)
            self.installed = True

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.work is not None and event in _READS and not _own(arguments[0]):
            self.work.append(f"{event} {arguments[0]!r}")
        if self.writes is None:
            return
        if event in _TEMPORARY:
            self.allowed.append(os.path.realpath(os.fspath(arguments[0])))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            unnamed = _UNNAMED and arguments[2] & _UNNAMED == _UNNAMED
            # `tempfile` opens its files under the name of their folder
            if not (unnamed or isinstance(arguments[0], int) or Path(os.fsdecode(arguments[0])).is_dir()):
                self._note(arguments[0])
        elif event == "sqlite3.connect":
            # compiled code opens it, to read or to write: what has become of it is looked at in the end
            if path := _database(arguments[0]):
                self.databases.setdefault(path, _status(path))
        elif event in _CHANGES:
            for at, folder in _CHANGES[event]:
                self._note(arguments[at], -1 if folder is None else arguments[folder])

    def permits(self, path: str) -> bool:
        """Whether it may be written."""
        return any(path == a or path.startswith(a + os.sep) for a in self.allowed)

    def _note(self, path: Any, folder: int = -1) -> None:
        with suppress(TypeError, ValueError, OSError):
            name = os.fsdecode(path)
            if folder >= 0 and not name.startswith("/"):
                name = f"{Path(f'/proc/self/fd/{folder}').readlink()}/{name}"
            found = os.path.realpath(name)
            if self.permits(found) or found.startswith(("/dev/", "/proc/")):
                return
            if _importing():
                self.allowed.append(found)
            else:
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


def _database(name: Any) -> str | None:
    """The file of a database; None where it lies in memory."""
    text = os.fsdecode(name)
    if text.startswith("file:"):
        address = urlsplit(text)
        text = "" if "mode=memory" in address.query else unquote(address.path)
    return os.path.realpath(text) if text not in ("", ":memory:") else None


def _status(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@contextmanager
def written(allowed: Sequence[Path], roots: Sequence[Root]) -> Iterator[list[str]]:
    """Context that fills a list with the paths that are written, made, moved or removed outside of `allowed`.

    Seen is what Python's own functions and `sqlite3` do, anywhere; and whatever has come, gone or changed in `roots` at
    the end, by compiled code and other programs as well. Not seen is what compiled code or another program writes
    elsewhere, and what is gone or as before when the context ends.

    Files of the module `tempfile` may be written, and what Python code writes while it is imported.

    Args:
        allowed: Files and folders that may be written.
        roots: Folders to compare before and after.
    """
    found: list[str] = []
    _WATCH.start()
    before = snapshot(roots)
    _WATCH.allowed, _WATCH.databases = [os.path.realpath(path) for path in allowed], {}
    _WATCH.writes = heard = []
    try:
        yield found
    finally:
        _WATCH.writes = None
        heard += [path for path, status in _WATCH.databases.items() if _status(path) != status]
        heard += changes(before, snapshot(roots))
        found += [path for path in dict.fromkeys(heard) if not _WATCH.permits(path)]


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
