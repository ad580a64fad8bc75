"""What a text states: the items of named fields, in JSON objects and behind labels; and what a gold column holds."""

import json
import math
import re
import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

NONE = (
    "none",
    "none known",
    "none reported",
    "none noted",
    "none found",
    "no",
    "no {field}",
    "no known {field}",
    "no known drug {field}",
    "nka",
    "nkda",
    "nil",
    "nothing",
    "n/a",
    "not applicable",
)
"""Phrases that state that a field has no items."""
DIVIDE = "[,;]"
"""What divides the items of a text, as a regular expression."""

_FALSE = frozenset({"0", "0.0", "false"})
_TRIMMED = "*_`\"' \t"
_EDGES = string.punctuation + string.whitespace + "\u2013\u2014\u2022\u2026"  # dashes, bullet, ellipsis
_LISTED = "-*+•1"
_LONGEST_LABEL = 3
_MARKS = re.compile(r"([ \t]*)((?:(?:[-*+•]|\d{1,3}[.)]|#{1,6}|>)(?:[ \t]+|$))*)(.*)")
_LABEL = re.compile(r"[*_`]{0,3}([^:]{1,80}?)[ \t]*:[*_`]{0,3}(.*)")
_BOLD = re.compile(r"(\*\*|__)([^*]+)\1[ \t]*$")


class _Line(NamedTuple):
    """One line: its indent, its last mark (`1` for a number, `#` for a heading), its label, and what follows that."""

    indent: int
    mark: str
    text: str
    label: str
    rest: str

    @property
    def ends_a_field(self) -> bool:
        """Whether it begins something else; a sentence with a colon in it does not."""
        return bool(self.label) and len(self.label.split()) <= _LONGEST_LABEL


def nothing(phrases: Collection[str], field: str) -> frozenset[str]:
    """Phrases as they are compared, with `{field}` replaced by the field's name."""
    return frozenset(_bare(phrase.replace("{field}", label(field))) for phrase in phrases)


def label(name: str) -> str:
    """A field's name as labels are compared: in lower case, words apart by one space."""
    return " ".join(filter(None, re.split(r"[\s_-]+", name.strip(_TRIMMED).casefold())))


def read_fields(
    output: str, fields: Sequence[str], none: Collection[str] = NONE, divide: str = DIVIDE
) -> dict[str, list[str] | None]:
    """Items that an output states for each field; None for a field that cannot be read."""
    records = [{label(key): value for key, value in found.items()} for found in objects(output)]
    lines = [line for line in map(_line, output.splitlines()) if line.text]
    labels = {label(name) for name in fields}
    read: dict[str, list[str] | None] = {}
    for name in fields:
        empty = nothing(none, name)
        if values := [record[label(name)] for record in records if label(name) in record]:
            read[name] = _joined(items(value, empty, divide) for value in values)
        else:
            at = [i for i, line in enumerate(lines) if line.label == label(name)]
            read[name] = _joined(_behind(lines, i, labels, empty, divide) for i in at) if at else None
    return read


def items(value: Any, empty: Collection[str], divide: str = DIVIDE) -> list[str] | None:
    """Items of a value: a list, text with a JSON list in it, or text that `,` and `;` divide.

    Args:
        value: Of a column, or what stands behind a label.
        empty: Phrases that state that there are none, as `nothing` gives them.
        divide: What divides a text, as a regular expression; empty where a text is one item.

    Returns:
        The items, without phrases of `empty`; None where the value is nested or `true`, and states no items.
    """
    if value is None or value is False or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        array = _array(value)
        value = _divided(value.strip().removesuffix("."), divide) if array is None else array
    if isinstance(value, Mapping) or value is True:
        return None
    parts = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if any(isinstance(part, Mapping | list | tuple | set | frozenset) for part in parts):
        return None
    said = [str(part).strip(_TRIMMED) for part in parts if part is not None]
    return [part for part in said if (bare := _bare(part)) and bare not in empty]


def holds(value: Any, empty: Collection[str]) -> bool:
    """Whether a column holds something: an item, a number other than 0, or `true`, also as text."""
    if isinstance(value, Mapping):
        return bool(value)
    found = items(value, empty)
    return found is None or any(item.casefold() not in _FALSE for item in found)


def _divided(text: str, divide: str) -> list[str]:
    return re.split(divide, text) if divide else [text]


def _joined(parts: Iterator[list[str] | None]) -> list[str] | None:
    """All parts together; None if one cannot be read."""
    out: list[str] = []
    for part in parts:
        if part is None:
            return None
        out += part
    return out


def _bare(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.casefold())).strip(_EDGES)


def _array(text: str) -> list[Any] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def objects(output: str) -> Iterator[Mapping[str, Any]]:
    """The outermost JSON objects, with or without a fence or prose around them."""
    decoder = json.JSONDecoder()
    at = output.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(output, at)
        except RecursionError:  # a model that loops on an opening bracket
            return
        except ValueError:
            end = at + 1
        else:
            yield value
        at = output.find("{", end)


def _line(raw: str) -> _Line:
    found = _MARKS.match(raw.rstrip())
    assert found is not None  # it matches anything
    indent, marks, text = found.groups()
    mark = marks.split()[-1][0] if marks.strip() else ""
    if not text:  # a mark with nothing behind it
        text = marks.strip()
    labelled, bold = _LABEL.match(text), _BOLD.match(text)
    said, rest = labelled.groups() if labelled else (bold.group(2) if bold else text if mark == "#" else "", "")
    return _Line(len(indent.expandtabs(4)), "1" if mark.isdigit() else mark, text, label(said), rest.strip(_TRIMMED))


def _behind(
    lines: Sequence[_Line], at: int, labels: Collection[str], empty: Collection[str], divide: str
) -> list[str] | None:
    """Items behind a label, or in the list below one with nothing behind it."""
    head, below = lines[at], lines[at + 1 :]
    if head.rest:
        return items(head.rest, empty, divide)

    def listed(line: _Line) -> bool:
        beside = line.mark == head.mark and line.indent <= head.indent  # the label is an item of the same list
        return bool(line.mark) and line.mark in _LISTED and line.label not in labels and not beside

    if taken := list(takewhile(listed, below)):
        return _joined(items(line.text, empty, divide) for line in taken)
    return [] if not below or below[0].ends_a_field else None
