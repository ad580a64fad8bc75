"""The verb `recipes new`: a recipe for a data file, tried on its first rows before it is written."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli.recipes_check import ROWS
from tunesmith.cli.screen import tell
from tunesmith.cli.write_file import write_new
from tunesmith.errors import RecipeError, TunesmithError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.shipped import ENDINGS

if TYPE_CHECKING:
    from tunesmith.data.recognise import Choice
    from tunesmith.recipe.columns import FileColumns

_SOURCE = "rows"


def add(verbs: Any) -> None:
    """Add the verb to those of `recipes`."""
    new = verbs.add_parser("new", help="write a recipe for a data file of yours")
    new.add_argument("target", metavar="DEST", type=Path, help="the recipe to write, such as mine.yaml")
    new.add_argument("--data", type=Path, required=True, metavar="FILE", help="jsonl, json, csv, tsv, parquet or txt")
    new.add_argument("--base", help="the base model: a hub id, ./path or package:// (default: the embedded one)")
    new.add_argument("--prompt-column", metavar="NAME", help="the column that asks, where the names do not say")
    new.add_argument("--completion-column", metavar="NAME", help="the column that answers")
    new.add_argument("--force", action="store_true", help="overwrite DEST")
    new.set_defaults(action=_new, parser=new)


def _new(arguments: Any) -> int:
    from tunesmith.data.columns import one_line
    from tunesmith.data.read_as import formatters_of
    from tunesmith.recipe.columns import choose, look
    from tunesmith.recipe.draft import draft, plugins

    target: Path = arguments.target
    if target.suffix not in ENDINGS:
        msg = f"{target}: a recipe's name ends in .yaml"
        raise RecipeError(msg)
    for name, value in (("DEST", target), ("--data", arguments.data.absolute()), ("--base", arguments.base)):
        _check_sayable(name, str(value))
    columns = look(arguments.data)
    catalog = Catalog.load()
    choice = choose(columns, formatters_of(catalog), arguments.prompt_column, arguments.completion_column)
    for kind, plugin in plugins(columns, choice):
        catalog.find(kind, plugin)  # `recipes check` would refuse a name that a package has too
    notes = [*_tried(columns, choice), *_found(arguments.base)]
    write_new(target, draft(columns, choice, target, arguments.base), arguments.force)
    tell(f"wrote {target}: {arguments.data} is read as {choice.name} ({one_line(choice.why)})")
    for note in notes:
        tell("\n  ".join(f"  note: {note}".splitlines()))
    config = shlex.quote(str(target))
    verbs = (f"lightning-cli {verb} --config {config}" for verb in ("preview", "fit", "test"))
    tell("\n  ".join(["next:", f"lightning-cli recipes check {config}", *verbs]))
    return 0


def _check_sayable(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"{name} {value!r} is not UTF-8, and no recipe can name it; rename it"
        raise RecipeError(msg) from error


def _tried(columns: "FileColumns", choice: "Choice") -> list[str]:
    """Read the rows as the recipe will; returns what is to be said of them.

    Raises:
        RecipeError: `recipes check` would refuse the recipe for its rows, or `fit` would for those that were looked at.
    """
    from tunesmith.data.first_rows import look
    from tunesmith.data.rejected import LIMIT
    from tunesmith.data.sources import Source
    from tunesmith.recipe.columns import LOOKED_AT

    source = Source(str(columns.file.absolute()), choice.formatter())
    remarks: list[str] = []
    for most in (ROWS, LOOKED_AT):
        found = look({_SOURCE: source}, most, LIMIT)
        if found.wrong:
            what = "\n".join(found.wrong).removeprefix(f"data.sources.{_SOURCE}: ")
            msg = f"{columns.file}: {what}\n{_advice(columns)}"
            raise RecipeError(msg)
        remarks = found.remarks
    return remarks


def _advice(columns: "FileColumns") -> str:
    from tunesmith.data.columns import one_line

    advice = "mend the rows in the file"
    if len(columns.texts) > 1:
        named = "--prompt-column NAME --completion-column NAME"
        advice += f", or name other columns of text ({', '.join(map(one_line, columns.texts))}): {named}"
    return advice


def _found(base: str | None) -> list[str]:
    """Look for the base that was named; returns what cannot be told of it.

    Raises:
        RecipeError: It is not there, or no base.
    """
    if base is None:
        return []
    from tunesmith.training.base_address import check_address

    try:
        untold = check_address(base)
    except TunesmithError as error:
        msg = f"--base: {str(error).removeprefix('model.base: ')}"
        raise RecipeError(msg) from error
    return [untold] if untold else []
