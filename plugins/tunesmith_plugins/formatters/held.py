"""Examples that went through annotators' hands whole: read back, and changed where something was said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from tunesmith import Example, Message, RowError, Segment
from tunesmith_plugins.formatters.columns import filled, kind
from tunesmith_plugins.formatters.messages import read_tools
from tunesmith_plugins.formatters.turns import json_value, turns

HELD = "example"
_TURNS = ("messages", "chosen", "rejected")
Says = Literal["text", "pair", "classes", "numbers", "switches"]


def held(data: Mapping[str, Any]) -> Example | None:
    """The example that a task holds, as `prepare --tasks` and `predict --tasks` write it; None where it holds none.

    Raises:
        RowError: What stands there is no example.
    """
    value = data.get(HELD)
    if not isinstance(value, Mapping) or not any(value.get(name) for name in (*_TURNS, "segments")):
        return None
    parts: dict[str, Any] = {name: turns(value[name], f"{HELD}.{name}") for name in _TURNS if value.get(name)}
    extras, label, key, task = (value.get(name) for name in ("extras", "label", "id", "task"))
    if not isinstance(extras, Mapping | None) or not all(isinstance(each, str | None) for each in (key, task)):
        raise RowError(HELD, "is none that was written for annotators: extras are a map, id and task are text")
    labels = label if isinstance(label, list) else [label]
    if not all(isinstance(each, str | int | float | None) for each in labels) or (label is not labels and not labels):
        raise RowError(field=f"{HELD}.label", reason=f"is {kind(label)}; a class, a number, true or false is wanted")
    example = Example(
        **parts,
        segments=tuple(_segment(piece, at) for at, piece in enumerate(_list(value, "segments"))),
        label=tuple(label) if isinstance(label, list) else label,
        tools=read_tools(value.get("tools"), f"{HELD}.tools"),
        id=key or "",
        task=task or "",
        extras=dict(extras or {}),
    )
    if sum([bool(example.messages), bool(example.segments), bool(example.chosen and example.rejected)]) != 1:
        raise RowError(HELD, "holds more than one kind of content, or half a pair")
    return example


def says(example: Example) -> Says:
    """What an annotator says of an example."""
    if example.chosen:
        return "pair"
    label = example.label[0] if isinstance(example.label, tuple) else example.label
    if label is None:
        return "text"
    return "switches" if isinstance(label, bool) else "classes" if isinstance(label, str) else "numbers"


def with_text(example: Example, text: str, name: str) -> Example:
    """The example with another text for what is learnt of it."""
    filled(text, name)
    if example.segments:
        return example.with_(segments=_segments(example.segments, text))
    last = example.messages[-1]
    if last.role != "assistant":
        return example.with_(messages=(*example.messages, Message("assistant", text)))
    if last.fields.get("tool_calls"):
        value = json_value(text, name)
        if not isinstance(value, Mapping):
            raise RowError(name, "is no map of content and tool_calls, as which the answer was shown")
        calls, content = value.get("tool_calls"), value.get("content")
        (made,) = turns([{"role": "assistant", "content": content, "tool_calls": calls}], name)
        fields = {key: held for key, held in last.fields.items() if key != "tool_calls"} | dict(made.fields)
        return example.with_(messages=(*example.messages[:-1], replace(last.with_content(made.content), fields=fields)))
    return example.with_(messages=(*example.messages[:-1], last.with_content(text)))


def with_labels(example: Example, found: Sequence[Any], name: str) -> Example:
    """The example with other labels: several where it had several.

    Raises:
        RowError: There are not as many as it had.
    """
    several = isinstance(example.label, tuple)
    if says(example) != "classes" and len(found) != (len(example.label) if isinstance(example.label, tuple) else 1):
        number = len(example.label) if isinstance(example.label, tuple) else 1
        raise RowError(name, f"says {len(found)} of the {number} labels that the example has")
    if not found:
        raise RowError(name, "says no label")
    label = tuple(found) if several or len(found) > 1 else found[0]
    made = example.with_(label=label)
    if says(example) == "switches" and several and len(example.segments) == len(found) + 1:
        # of a solution the right steps are learnt
        steps = [replace(step, weight=float(right)) for step, right in zip(example.segments[1:], found, strict=True)]
        made = made.with_(segments=(example.segments[0], *steps))
    return made


def turned(example: Example, better: bool) -> Example:
    """The pair as it is, or with its answers changed about."""
    return example if better else example.with_(chosen=example.rejected, rejected=example.chosen)


def _segments(segments: Sequence[Segment], text: str) -> tuple[Segment, ...]:
    """What is learnt replaced; itself where the text is the same, and behind all where nothing was learnt."""
    first = next((at for at, segment in enumerate(segments) if segment.weight != 0), None)
    if first is None:
        return (*segments, Segment(text))
    if text == "".join(segment.text for segment in segments[first:]):
        return tuple(segments)
    return (*segments[:first], Segment(text, segments[first].weight))


def _segment(value: Any, at: int) -> Segment:
    text, weight = (value.get(key) if isinstance(value, Mapping) else None for key in ("text", "weight"))
    if not isinstance(text, str) or isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
        raise RowError(field=f"{HELD}.segments[{at}]", reason="is no text with a weight")
    return Segment(text, float(weight))


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name) or []
    if not isinstance(found, list):
        raise RowError(field=f"{HELD}.{name}", reason=f"is {kind(found)}; a list is wanted")
    return found
