"""The verb `recipes`: find recipes; its other verbs have a module each, and some load torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunesmith.cli import recipes_check, recipes_cp, recipes_lock, recipes_new, recipes_pack, recipes_schema
from tunesmith.cli.options import Parser, choose
from tunesmith.cli.screen import Screen
from tunesmith.recipe.packages import address, packaged
from tunesmith.recipe.shipped import PACKAGE, Listed, local, shipped

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
    recipes_cp.add(verbs)
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
