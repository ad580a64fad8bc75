"""What jsonargparse and constructors complain about, in the words of a recipe.

`recipe.schema` finds nearly all mistakes first. What is left are values that only jsonargparse understands (dates,
types with conditions) and options that a constructor refuses.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.nearest import one_of
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.merge import same_class

_MOST = 300
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "NoneType": "null",
    "list": "a list",
    "dict": "a map",
}
# jsonargparse nests: Parser key "model.adapter": Problem with given class_path 'x.QLoRA': Parser key "rank": ...
_STEP = re.compile(r"""(?:Parser key "(?P<key>[^"]+)"|Problem with given class_path '(?P<cls>[^']+)'):\s*""")
_GROUP = re.compile(r"Group '(?P<group>[^']+)' does not accept option '(?P<key>[^']+)'")
_UNKNOWN = re.compile(r"Option '(?P<key>[^']+)' is not accepted|unrecognized arguments: --(?P<word>[^\s=]+)")
_REQUIRED = re.compile(r"the following arguments are required: (?P<keys>.+)")
_VALUE = re.compile(r"(?:Got value: |Given value: |but got )(?P<value>.+?)\s*$", re.MULTILINE)
_EXPECTED = re.compile(r"Expected (?P<what>.+?)(?:\. Got value:.*| but got .*)?$", re.MULTILINE)
_VERBS = ("fit", "validate", "test", "predict", "audit", "preview", "prepare")


def explain(error: BaseException | str, recipe: Recipe) -> str:
    """One short message: the file, the key, the value, and what is allowed.

    Args:
        error: What jsonargparse, LightningCLI or a constructor raised.
        recipe: The recipe that was parsed.
    """
    text = (str(error) or type(error).__name__) if isinstance(error, BaseException) else error
    key, rest = _place(text, recipe)
    if match := _REQUIRED.search(rest):
        missing = [_inside(key, name.strip()) for name in match["keys"].split(",")]
        return "\n".join(_say(recipe, name, "is missing") for name in missing)
    if match := _GROUP.search(rest):
        return _say(
            recipe, _inside(key, f"{match['group']}.{match['key']}"), f"is not a key of {_plain(match['group'])}"
        )
    if match := _UNKNOWN.search(rest):
        return _say(recipe, _inside(key, match["key"] or match["word"]), "is not accepted there")
    return _say(recipe, key, _complaint(rest)) if key else f"{recipe.origin(())}: {_short(rest)}"


def _place(text: str, recipe: Recipe) -> tuple[str, str]:
    """The key path that nested parsers report in steps, and what the innermost says about it."""
    key, end = "", 0
    for step in _STEP.finditer(text):
        key = _inside(key, step["key"]) if step["key"] else _named(recipe, key, step["cls"])
        end = step.end()
    return key, text[end:]


def _named(recipe: Recipe, key: str, cls: str) -> str:
    """The place at or below a key where a class is named: of a map of names, jsonargparse reports the map only."""
    value: Any = recipe.data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    found = list(_naming(value, cls, key))
    return found[0] if len(found) == 1 else key


def _naming(value: Any, cls: str, key: str) -> Iterator[str]:
    name = value.get("class_path") if isinstance(value, Mapping) else value
    if isinstance(name, str) and same_class(name, cls):
        yield key
    elif isinstance(value, Mapping):
        for inner, entry in value.items():
            yield from _naming(entry, cls, f"{key}.{inner}")


def _inside(key: str, inner: str) -> str:
    return f"{key}.init_args.{inner.removeprefix('init_args.')}" if key else _plain(inner)


def _plain(key: str) -> str:
    """The key without the verb, under which LightningCLI files a recipe."""
    verb, _, rest = key.partition(".")
    return rest if verb in _VERBS and rest else key


def _complaint(text: str) -> str:
    value = _VALUE.findall(text)
    wanted = list(dict.fromkeys(_words(what) for what in _EXPECTED.findall(text)))
    if value and wanted:
        return f"is {value[-1]}; it takes {' or '.join(wanted)}"
    return f"cannot be used: {_short(text)}"


def _words(what: str) -> str:
    """`a <class 'int'>` as a reader of recipes would say it."""
    match = re.search(r"<class '(?:\w+\.)*(\w+)'>", what)
    if match:
        return _TYPES.get(match[1], match[1])
    if what.startswith("a typing.Literal["):
        return one_of(value.strip(" '") for value in what.partition("[")[2].rstrip("]").split(","))
    return what.strip()


def _say(recipe: Recipe, key: str, what: str) -> str:
    return f"{recipe.origin(key)}: {key} {what}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST else f"{line[:_MOST]}..."
