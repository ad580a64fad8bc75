"""The verb `plugins new`: a package with a plugin that works, to be changed into one's own."""

import shlex
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.load import BASES

_KINDS = ", ".join(BASES)
_EPILOG = "The package installs, keeps the rules of its kind, and has a recipe that uses it."


def add(verbs: Any) -> None:
    """Add the verb to those of `plugins`."""
    new = verbs.add_parser("new", help="write a package with a plugin of yours", epilog=_EPILOG)
    new.add_argument("kind", metavar="KIND", help=_KINDS)
    new.add_argument("name", metavar="NAME", help="its class, which is its name in a recipe, such as MyMetric")
    new.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where its folder is made (default: here)"
    )
    new.add_argument("--force", action="store_true", help="write into a folder that is there; other files in it stay")
    new.set_defaults(action=_new, parser=new, plugin=[])


def _new(arguments: Any, catalog: Catalog) -> None:
    """Write it, and say what was written and what comes next.

    Raises:
        RecipeError: Kind or name will not do, or the folder is there or cannot be written.
    """
    from tunesmith.plugins.draft.names import check_free, read_kind, read_name
    from tunesmith.plugins.draft.package import USES, a, draft, reserved

    if arguments.name.casefold() in BASES and arguments.kind.casefold() not in BASES:
        msg = f"the kind comes first: lightning-cli plugins new {arguments.name} {arguments.kind}"
        raise RecipeError(msg)
    kind = read_kind(arguments.kind)
    builtin = [entry.name for entry in catalog.entries if entry.builtin]
    names = read_name(arguments.name, builtin, reserved(kind))
    folder = arguments.into / names.distribution
    if folder.exists() and not arguments.force:
        msg = f"{folder} is there already; another name, --into another folder, or --force to write into it"
        raise RecipeError(msg)
    check_free(names, folder)
    files = draft(kind, names)
    _write(folder, files)
    print(f"wrote {folder}: {names.cls}, {a(kind)}")
    print("".join(f"  {path}\n" for path in files), end="")
    place = shlex.quote(str(folder))
    use = f"lightning-cli {USES[kind].verbs[0]} --config recipe.yaml"
    commands = [f"cd {place} && pip install -e '.[test]'", f"lightning-cli plugins check {names.distribution}"]
    print("\n  ".join(["next:", *commands, f"pytest && {use}"]))


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{error.filename or folder} cannot be written: {error.strerror}"
        raise RecipeError(msg) from error
