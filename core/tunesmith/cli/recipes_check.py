"""The verb `recipes check`: reads recipes and their first rows without running them, and says what is wrong."""

import shlex
from typing import Any

from tunesmith.cli.screen import tell
from tunesmith.cli.trusted import say_trusted
from tunesmith.errors import RecipeError, TunesmithError
from tunesmith.recipe.schema import OVERLAY_WITH

ROWS = 100


def add(verbs: Any) -> None:
    """Add the verb to those of `recipes`."""
    check = verbs.add_parser("check", help="read recipes and their first rows, and say what is wrong; trains nothing")
    check.add_argument("paths", metavar="PATH", nargs="+", help="recipes; each is checked by itself")
    check.add_argument("--overlay", action="append", default=[], metavar="PATH", help="lay this over each of them")
    check.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows read of each source ({ROWS})")
    add_code(check)
    check.set_defaults(action=_check, parser=check)


def add_code(parser: Any) -> None:
    """Add what lets a recipe name code of the user's own."""
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a file of your own")
    parser.add_argument("--trust", action="append", default=[], metavar="PREFIX", help="an import prefix to allow")


def _check(arguments: Any) -> int:
    # Loads torch, which most other verbs do without.
    from tunesmith.cli.check import check_recipe

    if arguments.rows < 0:
        arguments.parser.error(f"--rows is {arguments.rows}; it takes a number of rows, or 0 to read none")
    say_trusted(arguments.plugin, arguments.trust)
    wrong = 0
    for path in arguments.paths:
        try:
            found = check_recipe([path, *arguments.overlay], arguments.plugin, arguments.trust, arguments.rows)
        except TunesmithError as error:
            wrong += 1
            way = f"lightning-cli recipes check RECIPE.yaml --overlay {shlex.quote(path)}"
            _say(f"{path}: wrong", str(error).replace(OVERLAY_WITH, way))
        else:
            some = f", but {len(found.absent)} file{'s are' if len(found.absent) > 1 else ' is'} absent:"
            notes = [f"note: {remark}" for remark in found.remarks]
            _say(f"{path}: good{some if found.absent else ''}", *found.absent, *notes)
    return RecipeError.exit_code if wrong else 0


def _say(title: str, *texts: str) -> None:
    lines = [line for text in texts for line in text.splitlines()]
    tell("\n  ".join([title, *lines]))
