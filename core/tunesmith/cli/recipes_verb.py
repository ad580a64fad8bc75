"""The verb `recipes`: find and copy recipes; its other verbs have a module each, and some load torch."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunesmith.cli import recipes_check, recipes_lock, recipes_new, recipes_pack, recipes_schema
from tunesmith.cli.options import Parser, choose
from tunesmith.cli.screen import Screen, tell
from tunesmith.cli.write_file import write_new
from tunesmith.recipe.confine import leaving
from tunesmith.recipe.package_fs import package_of
from tunesmith.recipe.packages import address, find, packaged
from tunesmith.recipe.paths import anchor, remote_paths
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.remote import fetch, is_remote
from tunesmith.recipe.shipped import ENDINGS, PACKAGE, Listed, local, look, shipped
from tunesmith.recipe.tree import Mark

PROG = "lightning-cli recipes"
_NO_SUMMARY = "(no comment in its first line)"


def run(words: Sequence[str]) -> int:
    """Run `recipes ...`; returns the exit code.

    Raises:
        RecipeError: The command line is wrong.
        DataError: A data file cannot be read.
    """
    parser = Parser(prog=PROG, description="Find, copy, write, check, lock and pack recipes.")
    verbs = parser.add_subparsers(metavar="VERB")
    ls = verbs.add_parser("ls", help="the recipes that come along, of installed packages, and of this folder")
    ls.set_defaults(action=_ls, parser=ls)
    cp = verbs.add_parser("cp", help="copy a recipe, with paths that still hold")
    cp.add_argument(
        "name", metavar="NAME", help="a recipe by its name in `recipes ls`, a package:// address, or a file"
    )
    cp.add_argument("target", metavar="DEST", nargs="?", type=Path, help="a file or a folder (default: this folder)")
    cp.add_argument("--force", action="store_true", help="overwrite DEST")
    cp.set_defaults(action=_cp, parser=cp)
    recipes_new.add(verbs)
    recipes_check.add(verbs)
    recipes_lock.add(verbs)
    recipes_pack.add(verbs)
    recipes_schema.add(verbs)
    choose(PROG, list(verbs.choices), words)
    arguments = parser.read(words or ["--help"])
    if "action" not in arguments:
        parser.error(f"say what to do: {', '.join(verbs.choices)}")
    return int(arguments.action(arguments))


def _ls(arguments: Any) -> int:
    here = Path.cwd()
    come_along = shipped()
    mine = [listed for listed in local(here) if listed.path not in [s.path for s in come_along]]
    console = Screen()
    for title, listing in (
        ("recipes that come along", [r for r in come_along if not r.overlay]),
        ("overlays that come along: add with a second --config", [r for r in come_along if r.overlay]),
        ("in this folder", mine),
    ):
        if listing:
            console.print(Text(title, style="bold"))
            console.print(_table(listing))
            console.print()
    for package, listing in packaged().items():
        console.print(Text(f"in the installed package {package}", style="bold"))
        for listed in listing:
            overlay = "an overlay: add it with a second --config. " if listed.overlay else ""
            console.print(Text(f"  {address(listed.path)}"), soft_wrap=True)
            console.print(Padding(Text(f"{overlay}{listed.summary or _NO_SUMMARY}"), (0, 0, 0, 4)))
        console.print()
    console.print(Text(f"{PROG} cp NAME  copies one; {PROG} new mine.yaml --data rows.csv  writes one"))
    console.print(Text(f"or use one where it lies: --config package://{PACKAGE}/recipes/NAME.yaml"))
    return 0


def _table(listing: Sequence[Listed]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=18)
    table.add_column(ratio=1)
    for listed in listing:
        table.add_row(Text(f"  {listed.name}"), Text(listed.summary or _NO_SUMMARY))
    return table


def _cp(arguments: Any) -> int:
    # Imported here: `ls` needs no reader of YAML nodes.
    from tunesmith.recipe.read_yaml import read_text
    from tunesmith.recipe.relocate import relocate

    if is_remote(arguments.name):
        return _save(arguments)
    given = Path(arguments.name)
    source = given if given.suffix in ENDINGS and given.is_file() else find(arguments.name)
    target = _target(arguments.target, source.name)
    text = read_text(source)
    write_new(target, relocate(text, source, target), arguments.force)
    tell(f"copied {source} to {target}")
    # as your own it may do what it could not while it was the package's
    package = package_of(url) if (url := address(source)) else None
    tree = anchor(read_tree(text, Mark(str(source), source.parent, package=package)))
    for key, value, _ in leaving(tree):
        tell(f"  look at {'.'.join(key)}: {value} lies outside of the package that it came with")
    copied = shlex.quote(str(target))
    listed = look(target, target.parent)
    overlay = listed is not None and listed.overlay  # which is no recipe by itself
    _next([f"lightning-cli recipes check {f'RECIPE.yaml --overlay {copied}' if overlay else copied}"])
    return 0


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
