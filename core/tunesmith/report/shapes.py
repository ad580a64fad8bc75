"""What an answer looks like, in a word: rows of an odd shape among many of another are often mistakes."""

import json
import re
from collections import Counter
from collections.abc import Iterable

_HEADING = re.compile(r"(?m)^(?:#{1,6} |\*\*)?([A-Z][\w /-]{1,40}?)(?:\*\*)?:(?: |$)|^#{1,6} (\S.*)$")
_LIST = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s+\S")
_FEW_WORDS = 3
_RARE = 0.05


def shape(text: str) -> str:
    """The shape of an answer.

    Returns:
        One of `empty`, `JSON object with KEYS`, `JSON list`, `sections NAMES` (two headings or more), `list`,
        `one to three words`, `one line`, `several lines`.
    """
    text = text.strip()
    if not text:
        return "empty"
    if text[0] in "{[" and (found := _json(text)):
        return found
    headings = [first or second for first, second in _HEADING.findall(text)]
    if len(headings) > 1:
        return f"sections {', '.join(headings)}"
    if len(_LIST.findall(text)) > 1:
        return "list"
    if len(text.split()) <= _FEW_WORDS:
        return "one to three words"
    return "several lines" if "\n" in text else "one line"


def odd(shapes: Iterable[str]) -> tuple[Counter[str], set[str]]:
    """Count shapes, and say which are odd.

    Returns:
        Rows by shape; and the shapes that fewer than 5 % of the rows have, where another has half of them or more.
    """
    counts = Counter(shapes)
    total = counts.total()
    usual = bool(counts) and counts.most_common(1)[0][1] >= total / 2
    return counts, {name for name, count in counts.items() if usual and count < _RARE * total}


def _json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, dict):
        return f"JSON object with {', '.join(sorted(value)) or 'no keys'}"
    return "JSON list"
