"""Whether an example is made of what its class says."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from tunesmith.data.example import Example, Message, Role, Segment
from tunesmith.data.intake import check_content
from tunesmith.errors import RowError


def flaw(example: Any) -> str:
    """What is wrong with an example, as the rest of a sentence about it; empty where nothing is."""
    return next(_flaws(example), "")


def _flaws(example: Any) -> Iterator[str]:
    if not isinstance(example, Example):
        yield f"is no Example but {type(example).__name__}"
        return
    parts = {"messages": Message, "chosen": Message, "rejected": Message, "segments": Segment, "tools": Mapping}
    for name, kind in parts.items():
        held = getattr(example, name)
        if not isinstance(held, tuple):
            yield f"holds {name} in {_a(held)}, not in a tuple"
        elif wrong := [part for part in held if not isinstance(part, kind)]:
            yield f"holds {_a(wrong[0])} among its {name}"
        else:
            for at, part in enumerate(held):
                yield from (f"has {name}[{at}] {wrong}" for wrong in _wrong(part))
    try:
        check_content(example)
    except RowError:
        yield "has no content, or more than one of messages, segments, and chosen with rejected"
    if len(example.chosen) > 1 and example.chosen[0] != example.rejected[0]:
        yield "has chosen and rejected that do not begin with the same turn"
    label = example.label if isinstance(example.label, tuple) else (example.label,)
    if not all(value is None or isinstance(value, str | int | float) for value in label):
        yield f"has {_a(example.label)} for a label"
    names: tuple[Any, ...] = (example.id, example.task)
    if not all(isinstance(name, str) for name in names):
        yield "has an id or a task that is no text"
    yield from _extras(example.extras)


def _wrong(part: Any) -> Iterator[str]:
    """What is wrong with a turn or segment."""
    if isinstance(part, Mapping):
        return
    text = part.content if isinstance(part, Message) else part.text
    if not isinstance(text, str):
        yield f"with {_a(text)} for text"
    if isinstance(part, Message) and part.role not in get_args(Role):
        yield f"of a role that is none of {', '.join(get_args(Role))}"
    if isinstance(part, Message) and part.spans and not _covers(part.spans, part.content):
        yield "with spans that are not (characters, weight) of all of its text"
    weight = part.weight
    if weight is None and isinstance(part, Message):
        return
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
        yield "with a weight that is no finite number of 0 or more"


def _covers(spans: Any, text: str) -> bool:
    """Whether spans are lengths and weights, and as long as the text."""
    pairs = [span for span in spans if isinstance(span, tuple) and len(span) == 2]
    sound = [
        n for n, w in pairs if type(n) is int and n > 0 and isinstance(w, int | float) and math.isfinite(w) and w >= 0
    ]
    return len(sound) == len(spans) and sum(sound) == len(text)


def _extras(extras: Any) -> Iterator[str]:
    if not isinstance(extras, Mapping):
        yield f"has {_a(extras)} for extras"
        return
    try:
        json.dumps(dict(extras))
    except (TypeError, ValueError):
        yield "has extras that JSON cannot hold"


def _a(value: Any) -> str:
    """What a value is; never what it says, which may be a row's text."""
    return f"a value of type {type(value).__name__}"
