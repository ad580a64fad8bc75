"""What an output's format is: JSON, and headings in the notations that people use."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith import AbsentPackageError, RecipeError

_NAME = r"(?P<name>[^\W_][^\n:*_#|<>\[\]{}\"]{0,58}?)"
_NOTATIONS = [
    rf"#{{1,6}}[ \t]+(?:\*\*|__)?{_NAME}[ \t]*:?(?:\*\*|__)?[ \t]*:?[ \t]*#*$",  # ## Plan
    rf"(?:\*\*|__){_NAME}[ \t]*(?::[ \t]*(?:\*\*|__)|(?:\*\*|__)[ \t]*(?::|$))",  # **Plan:** rest, **Plan**
    rf"{_NAME}[ \t]*:(?:[ \t]|$)",  # Plan: rest
    rf"\[{_NAME}\]:?[ \t]*$",  # [Plan]
]
_LINE = re.compile(
    "|".join(
        rf"^[ \t]*(?:[-*+•][ \t]+|\d+[.)][ \t]+)?(?:{re.sub('<name>', f'<name{at}>', one)})"
        for at, one in enumerate(_NOTATIONS)
    ),
    re.MULTILINE,
)
_UNDERLINED = re.compile(rf"^[ \t]*{_NAME}[ \t]*\n[ \t]*(?:={{3,}}|-{{3,}})[ \t]*$", re.MULTILINE)
_WORDS = 6


def headings(text: str) -> set[str]:
    """Names of the sections of a text, in lower case.

    Read are `# Plan`, `**Plan**`, `Plan:` at the beginning of a line (also in a list), `[Plan]`, `PLAN` alone on a
    line, and a line that is underlined by `===` or `---`.
    """
    found = [next(filter(None, match.groups())) for match in _LINE.finditer(text)]
    found += [match["name"] for match in _UNDERLINED.finditer(text)]
    found += [line for line in map(str.strip, text.split("\n")) if line.isupper() and len(line) > 1]
    return {plain(name) for name in found if len(name.split()) <= _WORDS}


def has_section(text: str, name: str) -> bool:
    """Whether a text has a section of a name, in one of the notations, or as a line of its own."""
    return plain(name) in headings(text) or any(plain(line) == plain(name) for line in text.split("\n"))


def plain(name: str) -> str:
    """A name in lower case with single spaces."""
    return " ".join(name.casefold().split())


def read_json(text: str) -> tuple[bool, Any]:
    """Whether a text is JSON, as the standard has it (no NaN), and its value."""
    try:
        return True, json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False, None


def _no_number(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def schema_validator(path: Path, option: str) -> Callable[[Any], bool]:
    """What says whether a value keeps the JSON Schema in a file. Nothing else is read, whatever the schema refers to.

    Args:
        path: The file.
        option: Where a recipe names it.

    Raises:
        RecipeError: The file holds no JSON Schema; or, when a value is tried, it refers to another one.
        AbsentPackageError: The extra `schema` is not installed.
    """
    try:
        import jsonschema
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        msg = f"{option} needs the package jsonschema: pip install 'tunesmith[schema]'"
        raise AbsentPackageError(msg) from None
    try:
        is_json, schema = read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{option}: {path} cannot be read: {error}"
        raise RecipeError(msg) from None
    if not is_json:
        msg = f"{option}: {path} is no JSON"
        raise RecipeError(msg)
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        msg = f"{option}: {path} is no JSON Schema: {error.message}"
        raise RecipeError(msg) from None
    validator = kind(schema, registry=Registry())

    def valid(value: Any) -> bool:
        try:
            return bool(validator.is_valid(value))
        except Unresolvable as error:
            msg = f"{option}: {path} refers to {error.ref}, which is not in it; copy it into $defs"
            raise RecipeError(msg) from None
        except RecursionError:  # a value deeper than the validator goes
            return False

    return valid
