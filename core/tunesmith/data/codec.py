"""Examples as bytes: JSON, in which numbers, lists and maps come back as they were, and tuples where they belong."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tunesmith.data.example import Example, Message, Origin, Role, Segment

_TURNS = ("messages", "chosen", "rejected")


def to_bytes(example: Example) -> bytes:
    """All of an example but its id and origin, which are kept beside it.

    Raises:
        TypeError: Something in it is no text, number, boolean, null, list or map.
    """
    held: dict[str, Any] = {
        name: [_turn(turn) for turn in found] for name in _TURNS if (found := getattr(example, name))
    }
    if example.segments:
        held["segments"] = [[segment.text, segment.weight] for segment in example.segments]
    if example.label is not None:
        # several labels are a tuple, which JSON does not know
        held["labels" if isinstance(example.label, tuple) else "label"] = example.label
    for name in ("tools", "task", "extras"):
        if found := getattr(example, name):
            held[name] = found
    return _ENCODER.encode(held).encode("utf-8", "surrogatepass")


def from_bytes(data: bytes, key: str, origin: Origin) -> Example:
    """The example that `to_bytes` wrote, with its id and origin."""
    held = json.loads(data.decode("utf-8", "surrogatepass"))
    return Example(
        **{name: tuple(_message(*turn) for turn in held[name]) for name in _TURNS if name in held},
        segments=tuple(Segment(text, weight) for text, weight in held.get("segments", ())),
        label=tuple(held["labels"]) if "labels" in held else held.get("label"),
        tools=tuple(held.get("tools", ())),
        id=key,
        origin=origin,
        task=held.get("task", ""),
        extras=held.get("extras", {}),
    )


def origin_text(origin: Origin) -> str:
    """An origin as one text, in ASCII whatever bytes the file's name has."""
    return f"{origin.line} {_file_text(origin.source, origin.file)}"


def to_origin(text: str) -> Origin:
    """The origin that `origin_text` wrote."""
    line, _, rest = text.partition(" ")
    return Origin(*_file_of(rest), int(line))


@lru_cache  # a data set has few files
def _file_text(source: str, file: str) -> str:
    return json.dumps([source, file])


@lru_cache
def _file_of(text: str) -> tuple[str, str]:
    source, file = json.loads(text)
    return source, file


def _message(role: Role, content: str, weight: float | None = None, fields: Any = None, spans: Any = ()) -> Message:
    return Message(role, content, weight, fields or {}, tuple((length, of) for length, of in spans))


def _turn(turn: Message) -> Sequence[Any]:
    whole = [turn.role, turn.content, turn.weight, turn.fields, turn.spans]
    while len(whole) > 2 and not whole[-1] and whole[-1] != 0:  # what is empty at the end takes no room
        whole.pop()
    return whole


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"holds {type(value).__name__}, neither text nor numbers"
    raise TypeError(msg)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_mapping)
