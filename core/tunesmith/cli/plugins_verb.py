"""The verb `plugins`: what is installed, and what each plugin takes. Loads no torch."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunesmith.cli import plugins_check, plugins_new
from tunesmith.cli.options import Parser, choose
from tunesmith.cli.plugins_markdown import page, section
from tunesmith.cli.screen import Screen
from tunesmith.cli.trusted import say_trusted
from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.describe import Description, deprecated, describe, summary
from tunesmith.plugins.installed import BLOCK_VARIABLE, Absent
from tunesmith.plugins.load import BASES

PROG = "lightning-cli plugins"
_EPILOG = f"""\
A package brings plugins by an entry point in the group `tunesmith`. {BLOCK_VARIABLE}=name,name leaves packages
out; a recipe's `plugins: [name]` allows only those it names, beside the built-ins."""


def run(words: Sequence[str]) -> int:
    """Run `plugins ...`; returns the exit code.

    Raises:
        RecipeError: The command line is wrong, or names no plugin.
    """
    parser = Parser(prog=PROG, description="What recipes may name.", epilog=_EPILOG)
    verbs = parser.add_subparsers(metavar="VERB")
    listing = verbs.add_parser("list", help="all plugins by kind, and the packages that could not be used")
    one = verbs.add_parser("describe", help="a plugin's options, types, defaults and documentation")
    one.add_argument("name", metavar="NAME", nargs="?", help="its name in a recipe, or its dotted path")
    one.add_argument("--all", action="store_true", help="all plugins instead of one")
    one.add_argument("--package", metavar="NAME", help="with --all: only what this distribution brings")
    one.add_argument("--markdown", action="store_true", help="a page in Markdown instead of a table")
    plugins_check.add(verbs)
    plugins_new.add(verbs)
    for sub in (listing, one):
        sub.add_argument("--kind", choices=list(BASES), metavar="KIND", help=f"only this kind: {', '.join(BASES)}")
        sub.add_argument("--json", action="store_true", help="plain data instead of a table")
        sub.add_argument("--plugin", type=Path, action="append", default=[], metavar="FILE", help="a file of your own")
        sub.set_defaults(parser=sub)
    listing.set_defaults(action=_list)
    one.set_defaults(action=_describe)
    choose(PROG, list(verbs.choices), words)
    arguments = parser.read(words or ["--help"])
    if "action" not in arguments:
        parser.error(f"say what to do: {', '.join(verbs.choices)}")
    say_trusted(arguments.plugin)
    return int(arguments.action(arguments, Catalog.load(extra_files=arguments.plugin)) or 0)


def _list(arguments: Any, catalog: Catalog) -> None:
    kinds = [arguments.kind] if arguments.kind else list(BASES)
    if arguments.json:
        _print_json(
            {
                "plugins": [_row(catalog, e) for e in catalog.entries if e.kind in kinds],
                "broken": [_absent(a) for a in catalog.broken],
                "blocked": [_absent(a) for a in catalog.blocked],
                "unknown_blocks": catalog.unknown_blocks,
            }
        )
        return
    console = Screen()
    for kind in kinds:
        entries = [e for e in catalog.entries if e.kind == kind]
        console.print(Text(f"{kind}s", style="bold"))
        console.print(_table(catalog, entries) if entries else Text("  none"))
        console.print()
    _print_absent(console, "failed to load", catalog.broken, "red")
    _print_absent(console, "not used", catalog.blocked, "yellow")
    if catalog.unknown_blocks:
        console.print(Text(f"{BLOCK_VARIABLE} names what is not installed: {', '.join(catalog.unknown_blocks)}\n"))
    console.print(Text(f"{PROG} describe NAME  shows a plugin's options"))


def _table(catalog: Catalog, entries: Sequence[Entry]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), expand=False)
    table.add_column(no_wrap=True, min_width=18, overflow="fold")
    table.add_column(ratio=1)
    table.add_column(max_width=20, overflow="fold")
    for entry in sorted(entries, key=lambda e: (not e.builtin, e.package, e.name)):
        text = Text(summary(entry.cls) or "(no docstring)")
        if told := deprecated(entry.cls):
            text.append(f"\n{told}", style="yellow")
        if told := catalog.shared(entry):
            text.append(f"\n{told}", style="yellow")
        table.add_row(Text(f"  {entry.name}"), text, Text(entry.origin, style="dim"))
    return table


def _print_absent(console: Console, title: str, absents: Sequence[Absent], style: str) -> None:
    if not absents:
        return
    console.print(Text(title, style=f"bold {style}"))
    for absent in absents:
        console.print(Padding(Text(f"{absent}: {absent.reason}", style=style), (0, 0, 0, 2)))
    console.print()


def _describe(arguments: Any, catalog: Catalog) -> None:
    entries = _chosen(arguments, catalog)
    descriptions = [describe(entry) for entry in entries]
    if arguments.json:
        data = [description.as_data() for description in descriptions]
        _print_json(data if arguments.all else data[0])
    elif arguments.markdown:
        sys.stdout.write(page(entries) if arguments.all else "\n".join(section(descriptions[0])) + "\n")
    else:
        for number, description in enumerate(descriptions):
            if number:
                print()
            _print_description(Screen(), catalog, description)


def _chosen(arguments: Any, catalog: Catalog) -> list[Entry]:
    if arguments.all == (arguments.name is not None):
        arguments.parser.error("name one plugin, or all of them with --all")
    if arguments.json and arguments.markdown:
        arguments.parser.error("--json and --markdown are two forms; choose one")
    if not arguments.all:
        if arguments.package:
            arguments.parser.error("--package goes with --all")
        return [_one(catalog, arguments.name, arguments.kind)]
    packages = dict.fromkeys(entry.package for entry in catalog.entries)
    if arguments.package and arguments.package not in packages:
        near = did_you_mean(arguments.package, packages)
        msg = f"--package {arguments.package}: no such package brings plugins{near}\npackages: {', '.join(packages)}"
        raise RecipeError("\n".join([msg, *catalog.unusable()]))
    return [
        entry
        for entry in catalog.entries
        if arguments.kind in (None, entry.kind) and arguments.package in (None, entry.package)
    ]


def _one(catalog: Catalog, name: str, kind: str | None) -> Entry:
    if kind is not None:
        return catalog.entry(kind, name)
    found = catalog.matching(name)
    if len(found) == 1:
        return found[0]
    if not found:
        known = {e.name for e in catalog.entries}
        lines = [f"there is no plugin {name}{did_you_mean(name, known)}", f"all of them: {PROG} list"]
        raise RecipeError("\n".join([*lines, *catalog.unusable()]))
    if len({e.kind for e in found}) > 1:
        ways = ", ".join(f"--kind {kind}" for kind in dict.fromkeys(e.kind for e in found))
        msg = f"{name} is the name of several kinds of plugin; add one of: {ways}"
        raise RecipeError(msg)
    return catalog.entry(found[0].kind, name)


def _print_description(console: Console, catalog: Catalog, description: Description) -> None:
    entry = description.entry
    console.print(Text.assemble((entry.name, "bold"), f"  {entry.kind}"))
    origin = f"{entry.package} {entry.version}".rstrip() + (" (built-in)" if entry.builtin else "")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, value in (("package", origin), ("import path", entry.path), ("file", description.file)):
        facts.add_row(Text(name), Text(value))
    console.print(facts)
    if description.deprecated:
        console.print(Text(description.deprecated, style="yellow"))
    if shared := catalog.shared(entry):
        console.print(Text(shared, style="yellow"))
    console.print()
    console.print(Text(description.prose or "(no docstring)"))
    console.print()
    if not description.options:
        console.print(Text("no options"))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="options", title_justify="left", title_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("type", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for option in description.options:
        default = Text("required", style="bold") if option.default is None else Text(option.default)
        told = Text(f"{option.deprecated}\n" if option.deprecated else "", style="yellow")
        table.add_row(Text(option.name), Text(option.type), default, Text.assemble(told, option.doc))
    console.print(table)


def _row(catalog: Catalog, entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "path": entry.path,
        "summary": summary(entry.cls),
        "deprecated": deprecated(entry.cls),
        "needs_path": bool(catalog.namesakes(entry)),
        "same_name": [other.path for other in catalog.namesakes(entry)],
    }


def _absent(absent: Absent) -> dict[str, str]:
    return {
        "package": absent.package,
        "version": absent.version,
        "entry_point": absent.entry_point,
        "reason": absent.reason,
    }


def _print_json(data: Any) -> None:
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
