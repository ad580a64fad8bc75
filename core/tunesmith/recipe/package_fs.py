"""Files inside installed packages, as `package://import_name/path`: recipes, data and base models travel in wheels."""

import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, FOLDER, why_no_file
from tunesmith.recipe import shipped
from tunesmith.recipe.confine import leads_outside

PROTOCOL = "package://"
# as the hub has them: what it would refuse is said to be none before it is asked
_HUB = re.compile(r"(?!.*(--|\.\.|\.git$))([A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}(?<![.-])", re.ASCII)
_FORMS = "a hub id (org/name), a path that begins with ./ ../ / or ~, or package://import_name/path"


def installed(url: str) -> Path:
    """The file or folder that a `package://` address means. The package is found, never imported.

    Raises:
        RecipeError: The address is malformed, or there is no such package or file; names the nearest.
    """
    name, _, inner = url.removeprefix(PROTOCOL).strip("/").partition("/")
    parts = [p for p in inner.split("/") if p]
    if ".." in parts or "\\" in url or "\0" in url:
        msg = f"{url} leaves its package; .. is not allowed in package://"
        raise RecipeError(msg)
    if not name.isidentifier():
        msg = f"{url} is not package://import_name/path"
        raise RecipeError(msg)
    places = roots(name)
    if not places:
        known = sorted({m.name for m in pkgutil.iter_modules() if m.ispkg and not m.name.startswith("_")})
        msg = f"{url}: no package {name} is installed{did_you_mean(name, known) or _advice(name)}"
        raise RecipeError(msg)
    if name == shipped.PACKAGE and shipped.is_recipe(parts):
        # an editable install has the recipes beside the package, not in it
        places, parts = [shipped.folder()], parts[1:]
    for root in places:
        if (found := root.joinpath(*parts)).exists():
            if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(root)):
                msg = f"{url} is a link that leads out of its package, to {os.path.realpath(found)}; it is not read"
                raise RecipeError(msg)
            return found
    raise RecipeError(_missing(url, places[0], parts))


def package_of(url: str) -> Path | None:
    """The folder of the installed package that a recipe is part of, which its paths do not leave.

    None for the recipes that come along with this command: they are as trusted as it is, and name files that the user
    is to fetch.
    """
    name = url.removeprefix(PROTOCOL).strip("/").partition("/")[0]
    if name == shipped.PACKAGE:
        return None
    found = installed(url)
    return next((root for root in roots(name) if found.is_relative_to(root)), found.parent)


def resolve(base: str) -> Path | str:
    """Where a base model is: a path that exists, or a hub id as it stands.

    Args:
        base: A hub id, a path that begins with `./ ../ / ~` (relative to the working directory; paths of a recipe are
            absolute by then), or `package://import_name/path`. A folder or a GGUF file.

    Raises:
        RecipeError: It is none of these, does not exist, or is a hub id that a local folder would hide.
    """
    try:
        if base.startswith(PROTOCOL):
            return _whole(base)
        if base in (".", "..") or base.startswith(("./", "../", "/", "~")):
            return _existing(base)
    except RecipeError as error:
        msg = f"model.base: {error}"
        raise RecipeError(msg) from error
    if not _HUB.fullmatch(base):
        msg = f"model.base: {base!r} is none of: {_FORMS}"
        raise RecipeError(msg)
    if why_no_file(Path(base)) in ("", FOLDER):
        # transformers would take the folder silently.
        msg = (
            f"model.base: {base} is a hub id, but a folder here has that name too; write ./{base}, or run it elsewhere"
        )
        raise RecipeError(msg)
    return base


class PackageFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Read-only fsspec file system over installed packages; registered as `package` by an entry point."""

    protocol = "package"
    root_marker = ""

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The entries of a folder, or the one entry of a file."""
        here = self._find(path)
        name = self._strip_protocol(path)
        found = [self._info(here, name)]
        if here.is_dir():
            found = [self._info(p, f"{name}/{p.name}") for p in sorted(here.iterdir())]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size and type of one entry."""
        return self._info(self._find(path), self._strip_protocol(path))

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> BinaryIO:
        if mode != "rb":
            msg = f"{PROTOCOL}{path} is part of an installed package and read-only"
            raise PermissionError(msg)
        return self._find(path).open("rb")

    def _find(self, path: str) -> Path:
        try:
            return installed(PROTOCOL + self._strip_protocol(path))
        except RecipeError as error:
            raise FileNotFoundError(str(error)) from error

    @staticmethod
    def _info(path: Path, name: str) -> dict[str, Any]:
        kind = "directory" if path.is_dir() else "file"
        return {"name": name, "size": 0 if path.is_dir() else path.stat().st_size, "type": kind}


def roots(name: str) -> list[Path]:
    """The folders of a package; several for a namespace package, none for a module without one."""
    loaded = sys.modules.get(name)
    try:
        # A module that is already imported may have a `__spec__` of None, which `find_spec` refuses.
        spec = None if loaded is not None and loaded.__spec__ is None else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    return [p for p in map(Path, (spec and spec.submodule_search_locations) or ()) if p.is_dir()]


def _advice(name: str) -> str:
    # An import name is not a distribution's name, so that this is a likely one, for the reader to judge.
    likely = name.replace("_", "-")
    command = f"often called {likely} (pip install {likely})"
    return f"\ninstall the distribution that brings it, {command}; see the recipe's header"


def _whole(url: str) -> Path:
    """A folder or file of a package of which nothing lies elsewhere."""
    found = installed(url)
    if leads_outside(found, found):
        msg = f"{url} holds a link that leads out of it; it is not read"
        raise RecipeError(msg)
    return found


def _existing(base: str) -> Path:
    path = Path(base).expanduser().absolute()
    if (why := why_no_file(path)) not in ("", FOLDER):
        msg = f"base {base} {why}{_near_file(path) if why == ABSENT else ''}"
        raise RecipeError(msg)
    return path


def _missing(url: str, root: Path, parts: list[str]) -> str:
    here = root
    for part in parts:
        if not (here / part).exists():
            return f"{url}: there is no {part} in {here}{_near_file(here / part)}"
        here /= part
    return f"{url} does not exist"


def _near_file(path: Path) -> str:
    return did_you_mean(path.name, sorted(_names(path.parent)))


def _names(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (p.name for p in folder.iterdir() if not p.name.startswith((".", "__")))
