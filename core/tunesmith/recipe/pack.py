"""What goes into a package of a recipe: its overlays, its lock, the files that they name, and nothing that runs.

A file lies in the package as it lies in the recipe's folder, so that relative paths go on to mean the same. What lies
outside of that folder, or is reached through a symbolic link, is refused unless it is asked for: it is easy to pack a
file that one did not mean to give away.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from tunesmith.errors import RecipeError
from tunesmith.recipe.paths import anchor, unstaged
from tunesmith.recipe.relocate import KeyPath, quoted, scalars
from tunesmith.recipe.tree import Leaf, Mark

_PROGRAMS = {".py", ".pyc", ".pyd", ".pyx", ".so", ".dll", ".dylib", ".exe", ".sh", ".ipynb"}
_PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin"}
_CODE = _PROGRAMS | _PICKLES
_DATA = "data"
_OVERLAYS = "overlays"
_COPY_IN = "--copy-in"


@dataclass
class Pack:
    """The content of a package, by path inside it.

    Args:
        texts: Recipe and overlays, with paths that hold there.
        files: What is copied as it is.
        rows: Those of `files`, or of what is left out, that hold rows.
        notes: What was copied from elsewhere, and what was left out.
    """

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Named:
    """A path that a recipe or an overlay names."""

    node: yaml.ScalarNode
    key: KeyPath
    file: Path

    @property
    def is_source(self) -> bool:
        key = unstaged(self.key)
        return key[:2] == ("data", "sources") and key[3:] == ("path",)

    def __str__(self) -> str:
        return f"{'.'.join(self.key)}: {self.node.value}"


class Packer:
    """Gathers a package.

    Args:
        recipe: The recipe; its folder is the one that the package mirrors.
        overlays: Overlays that go with it, from anywhere.
        with_data: Whether the rows go with it.
        copy_in: Whether files from elsewhere do.
    """

    def __init__(self, recipe: Path, overlays: Sequence[Path], *, with_data: bool, copy_in: bool) -> None:
        self.recipe = _absolute(recipe)
        self.home = self.recipe.parent
        self.overlays = [_absolute(overlay) for overlay in overlays]
        self.with_data = with_data
        self.copy_in = copy_in
        self.pack = Pack()
        self._places: dict[Path, str] = {}
        self._wrong: list[str] = []

    def gather(self) -> Pack:
        """The content of the package.

        Raises:
            RecipeError: A file may not be packed, or is not there; names all of them.
        """
        for path in (self.recipe, *self.overlays):
            beside = path == self.recipe or not self._why_outside(path)
            inner = path.relative_to(self.home).as_posix() if beside else f"{_OVERLAYS}/{path.name}"
            if inner in self.pack.texts:
                msg = f"two of the recipes would be {inner} in the package; rename one"
                raise RecipeError(msg)
            self.pack.texts[inner] = self._rewritten(path, inner)
        if self._wrong:
            raise RecipeError("\n".join(dict.fromkeys(self._wrong)))
        return self.pack

    def _rewritten(self, path: Path, inner: str) -> str:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        named = {(n.node.start_mark.index, n.node.end_mark.index): n for n in _named(root, path)} if root else {}
        for (start, end), one in sorted(named.items(), reverse=True):
            place = self._place(one, f"{os.path.relpath(path)}: {one}")
            if place is None:
                continue
            value = os.path.relpath(place, PurePosixPath(inner).parent)
            if value != os.path.normpath(one.node.value):
                explicit = value if value.startswith("..") else f"./{value}"
                text = text[:start] + quoted(explicit) + text[end:]
        return text

    def _place(self, one: _Named, where: str) -> str | None:
        """Where a path points in the package; None where it is wrong."""
        if unstaged(one.key) == ("model", "base"):
            what = "is a base on this machine; a package carries none: name a hub id, or package://"
            self._wrong.append(f"{where} {what}")
            return None
        files = _matching(one.file)
        if not files and (self.with_data or not one.is_source):
            self._wrong.append(f"{where} does not exist")
            return None
        outside = next((why for file in files or [one.file] if (why := self._why_outside(file))), "")
        if outside and not self.copy_in:
            self._wrong.append(f"{where} {outside}; {_COPY_IN} takes a copy of it into the package")
            return None
        if outside and glob.has_magic(str(one.file.parent)):
            self._wrong.append(f"{where} names files of several folders; copy them into the recipe's folder yourself")
            return None
        code = next((file for file in files if file.suffix.lower() in _CODE), None)
        if code is not None:
            self._wrong.append(f"{where} is code, or may hold some ({code.suffix}); a package of recipes carries none")
            return None
        place = self._inner(one.file, bool(outside))
        for file in files:
            name = file.name if glob.has_magic(str(one.file)) and not one.file.is_file() else PurePosixPath(place).name
            inner = self._inner(file, False) if not outside else f"{PurePosixPath(place).parent}/{name}"
            self._take(one, file, inner, outside)
        if not files:
            self.pack.notes.append(f"left out: {place}, which is not here either")
        return place

    def _take(self, one: _Named, file: Path, inner: str, outside: str) -> None:
        if one.is_source and inner not in self.pack.rows:
            self.pack.rows.append(inner)
        if one.is_source and not self.with_data:
            self.pack.notes.append(f"left out: {inner}")
            return
        if outside and inner not in self.pack.files:
            self.pack.notes.append(f"copied in: {file} as {inner}")
        self.pack.files[inner] = file

    def _inner(self, file: Path, outside: bool) -> str:
        """The path inside the package; two files from elsewhere never get one."""
        if not outside:
            return file.relative_to(self.home).as_posix()
        if file not in self._places:
            folder = f"{_DATA}/{file.parent.name}" if glob.has_magic(file.name) else _DATA
            taken = {*self._places.values(), *self.pack.files}
            names = (f"{folder}{number}/{file.name}" for number in ("", *(f"-{n}" for n in range(2, 1000))))
            # what the recipe's own folder has there may be packed later
            self._places[file] = next(n for n in names if n not in taken and not (self.home / n).exists())
        return self._places[file]

    def _why_outside(self, file: Path) -> str:
        """Why a file is not simply one of the recipe's folder; empty where it is."""
        if not file.is_relative_to(self.home):
            return f"lies outside of the recipe's folder {self.home}"
        link = next((p for p in (file, *file.parents) if p.is_relative_to(self.home) and p.is_symlink()), None)
        if link is None or link == self.home:
            return ""
        return f"is reached through a symbolic link ({link.name} -> {os.readlink(link)})"  # noqa: PTH115  as it is written


def _named(root: yaml.Node, source: Path) -> Iterator[_Named]:
    """The paths in a recipe's YAML, relative and absolute; addresses with a scheme are none."""
    for node, key in scalars(root):
        if (file := _file(node.value, source, key)) is not None:
            yield _Named(node, key, file)


def _file(value: str, source: Path, key: KeyPath) -> Path | None:
    if "://" in value or "\n" in value:
        return None
    anchored = anchor(Leaf(value, Mark(str(source), source.parent)), key)
    known = isinstance(anchored, Leaf) and anchored.value != value
    if known or _is_absolute(key, value):
        assert isinstance(anchored, Leaf)
        return _absolute(Path(str(anchored.value)))
    # options of plugins may be paths too; only their class knows which
    file = _absolute(source.parent / Path(value).expanduser())
    try:
        return file if "/" in value and file.is_file() else None
    except OSError:
        return None


def _is_absolute(key: KeyPath, value: str) -> bool:
    """Whether a key holds a path although anchoring left it as it was: it was absolute already."""
    changed = anchor(Leaf("./x", Mark("", Path("/"))), key)
    return value.startswith("/") and isinstance(changed, Leaf) and changed.value != "./x"


def _matching(file: Path) -> list[Path]:
    if file.is_file():
        return [file]
    if not glob.has_magic(str(file)):
        return []
    return [p for p in map(Path, sorted(glob.glob(str(file), recursive=True))) if p.is_file()]  # noqa: PTH207  absolute


def _absolute(path: Path) -> Path:
    # without `..`, and with symbolic links as they are: `resolve` would hide them
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100
