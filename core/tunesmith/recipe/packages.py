"""Recipes in installed packages, found without importing any.

The rule: a distribution that depends on tunesmith, or has an entry point in its group `tunesmith`, may bring recipes.
Every YAML file in its import packages that is a recipe or an overlay counts, wherever it lies in them. The import
packages are those that its list of installed files and its entry points name, and the one of its own name; an editable
install lists no files.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.recipe import shipped
from tunesmith.recipe.package_fs import PROTOCOL, installed, roots
from tunesmith.recipe.shipped import ENDINGS, Listed, look

_OURS = "tunesmith"
_DEPENDS = re.compile(r"^Requires-Dist:\s*tunesmith(?![\w.-])", re.MULTILINE | re.IGNORECASE)


def packaged() -> dict[str, list[Listed]]:
    """The recipes and overlays of each package that has some, by import name, recipes first."""
    found: dict[str, list[Listed]] = {}
    for name in sorted(set(_packages())):
        listing = [listed for root in roots(name) for listed in _in(root, name)]
        if listing:
            found[name] = sorted(listing, key=lambda listed: listed.overlay)
    return found


def address(file: Path) -> str | None:
    """The `package://` address of a file that comes along or lies in a package of recipes; None for any other."""
    if (own := shipped.address(file)) is not None:
        return own
    resolved = file.resolve()
    for name in _packages():
        for root in (root.resolve() for root in roots(name)):
            if resolved.is_relative_to(root):
                return f"{PROTOCOL}{name}/{resolved.relative_to(root).as_posix()}"
    return None


def find(name: str) -> Path:
    """The file of a recipe by its address, or by its name in `recipes ls`.

    Raises:
        RecipeError: There is none.
    """
    if name.startswith(PROTOCOL):
        file = installed(name)
        if not file.is_file():
            msg = f"{name} is a folder; name a recipe in it (lightning-cli recipes ls)"
            raise RecipeError(msg)
        return file
    known = {listed.name: listed.path for listed in (*shipped.shipped(), *chain.from_iterable(packaged().values()))}
    short = name.removeprefix("./").removeprefix("recipes/").removesuffix(".yaml").removesuffix(".yml")
    if short not in known:
        msg = (
            f"no recipe called {name} comes along, or is in an installed package{did_you_mean(short, known)}\n"
            f"there are: {', '.join(known)}  (lightning-cli recipes ls)"
        )
        raise RecipeError(msg)
    return known[short]


def _packages() -> Iterator[str]:
    """Import names of what may bring recipes."""
    for distribution in metadata.distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name = re.search(r"^Name:\s*(\S+)", text, re.MULTILINE)
        if name is None or name[1].lower() == _OURS:
            continue
        points = re.search(rf"^\[{_OURS}\]\s*$", distribution.read_text("entry_points.txt") or "", re.MULTILINE)
        if points is None and _DEPENDS.search(text.partition("\n\n")[0]) is None:
            continue
        yield from _tops(distribution, name[1])


def _tops(distribution: metadata.Distribution, name: str) -> Iterator[str]:
    try:
        files = [file.parts[0] for file in distribution.files or () if len(file.parts) > 1]
        modules = [point.module.partition(".")[0] for point in distribution.entry_points.select(group=_OURS)]
    except Exception:  # what cannot be read is what `plugins list` shows
        files, modules = [], []
    tops = {re.sub(r"[-.]+", "_", name), *files, *modules}
    yield from (top for top in tops if top.isidentifier())


def _in(root: Path, name: str) -> Iterator[Listed]:
    for path in sorted(path for ending in ENDINGS for path in root.rglob(f"*{ending}")):
        if not path.resolve().is_relative_to(root.resolve()):
            continue  # a link out of the package, which nothing can be named by
        listed = look(path, root)
        if listed is not None:
            yield Listed(f"{name}/{listed.name}", path, listed.summary, listed.overlay)
