"""Examples in files, as a sequence: which rows of which files, in which order."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.example import Example, Origin
from tunesmith.data.row_file import DIGEST, Packed, RowFile, Rows, RowWriter

# A row's place: the number of its file above, its row in the file below.
SHIFT = 40
_BELOW = (1 << SHIFT) - 1
_CHUNK = 1024


class Store(Sequence[Example]):
    """Examples that lie in files; decoded anew whenever one is asked for.

    Args:
        files: The files.
        places: Where each example lies: number of the file times 2**40, plus the row in it.
    """

    def __init__(self, files: Sequence[RowFile], places: Rows) -> None:
        self.files = tuple(files)
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Store": ...
    def __getitem__(self, index: int | slice) -> "Example | Store":
        """An example, or a part that reads the same files."""
        if isinstance(index, slice):
            return Store(self.files, self.places[index])
        file, row = divmod(int(self.places[index]), 1 << SHIFT)
        return self.files[file].example(row)

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), _CHUNK):
            yield from self._gathered(self.places[start : start + _CHUNK], RowFile.examples)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as lists

    def __reduce__(self) -> Any:
        """Another process opens the files; where one has no name, it gets the examples."""
        if self.is_named:
            return _opened, ([file.path for file in self.files], self.places)
        return list, (list(self),)

    def select(self, at: Sequence[int] | NDArray[np.integer[Any]]) -> "Store":
        """The examples at these indices, in this order."""
        return Store(self.files, self.places[np.asarray(at, np.int64)])

    def ids(self) -> Iterator[str]:
        """The ids, without decoding the examples."""
        for start in range(0, len(self), _CHUNK):
            yield from self._gathered(self.places[start : start + _CHUNK], RowFile.ids)

    def origins(self) -> Iterator[Origin]:
        """Where each was read, without decoding the examples."""
        for start in range(0, len(self), _CHUNK):
            yield from self._gathered(self.places[start : start + _CHUNK], RowFile.origins)

    def origin(self, index: int) -> str:
        """The origin of one as text, without decoding it."""
        file, row = divmod(int(self.places[index]), 1 << SHIFT)
        return self.files[file].origin(row)

    def numbers(self) -> Rows:
        """As which row each was read, over all sources; -1 for those that a curator made."""
        return self._columns(RowFile.numbers, np.zeros(len(self), np.int64))

    def digests(self) -> NDArray[np.void]:
        """What identifies the content of each."""
        return self._columns(RowFile.digests, np.zeros(len(self), f"V{DIGEST}"))

    def content(self) -> str:
        """What identifies the whole: examples, ids, their order."""
        total = sha256(self.digests().tobytes())
        for key in self.ids():
            total.update(key.encode("utf-8", "surrogatepass") + b"\0")
        return total.hexdigest()

    @property
    def is_named(self) -> bool:
        """Whether another process finds all its files."""
        return all(file.name for file in self.files)

    def _gathered(self, places: Rows, read: Any) -> list[Any]:
        if len(self.files) == 1:
            return list(read(self.files[0], places))
        found: list[Any] = [None] * len(places)
        of = places >> SHIFT
        for file in np.unique(of).tolist():
            at = np.flatnonzero(of == file)
            for place, value in zip(at.tolist(), read(self.files[file], places[at] & _BELOW), strict=True):
                found[place] = value
        return found

    def _columns(self, read: Any, into: NDArray[Any]) -> NDArray[Any]:
        of = self.places >> SHIFT
        for file in np.unique(of).tolist():
            at = np.flatnonzero(of == file)
            into[at] = read(self.files[file], self.places[at] & _BELOW)
        return into


def ids_of(examples: Sequence[Example]) -> Iterator[str]:
    """The ids of examples, which a store knows without decoding them."""
    return examples.ids() if isinstance(examples, Store) else (example.id for example in examples)


def _opened(paths: Sequence[Path], places: Rows) -> Store:
    return Store([RowFile(path.open("rb"), path.name) for path in paths], places)


def joined(stores: Sequence[Store]) -> Store:
    """The examples of several, one after the other."""
    files = [file for store in stores for file in store.files]
    begins = np.cumsum([0, *(len(store.files) for store in stores)])
    places = [store.places + (int(begin) << SHIFT) for begin, store in zip(begins[:-1], stores, strict=True)]
    return Store(files, np.concatenate(places) if places else np.zeros(0, np.int64))


def stored(examples: Iterable[Example], path: Path | None = None, folder: Path | None = None) -> Store:
    """Write examples into a file, which has no name where `path` is none, and open it."""
    with RowWriter(path, folder) as writer:
        count = 0
        for number, example in enumerate(examples):
            writer.add(example, number, Packed(example))
            count += 1
        file = writer.finish()
    return Store([file], np.arange(count))
