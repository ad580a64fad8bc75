"""Where the recipes that come along lie, and which recipes there are in a folder."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.recipe.read_yaml import read_text, read_tree
from tunesmith.recipe.tree import Map, Mark

PACKAGE = "tunesmith_plugins"
ENDINGS = (".yaml", ".yml")
_FOLDER = "recipes"
# A file that sets one of these belongs to Tunesmith; one that brings no data of its own is an overlay.
_TELLING = frozenset({"model", "data", "trainer"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A recipe or an overlay, as `recipes ls` shows it.

    Args:
        name: What `recipes cp` takes: the path below the folder, without its ending.
        path: The file.
        summary: Its first comment line.
        overlay: Whether it changes a recipe and never runs alone.
    """

    name: str
    path: Path
    summary: str
    overlay: bool


def folder() -> Path:
    """The folder of the shipped recipes: inside the package when installed from a wheel, else the checkout's.

    An editable install has no copy in the package, so that a changed recipe of the checkout is the one that runs.

    Raises:
        RecipeError: Neither is there.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations if spec else None) or ():
        package = Path(place)
        for candidate in (package / _FOLDER, package.parent.parent / _FOLDER):
            if candidate.is_dir():
                return candidate
    msg = f"the recipes of {PACKAGE} are not where they belong; install tunesmith again"
    raise RecipeError(msg)


def is_recipe(parts: Sequence[str]) -> bool:
    """Whether a path below the package belongs to the recipes, which lie in `folder()`."""
    return list(parts[:1]) == [_FOLDER]


def address(file: Path) -> str | None:
    """The `package://` address of a file that comes along, which holds on every machine; None for any other file."""
    top = folder().resolve()
    resolved = file.resolve()
    if not resolved.is_relative_to(top):
        return None
    return f"package://{PACKAGE}/{_FOLDER}/{resolved.relative_to(top).as_posix()}"


def shipped() -> list[Listed]:
    """The recipes and overlays that come along, recipes first."""
    top = folder()
    found = [listed for path in sorted(top.rglob("*.yaml")) if (listed := look(path, top)) is not None]
    return sorted(found, key=lambda r: r.overlay)


def local(top: Path) -> list[Listed]:
    """The recipes and overlays that lie directly in a folder."""
    return [listed for path in sorted(_yaml_files(top)) if (listed := look(path, top)) is not None]


def look(path: Path, top: Path) -> Listed | None:
    """What a YAML file is; None where it is no recipe, or cannot be read as `compose` reads one."""
    try:
        text = read_text(path)
        tree = read_tree(text, Mark(str(path), path.parent))
    except RecipeError:
        return None
    if not isinstance(tree, Map) or not _TELLING & tree.entries.keys():
        return None
    name = path.relative_to(top).with_suffix("").as_posix()
    data = tree.entries.get("data")
    return Listed(name, path, _first_comment(text), overlay=not isinstance(data, Map) or "sources" not in data.entries)


def _yaml_files(top: Path) -> Iterator[Path]:
    for ending in ENDINGS:
        yield from (path for path in top.glob(f"*{ending}") if path.is_file())


def _first_comment(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").strip()
        if line.strip():
            break
    return ""
