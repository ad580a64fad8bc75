"""OpenAI-style messages to turns, and nothing lost on the way."""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from tunesmith import Message, RowError
from tunesmith_plugins.formatters.columns import kind
from tunesmith_plugins.formatters.harmony import joined
from tunesmith_plugins.formatters.parts import spread, text_of
from tunesmith_plugins.formatters.weights import KEYS, stated_weights

Role = Literal["system", "user", "assistant", "tool"]
ROLES: dict[Any, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
# Deeper JSON text is no tool's schema, and would end in a RecursionError somewhere later.
_DEEPEST = 32
# OpenAI's newer name of the system's turn, which harmony has too.
_DEVELOPER = "developer"
_CONSUMED = KEYS | {"role", "content", "channel"}


def turns(value: Any, name: str) -> tuple[Message, ...]:
    """Read a list of messages.

    Args:
        value: `[{"role", "content", ...}, ...]`. Content is text, a list of parts (text, and Anthropic's tool calls,
            results and thinking), or null beside tool calls. A `developer` is the system. What harmony has in channels
            is one turn. The loss weight of a turn is the product of its `train`, `loss` (booleans), `weight` and
            `loss_scale` (numbers); `train_detail` multiplies it for stretches of its text.
        name: The column, for messages.

    Raises:
        RowError: It is no such list; says which message and which key.
    """
    if not isinstance(value, list) or not value:
        raise RowError(
            name, "is empty" if value in (None, [], "") else f"is {kind(value)}; a list of messages is wanted"
        )
    called: dict[str, str] = {}
    found: list[Message] = []
    for index, item in joined(value, name):
        place = f"{name}[{index}]"
        if not isinstance(item, Mapping):
            raise RowError(place, f"is {kind(item)}; a message with role and content is wanted")
        found += [_turn(turn, place) for turn in spread(item, place, called)]
    return tuple(found)


def _turn(item: Mapping[str, Any], name: str) -> Message:
    if "role" not in item:
        hint = "; from and value are for the formatter ShareGPT" if "from" in item else ""
        raise RowError(field=f"{name}.role", reason=f"is missing{hint}")
    role = (
        ROLES.get("system" if item["role"] == _DEVELOPER else item["role"]) if isinstance(item["role"], str) else None
    )
    if role is None:
        raise RowError(field=f"{name}.role", reason=f"is none of {', '.join(ROLES)}")
    fields = {str(key): v for key, v in item.items() if key not in _CONSUMED and v is not None}
    if "tool_calls" in fields:
        fields["tool_calls"] = _calls(fields["tool_calls"], f"{name}.tool_calls")
    content = text_of(item.get("content"), f"{name}.content")
    # A system turn may say nothing, and a tool may answer nothing.
    if role in ("user", "assistant") and not content.strip() and not fields.get("tool_calls"):
        raise RowError(field=f"{name}.content", reason="is empty")
    weight, spans = stated_weights(item, content, name)
    return Message(role, content, weight, fields, spans)


def _calls(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise RowError(name, f"is {kind(value)}; a list of calls is wanted")
    return [_call(item, f"{name}[{index}]") for index, item in enumerate(value)]


def _call(item: Any, name: str) -> dict[str, Any]:
    function = item.get("function") if isinstance(item, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise RowError(name, 'is no call; {"function": {"name", "arguments"}} is wanted')
    arguments = json_value(function.get("arguments") or {}, f"{name}.function.arguments")
    if not isinstance(arguments, Mapping):
        raise RowError(field=f"{name}.function.arguments", reason=f"is {kind(arguments)}; a map is wanted")
    # Templates write arguments as JSON themselves: kept as text they would be quoted twice.
    return {"type": "function", **item, "function": {**function, "arguments": dict(arguments)}}


def json_value(value: Any, name: str) -> Any:
    """A value that may be written as JSON text, as tables and older data sets keep lists and maps.

    Raises:
        RowError: It is text but no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value, parse_constant=_refuse_constant)
        _check(found, 0)
    except (ValueError, RecursionError):
        raise RowError(name, "is text that is no JSON, or not finite, or nested too deep") from None
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError
        value.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    elif isinstance(value, list | dict):
        for item in value if isinstance(value, list) else [*value, *value.values()]:
            _check(item, depth + 1)
