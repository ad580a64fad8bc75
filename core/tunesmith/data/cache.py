"""What curation made, kept beside the runs, so that the next run begins where something has changed.

One entry is a small JSON file, the arrays that belong to it, and the files of rows that it names; entries share these.
Whatever is not whole is not there: files get their names when they are finished, the JSON file last.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tunesmith.data.row_file import RowFile
from tunesmith.data.store import Store

KEPT_DAYS = 7


@dataclass
class Entry:
    """What is kept under one key.

    Args:
        told: What is said of it; JSON-able.
        stores: Examples, by name.
        arrays: Numbers, by name.
        files: Names of other files in the folder that belong to it.
    """

    told: dict[str, Any]
    stores: dict[str, Store] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class Cache:
    """A folder of entries.

    Args:
        folder: Where; it may be deleted between runs. None keeps nothing: rows lie in files without names, which go
            with the process.
        hidden: Where files without names lie; the folder where it is not given, else where temporary files do.
    """

    def __init__(self, folder: Path | None = None, hidden: Path | None = None) -> None:
        self.folder = folder
        self._hidden = folder if hidden is None else hidden
        self._open: dict[str, RowFile] = {}

    def place(self, is_kept: bool) -> tuple[Path | None, Path | None]:
        """Where a new file of rows goes: its path, if `put` shall be able to keep it, and else the folder.

        Each has a name of its own: entries share files, so that no file may ever change.
        """
        kept = None if self.folder is None or not is_kept else self.folder / f"{uuid4().hex}.arrow"
        return kept, self._hidden

    def get(self, key: str | None) -> Entry | None:
        """What was kept under a key, if it is whole."""
        if key is None or self.folder is None:
            return None
        path = self.folder / f"{key}.json"
        try:
            held = json.loads(path.read_bytes())
            with (self.folder / f"{key}.npz").open("rb") as file, np.load(file) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            stores = {
                name: Store([self._file(one) for one in files], found.pop(f"store.{name}"))
                for name, files in held["stores"].items()
            }
            path.touch()
            if not all((self.folder / name).is_file() for name in held["files"]):
                return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, pa.ArrowException):
            return None
        return Entry(held["told"], stores, found, held["files"])

    def put(self, key: str | None, entry: Entry) -> None:
        """Keep an entry, unless it holds rows that are kept nowhere."""
        if key is None or self.folder is None or not all(store.is_named for store in entry.stores.values()):
            return
        places = {f"store.{name}": store.places for name, store in entry.stores.items()}
        stores = {name: [file.name for file in store.files] for name, store in entry.stores.items()}
        held = {"told": entry.told, "stores": stores, "files": entry.files}
        part = self.folder / f"{uuid4().hex}.part"
        with suppress(OSError):  # no room: then it is made anew the next time
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, allow_pickle=False, **entry.arrays, **places)
            part.replace(self.folder / f"{key}.npz")
            part.write_text(json.dumps(held))
            part.replace(self.folder / f"{key}.json")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context that one process at a time is in: the others wait, and find what this one has made.

        It is for work whose result is kept; who makes what is not kept would let others wait for nothing.
        """
        if self.folder is None:
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError:  # where nothing can be written, nothing is kept
            self.folder = self._hidden = None
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
            self._tidy()

    def _file(self, name: str) -> RowFile:
        if name not in self._open:
            assert self.folder is not None
            self._open[name] = RowFile((self.folder / name).open("rb"), name)
        return self._open[name]

    def _tidy(self) -> None:
        """Take out what no run has used for some days, and what a killed one has left the day before."""
        assert self.folder is not None
        now, wanted = time.time(), {"lock"}
        for path in self.folder.glob("*.json"):
            if _age(path, now) < KEPT_DAYS:
                wanted |= {path.name, path.with_suffix(".npz").name, *_files(path)}
        for path in self.folder.iterdir():
            if path.name not in wanted and _age(path, now) >= 1:  # what is younger may be in the making
                path.unlink(missing_ok=True)


def _age(path: Path, now: float) -> float:
    """Days since a file was changed; none where another process has just taken it out."""
    try:
        return (now - path.stat().st_mtime) / 86400
    except OSError:
        return 0.0


def _files(path: Path) -> set[str]:
    """The files of rows that an entry names."""
    try:
        held = json.loads(path.read_bytes())
        return {name for names in held["stores"].values() for name in names} | set(held["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
