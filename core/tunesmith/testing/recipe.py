"""A plugin's options to YAML and back, through the code that reads recipes."""

import json
import tempfile
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.interfaces import Plugin
from tunesmith.plugins.load import BASES
from tunesmith.recipe.signature import options

_KEY, _NAME = "plugins_under_check", "it"


def through_a_recipe(plugin: Plugin) -> Plugin:
    """The plugin that a recipe makes of the options of `plugin`.

    Raises:
        RecipeError: The recipe's check refuses the options.
        ArgumentError: jsonargparse does.
    """
    import yaml
    from jsonargparse import ArgumentParser

    from tunesmith.recipe.compose import compose
    from tunesmith.recipe.schema import check

    cls = type(plugin)
    given = {name: _plain(getattr(plugin, name)) for name in options(cls)}
    path = f"{cls.__module__}.{cls.__qualname__}"
    fragment = {_KEY: {_NAME: {"class_path": path, "init_args": given}}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plugin.yaml"
        file.write_text(yaml.safe_dump(fragment, sort_keys=False, allow_unicode=True), encoding="utf-8")
        recipe = compose([str(file)])
    hint = types.GenericAlias(dict, (str, BASES[cls.kind]))
    checked = check(recipe, Catalog([Entry(cls.kind, cls, cls.__module__, "")]), {_KEY: hint})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{_KEY}", type=hint)
    # as JSON, in which the command hands recipes on
    read = parser.instantiate(parser.parse_object(json.loads(json.dumps(checked))))
    made: Plugin = read[_KEY][_NAME]
    return made


def _plain(value: Any) -> Any:
    """An option as YAML writes it."""
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    return value
