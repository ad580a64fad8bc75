"""Columns that say together what a row is, where each alone might be text: pairs for embeddings, messages of trees."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

NO_PAIRS = "no objective trains on these; a trainer of embedding models reads them"
_ANSWERS = ("response", "answer", "answers", "completion", "output")


def _filled(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else isinstance(value, list) and bool(value)


def _number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _vector(value: Any) -> bool:
    """Whether a value is a list of numbers, in a table as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return isinstance(value, list) and len(value) > 1 and all(map(_number, value))


class _Together(NamedTuple):
    """Some columns, what each has to hold, and what the row is then.

    Args:
        columns: They.
        field: The one that is named.
        reason: What the row is, and what to do.
        own: The formatter that is told to read one of these knows what it does.
        unless: Columns beside which the words mean something else.
    """

    columns: Mapping[str, Callable[[Any], bool]]
    field: str
    reason: str
    own: tuple[str, ...]
    unless: tuple[str, ...] = ()


def _pair(one: str, other: str, own: tuple[str, ...], unless: tuple[str, ...] = ()) -> _Together:
    reason = f"and {other} are an embedding pair; {NO_PAIRS}"
    return _Together({one: _filled, other: _filled}, one, reason, own, unless)


def _scored(one: str, other: str) -> _Together:
    reason = f"and {other} with a score are an embedding pair; {NO_PAIRS}; Template makes a question of them"
    return _Together({one: _filled, other: _filled, "score": _number}, one, reason, (one, other, "score"))


_KNOWN = (
    _pair("anchor", "positive", ("anchor", "positive")),
    _pair("query", "positive", ("positive",), _ANSWERS),
    _pair("query", "pos", ("pos",), _ANSWERS),
    _pair("query", "positive_passages", ("positive_passages",), _ANSWERS),
    _pair("question", "pos_doc", ("pos_doc",), _ANSWERS),
    _scored("sentence1", "sentence2"),
    _scored("sentence_A", "sentence_B"),
    _Together(
        {"text": _filled, "embedding": _vector},
        "embedding",
        "is a vector that an embedding model made of the text, which no objective learns; leave the column out to "
        "train on the text",
        ("embedding",),
    ),
    _Together(  # as OpenAssistant keeps its trees: half of the rows answer nothing
        dict.fromkeys(("message_id", "role", "text"), _filled) | {"parent_id": lambda value: True},
        "message_id",
        "and parent_id make the row one message of a tree; write each conversation as one row of messages",
        ("message_id",),
    ),
    _Together(  # as OpenAssistant exports them: a row holds every answer to every answer
        {"prompt": lambda value: isinstance(value, Mapping) and "replies" in value},
        "prompt",
        "holds a tree of messages (replies); write each conversation of it as one row of messages, such as the path of "
        "the best-ranked replies",
        (),
    ),
)


def told_together(row: Mapping[str, Any], reads: Collection[str] = ()) -> tuple[str, str] | None:
    """The column to name and the reason, where a row's columns say together that no formatter reads it.

    Args:
        row: The row.
        reads: Columns that the formatter was told to read.
    """
    for each in _KNOWN:
        if all(name in row and holds(row[name]) for name, holds in each.columns.items()):
            beside = any(row.get(name) not in (None, "", []) for name in each.unless)
            if not beside and not set(each.own) & set(reads):
                return each.field, each.reason
    return None
