"""The verb `recipes schema`: a JSON Schema of recipes, by which editors complete and check them."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from tunesmith.cli.screen import tell
from tunesmith.cli.trusted import say_trusted
from tunesmith.cli.write_file import write_file
from tunesmith.errors import RecipeError
from tunesmith.recipe.stages import KEY as STAGES
from tunesmith.recipe.stages import stages_shape

_EPILOG = """\
Editors with the YAML language server complete and check a recipe that begins
with the line that --output prints. The schema knows the plugins that are
installed here, so it is written anew where others are, and not shared."""


def add(verbs: Any) -> None:
    """Register the verb."""
    schema = verbs.add_parser("schema", help="a JSON Schema of recipes, for completion in editors", epilog=_EPILOG)
    schema.add_argument("--output", type=Path, metavar="FILE", help="write it there (default: print it)")
    schema.add_argument("--overlay", action="store_true", help="the schema of overlays, in which nothing is missing")
    schema.add_argument("--plugin", type=Path, action="append", default=[], metavar="FILE", help="a file of your own")
    schema.add_argument("--trust", action="append", default=[], metavar="PREFIX", help="an import prefix to allow")
    schema.add_argument("--force", action="store_true", help="overwrite FILE, whatever it holds")
    schema.set_defaults(action=_schema, parser=schema)


def _schema(arguments: Namespace) -> int:
    # Types of options are torch's and Lightning's own.
    from tunesmith.cli.trainer_cli import ABOUT, sections
    from tunesmith.plugins.catalog import Catalog
    from tunesmith.recipe.json_schema import json_schema

    target: Path | None = arguments.output
    if target is not None and target.exists() and not arguments.force and not _is_schema(target):
        msg = f"{target} is there already and holds no such schema; another name, or --force to overwrite it"
        raise RecipeError(msg)
    say_trusted(arguments.plugin, arguments.trust)
    catalog = Catalog.load(extra_files=arguments.plugin)
    schema = json_schema(sections(), catalog, arguments.trust, about=ABOUT, overlay=arguments.overlay)
    schema["properties"][STAGES] = stages_shape(schema["properties"], ABOUT[STAGES])
    text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    if target is None:
        sys.stdout.write(text)
        return 0
    write_file(target, text)
    what = "overlays" if arguments.overlay else "recipes"
    path = os.path.relpath(target)
    shown = path if path.startswith("..") else f"./{path}"
    tell(f"wrote {target}\nthe first line of {what} in this folder:\n  # yaml-language-server: $schema={shown}")
    return 0


def _is_schema(target: Path) -> bool:
    """Whether a file is one that this verb wrote, which newer plugins make out of date."""
    try:
        content = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("title", "")).endswith(" of Tunesmith")
