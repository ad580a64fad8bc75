"""OpenAI's harmony: an answer whose thinking, tool calls and final words are turns of their own, by channel."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tunesmith import RowError
from tunesmith_plugins.formatters.parts import text_of
from tunesmith_plugins.formatters.weights import KEYS

_ANALYSIS, _COMMENTARY = "analysis", "commentary"
_CHANNELS = (_ANALYSIS, _COMMENTARY, "final")
_FUNCTIONS = "functions."
_THINKING = "thinking"
# What says where a turn goes; chat templates write it themselves.
_FRAME = frozenset({"channel", "recipient", "content_type", "constrain"})


class _Part(NamedTuple):
    """A turn that waits for the answer that it belongs to."""

    at: int
    channel: str
    turn: Mapping[str, Any]


def joined(turns: Sequence[Any], name: str) -> Iterator[tuple[int, Any]]:
    """The turns, with what the assistant said in channels as one turn each time; other turns as they are.

    `analysis` becomes the key `thinking` of the turn that it leads to. `commentary` to a function is its call, and what
    was said in `commentary` just before is what the turn with the call says.

    Args:
        turns: As they are in the row.
        name: Their column, for messages.

    Yields:
        Turns, each with the number of the one that it stands for.

    Raises:
        RowError: A channel is none, or leads to no answer, or its weight is another than its answer's.
    """
    waiting: list[_Part] = []
    for at, turn in enumerate(turns):
        channel = _channel(turn, f"{name}[{at}]")
        if not isinstance(turn, Mapping) or turn.get("role") != "assistant":
            _check_answered(waiting, name)
            yield at, _tool(turn)
            continue
        _check_weights(waiting, turn, f"{name}[{at}]")
        called = _called(turn) if channel else ""
        if channel in (_ANALYSIS, _COMMENTARY) and not called:
            waiting.append(_Part(at, channel, turn))
            continue
        yield at, _answer(waiting, _Part(at, called, turn), name) if channel or waiting else turn
        waiting = []
    _check_answered(waiting, name)


def _channel(turn: Any, place: str) -> str:
    channel = turn.get("channel") if isinstance(turn, Mapping) else None
    if channel in (None, ""):
        return ""
    if channel not in _CHANNELS:
        raise RowError(field=f"{place}.channel", reason=f"is none of {', '.join(_CHANNELS)}")
    return str(channel)


def _called(turn: Mapping[str, Any]) -> str:
    """The tool that a turn calls; where there is none some write `all`."""
    to = turn.get("recipient")
    return to.removeprefix(_FUNCTIONS) if isinstance(to, str) and to not in ("", "all") else ""


def _tool(turn: Any) -> Any:
    """A tool's turn under the name that its call has."""
    named = turn.get("name") if isinstance(turn, Mapping) and turn.get("role") == "tool" else None
    if not isinstance(named, str) or not named.startswith(_FUNCTIONS):
        return turn
    return {**_bare(turn), "name": named.removeprefix(_FUNCTIONS)}


def _answer(waiting: Sequence[_Part], answer: _Part, name: str) -> dict[str, Any]:
    """An answer, or a call where its channel is that of a tool, with the turns that led to it."""
    place, made = f"{name}[{answer.at}]", _bare(answer.turn)
    thoughts, said = ([part for part in waiting if part.channel == channel] for channel in (_ANALYSIS, _COMMENTARY))
    if thoughts and made.get(_THINKING):
        raise RowError(field=f"{place}.{_THINKING}", reason="is filled, and the turn before it is thinking too")
    if thoughts:
        made[_THINKING] = _texts(thoughts, name)
    if not answer.channel:
        _check_answered(said, name)
        return made
    if made.get("tool_calls"):
        raise RowError(field=f"{place}.tool_calls", reason="is filled, and the turn itself is a call (recipient)")
    arguments = text_of(made.get("content"), f"{place}.content")
    if not arguments.lstrip().startswith("{"):
        raise RowError(field=f"{place}.content", reason="is no JSON map, as which the arguments of a call are wanted")
    call = {"type": "function", "function": {"name": answer.channel, "arguments": arguments}}
    return made | {"content": _texts(said, name), "tool_calls": [call]}


def _bare(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in turn.items() if key not in _FRAME}


def _texts(parts: Sequence[_Part], name: str) -> str:
    return "\n\n".join(text_of(part.turn.get("content"), f"{name}[{part.at}].content") for part in parts)


def _check_weights(waiting: Sequence[_Part], turn: Mapping[str, Any], place: str) -> None:
    for part in waiting[-1:]:
        key = next((key for key in sorted(KEYS) if part.turn.get(key) != turn.get(key)), None)
        if key is not None:
            reason = f"is not that of the {part.channel} before it, with which it is one turn; give both the same"
            raise RowError(field=f"{place}.{key}", reason=reason)


def _check_answered(waiting: Sequence[_Part], name: str) -> None:
    for part in waiting[:1]:
        what = "call of a tool" if part.channel == _COMMENTARY else "answer of the assistant"
        raise RowError(field=f"{name}[{part.at}].channel", reason=f"is {part.channel}, and no {what} follows")
