"""An example as the texts that are looked through, and the same example with other texts."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith import Example
from tunesmith_plugins.curators.json_text import change_json, is_json, leaves

# Of tools and their calls: what a program is called, not who a person is.
_PROGRAM = frozenset(("name", "type", "role", "id", "tool_call_id", "description", "required", "enum"))
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\-.]+")


@dataclass
class Text:
    """A text of an example, as often as it stands there.

    Args:
        keys: Names that it stands under: of columns, and of objects in JSON.
        number: Whether it is a number, not a text, wherever it stands.
    """

    keys: set[str] = field(default_factory=set)
    number: bool = True


def texts_of(example: Example) -> dict[str, Text]:
    """All texts of an example and the numbers of its columns, in order; JSON is taken apart."""
    found: dict[str, Text] = {}
    for key, value in _all(example):
        if isinstance(value, str) and is_json(value):
            for name, leaf in leaves(json.loads(value)):
                _add(found, name or key, leaf)
        else:
            _add(found, key, value)
    return found


def with_texts(example: Example, change: Callable[[str], str]) -> Example:
    """The example with `change` applied to what `texts_of` gives; itself where nothing changes."""

    def whole(text: str) -> str:
        return change_json(text, change) if is_json(text) else change(text)

    changed = example.map_texts(whole, everywhere=True)
    extras = {key: _numbers(value, change) for key, value in changed.extras.items()}
    return changed if extras == changed.extras else changed.with_(extras=extras)


def content_of(example: Example) -> str:
    """One text for all that an example says; equal examples have the same."""
    return json.dumps([[key, value] for key, value in _all(example)], default=str)


def words_of(key: str) -> str:
    """A column's name as words: `patientName` and `patient_name` are "patient Name" and "patient name"."""
    return _HUMP.sub(" ", key).strip()


def _all(example: Example) -> Iterator[tuple[str, Any]]:
    for turn in (*example.messages, *example.chosen, *example.rejected):
        yield "", turn.content
        yield from _of_programs(turn.fields)
    for segment in example.segments:
        yield "", segment.text
    yield from leaves(example.extras)
    for value in (example.label, example.tools):
        yield from (leaf for leaf in _of_programs(value) if isinstance(leaf[1], str))


def _of_programs(value: Any) -> Iterator[tuple[str, Any]]:
    for key, leaf in leaves(value):
        yield "" if key in _PROGRAM else key, leaf


def _add(found: dict[str, Text], key: str, value: Any) -> None:
    known = found.setdefault(value if isinstance(value, str) else str(value), Text())
    known.number = known.number and not isinstance(value, str)
    if key:
        known.keys.add(key)


def _numbers(value: Any, change: Callable[[str], str]) -> Any:
    """Numbers of columns, as texts where they change: an account's number is one."""
    if isinstance(value, Mapping):
        return {key: _numbers(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_numbers(inner, change) for inner in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        said = str(value)
        changed = change(said)
        return value if changed == said else changed
    return value
