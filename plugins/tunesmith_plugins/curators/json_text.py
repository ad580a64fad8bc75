"""Texts that are JSON, as answers often are: what is changed in them leaves them JSON."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*', re.DOTALL)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", re.DOTALL)


def is_json(text: str) -> bool:
    """Whether a text is one JSON object or list."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Texts and numbers of a value, however deep they lie, each with the name that it stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner, key)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield key, value


def change_json(text: str, change: Callable[[str], str]) -> str:
    """A JSON text with its texts and numbers changed, and all else as it is written.

    Names of objects stay. A number that becomes another text is written as text.

    Args:
        text: JSON.
        change: From a text, or a number as it is written, to what takes its place.
    """

    def other(match: "re.Match[str]") -> str:
        token = match[0]
        if token[0] != '"':
            changed = change(token)
            return token if changed == token else json.dumps(changed)
        if text[match.end() :].lstrip()[:1] == ":":
            return token
        said = json.loads(token, strict=False)
        changed = change(said)
        return token if changed == said else json.dumps(changed, ensure_ascii=token.isascii())

    return _TOKEN.sub(other, text)
