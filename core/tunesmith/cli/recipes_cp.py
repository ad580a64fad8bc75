"""The verb `recipes cp`: copies a recipe, with paths that still hold and a lock that does."""

import shlex
import sys
from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli.screen import tell
from tunesmith.cli.write_file import write_new
from tunesmith.errors import RecipeError
from tunesmith.no_file import why_no_file
from tunesmith.recipe.confine import leads_outside, leaving
from tunesmith.recipe.package_fs import PROTOCOL, package_of
from tunesmith.recipe.packages import address, find
from tunesmith.recipe.paths import anchor, remote_paths, unstaged
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.remote import fetch, is_remote
from tunesmith.recipe.shipped import ENDINGS, look
from tunesmith.recipe.tree import Mark

if TYPE_CHECKING:
    from tunesmith.recipe.relocate import Move


_LOCK = ("lightning-cli", "recipes", "lock")


def add(verbs: Any) -> None:
    """Add the verb to those of `recipes`."""
    cp = verbs.add_parser("cp", help="copy a recipe and its lock, with paths that still hold")
    cp.add_argument(
        "name", metavar="NAME", help="a recipe by its name in `recipes ls`, a package:// address, or a file"
    )
    cp.add_argument("target", metavar="DEST", nargs="?", type=Path, help="a file or a folder (default: this folder)")
    cp.add_argument("--force", action="store_true", help="overwrite DEST")
    cp.set_defaults(action=_cp, parser=cp)


def _cp(arguments: Any) -> int:
    # Imported here: `ls` needs no reader of YAML nodes.
    from tunesmith.recipe.read_yaml import read_text
    from tunesmith.recipe.relocate import moves, relocate

    if is_remote(arguments.name):
        return _save(arguments)
    given = Path(arguments.name)
    source = given if given.suffix in ENDINGS and given.is_file() else find(arguments.name)
    target = _target(arguments.target, source.name)
    text = read_text(source)
    # as your own it may do what it could not while it was the package's
    package = package_of(url) if (url := address(source)) else None
    moved, written = moves(text, source, target), relocate(text, source, target)
    lock = _Lock(source, target, package)
    lock.refuse_overwriting(arguments.force)
    write_new(target, written, arguments.force)
    tell(f"copied {source} to {target}")
    checks = [shlex.join([*_LOCK, "--check", str(target)])] if lock.copy(moved) else []
    tree = anchor(read_tree(text, Mark(str(source), source.parent, package=package)))
    for key, value, _ in leaving(tree):
        tell(f"  look at {'.'.join(key)}: {value} lies outside of the package that it came with")
    copied = shlex.quote(str(target))
    listed = look(target, target.parent)
    overlay = listed is not None and listed.overlay  # which is no recipe by itself
    _next([f"lightning-cli recipes check {f'RECIPE.yaml --overlay {copied}' if overlay else copied}", *checks])
    return 0


class _Lock:
    """The lock of a recipe that is copied.

    Args:
        source: The recipe.
        target: Its copy.
        package: The folder of the installed package that it is from, out of which nothing is read.
    """

    def __init__(self, source: Path, target: Path, package: Path | None) -> None:
        # Imported here: `ls` needs no locks.
        from tunesmith.recipe.lock_file import lock_path

        self.source, self.target = lock_path([source]), lock_path([target])
        self.recipe = target
        self.others = sorted(path.name for path in source.parent.glob(f"{escape(source.stem)}+*{self.source.suffix}"))
        self.there = self.source.is_file() and (package is None or not leads_outside(self.source, package))

    def refuse_overwriting(self, force: bool) -> None:
        """Raise RecipeError where another lock is in the way, before anything is written."""
        if self.there and self.target.exists() and not force:
            msg = f"{self.target} is there already; another name, or --force to overwrite it"
            raise RecipeError(msg)

    def copy(self, moved: "Sequence[Move]") -> bool:
        """Copy it where it still holds, and say why where it does not; whether it is there now."""
        from tunesmith.recipe.lock_file import read_lock, write_lock

        for name in self.others:
            tell(f"  {name} is of the recipe with an overlay, and is not copied")
        if not self.there:
            return False
        content, why = {}, next(filter(None, map(_unlocks, moved)), "")
        try:
            content = {} if why else read_lock(self.source, shlex.join([*_LOCK, str(self.recipe)]))
        except RecipeError as error:
            why = str(error).partition("\n")[0]
        if why:
            tell(f"  {self.source.name} is not copied: {why}")
            return False
        write_lock(self.target, content, [self.recipe.name])
        tell(f"  {self.source.name} with it, as {self.target}")
        return True


def _unlocks(move: "Move") -> str:
    """Why a lock does not hold once a path reads otherwise; empty where it does: files are known by their content."""
    key, own = ".".join(move.key), unstaged(move.key)
    if (*own[:2], own[-1]) == ("data", "sources", "path") or own == ("trainer", "default_root_dir"):
        return ""
    if move.value.startswith(PROTOCOL) or (own != ("model", "base") and why_no_file(Path(move.file))):
        return f"{key} is {move.value} now, which it does not know"
    return ""


def _target(given: Path | None, name: str) -> Path:
    target = given or Path(name)
    return target / name if target.is_dir() or target.suffix not in ENDINGS else target


def _save(arguments: Any) -> int:
    """Copy a recipe from the net, as it is."""
    fetched = fetch(arguments.name)
    text = fetched.content.decode("utf-8", "replace")
    target = _target(arguments.target, fetched.name)
    tree = read_tree(text, Mark(fetched.address, target.parent, remote=True))
    write_new(target, text, arguments.force)
    tell(f"saved {fetched.address} as {target}")
    for key, value in remote_paths(tree):
        tell(f"  {'.'.join(key)}: {value} does not come with it")
    _next([f"lightning-cli recipes check {shlex.quote(str(target))}"])
    return 0


def _next(commands: Sequence[str]) -> None:
    sys.stdout.write("next:\n" + "".join(f"  {command}\n" for command in commands))
