"""From the files and words of a command line to one recipe: read, merged, with paths made absolute.

LightningCLI sees the result only (decision 13): jsonargparse alone would replace an earlier file's maps whole, and
would import every `class_path` while parsing, too late to refuse it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, FOLDER, why_no_file
from tunesmith.recipe.confine import confine
from tunesmith.recipe.merge import merge
from tunesmith.recipe.overrides import override
from tunesmith.recipe.package_fs import PROTOCOL, installed, package_of
from tunesmith.recipe.paths import anchor, remote_paths
from tunesmith.recipe.read_yaml import read_text, read_tree
from tunesmith.recipe.remote import Fetched, fetch, is_remote
from tunesmith.recipe.stages import KEY as STAGES
from tunesmith.recipe.stages import stage_names, staged
from tunesmith.recipe.tree import COMMAND_LINE, Leaf, Map, Mark, Tree, plain, removed

KeyPath = str | Sequence[str]
__all__ = ["COMMAND_LINE", "Recipe", "compose"]


class Recipe:
    """A merged recipe: what it says, and who said it.

    Attributes:
        name: The stem of the first file; runs are kept under it.
        paths: The files that were read, absolute, in order.
        remote: The addresses that were read from the net.
        data: Plain maps, lists and scalars; what null removed is not there.
        nulls: Key paths that null removed, for options that take null as a value.
        stages: The names of the recipe's stages, in order.
        stage: The one that this is the recipe of; None where there are none.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        tree: Map,
        remote: Sequence[str] = (),
        stages: Sequence[str] = (),
        stage: str | None = None,
    ) -> None:
        self.name = name
        self.stages = list(stages)
        self.stage = stage
        self.paths = list(paths)
        self.remote = list(remote)
        self.data: dict[str, Any] = plain(tree)
        self.nulls = removed(tree)
        self._tree = tree
        self._gone: dict[tuple[str, ...], list[str]] = {}
        for *parent, key in sorted(self.nulls):
            self._gone.setdefault(tuple(parent), []).append(key)

    def origin(self, keypath: KeyPath) -> str:
        """Which file (as the user named it) set a key, or `command line`; for a missing key, who wrote its parent."""
        return self.mark(keypath).file

    def mark(self, keypath: KeyPath) -> Mark:
        """Like `origin`, with the line and the folder that relative paths start from."""
        return self._deepest(keypath)[0].mark

    def text(self, keypath: KeyPath) -> str | None:
        """How a value was typed on the command line, before YAML made a number of it."""
        found, whole = self._deepest(keypath)
        return found.text if whole and isinstance(found, Leaf) else None

    def gone(self, value: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
        """The keys of a map that null removes. Within lists it still stands there; elsewhere `data` has it no more."""
        return [key for key, entry in value.items() if entry is None] + self._gone.get(path, [])

    def _deepest(self, keypath: KeyPath) -> tuple[Tree, bool]:
        """What stands at a key path or at the deepest part of it, and whether the path goes no further."""
        here: Tree = self._tree
        for key in keypath.split(".") if isinstance(keypath, str) else keypath:
            if not isinstance(here, Map) or key not in here.entries:
                return here, False
            here = here.entries[key]
        return here, True


def compose(configs: Sequence[str], overrides: Sequence[str] = (), stage: str | None = None) -> Recipe:
    """Read a recipe with its overlays and the command line's changes.

    Args:
        configs: Paths, `package://import_name/path.yaml`, or addresses of the net (`remote`); later ones are merged
            over earlier ones.
        overrides: `--a.b.c=v`, or `--a.b.c` and `v`; merged last. Paths in them start from the working directory.
        stage: Which of the recipe's stages is meant; its last if None.

    Raises:
        RecipeError: A file is missing, too large or not plain YAML, a key is given twice, an override is malformed, or
            a recipe of an installed package names what is outside of it.
    """
    if not configs:
        msg = "no recipe is named; give one with --config recipes/medsync.yaml"
        raise RecipeError(msg)
    tree: Tree | None = None
    files, remote = [], []
    for config in configs:
        if is_remote(config):
            remote.append(config)
            read = _from_net(fetch(config))
        else:
            files.append(_locate(config))
            read = _read(config, files[-1])
        tree = merge(tree, anchor(read))
    assert isinstance(tree, Map)
    tree = override(tree, overrides)
    stages = stage_names(tree)
    if stage is not None and not stages:
        msg = f"--stage {stage}: this recipe has no stages"
        raise RecipeError(msg)
    if stages:
        stage = stage or stages[-1]
        tree = staged(tree, stage, overrides)
    elif STAGES in tree.entries:  # an overlay removed them all
        tree = Map({key: value for key, value in tree.entries.items() if key != STAGES}, tree.mark)
    confine(tree)
    _refuse_paths(tree)
    name = Path(configs[0].partition("#")[0].partition("?")[0] if is_remote(configs[0]) else files[0]).stem
    return Recipe(name, files, tree, remote, stages, stage)


def _from_net(fetched: Fetched) -> Map:
    """A recipe from the net, whose paths mean nothing here."""
    try:
        text = fetched.content.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{fetched.address} is not text in UTF-8 (byte {error.start})"
        raise RecipeError(msg) from error
    return _map(fetched.address, read_tree(text, Mark(fetched.address, Path.cwd(), remote=True)))


def _refuse_paths(tree: Map) -> None:
    """Refuse what is left of the paths of a recipe from the net, once overlays and command line have had their say."""
    wrong = [f"  {'.'.join(key)}: {value}" for key, value in remote_paths(tree)]
    if wrong:
        msg = "\n".join(
            [
                "a recipe from the net names no file of this machine, and there is no folder beside it:",
                *wrong,
                "name yours (--data.sources.NAME.path=FILE), or save it with them: lightning-cli recipes cp ADDRESS",
            ]
        )
        raise RecipeError(msg)


def _locate(config: str) -> Path:
    # not `Path.expanduser`, which raises where there is no such home
    path = installed(config) if config.startswith(PROTOCOL) else Path(os.path.expanduser(config)).absolute()  # noqa: PTH111
    if why := why_no_file(path):
        advice = "; name a file in it" if why == FOLDER else _near(path) if why == ABSENT else ""
        msg = f"{config} {why}{advice}"
        raise RecipeError(msg)
    return path


def _read(config: str, path: Path) -> Map:
    package = package_of(config) if config.startswith(PROTOCOL) else None
    return _map(config, read_tree(read_text(path, config), Mark(config, path.parent, package=package)))


def _map(config: str, tree: Tree) -> Map:
    if isinstance(tree, Leaf):
        what = "is empty" if tree.value is None else "is not a map of keys"
        msg = f"{config} {what}; a recipe has model, data, trainer and others (lightning-cli recipes ls)"
        raise RecipeError(msg)
    return tree


def _near(path: Path) -> str:
    """The recipe that was probably meant: in the same folder, or under another ending."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    known = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml"))
    hint = did_you_mean(path.name, known)
    return hint or (f"; in {path.parent} there are: {', '.join(known[:8])}" if known else "")
