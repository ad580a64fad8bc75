"""Content that is a list of parts: text, and the tool calls, results and thinking that Anthropic writes among it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith import RowError
from tunesmith_plugins.formatters.columns import kind

# Known so that they are refused by name.
_SEEN = {
    "image": "an image",
    "image_url": "an image",
    "input_image": "an image",
    "video": "a video",
    "video_url": "a video",
    "audio": "sound",
    "audio_url": "sound",
    "input_audio": "sound",
    "document": "a document",
    "file": "a file",
    "redacted_thinking": "thinking that cannot be read",
}
_USE, _RESULT, _THINKING = "tool_use", "tool_result", "thinking"
# OpenAI has two names more, one for each side.
_TEXTS = ("text", "input_text", "output_text")
_ADVICE = "only text is read: say it in words, or leave such rows out"


def text_of(value: Any, name: str) -> str:
    """Content as text: text, null, or a list of text parts.

    Raises:
        RowError: It is something else, or a part is.
    """
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise RowError(name, f"is {kind(value)}; text is wanted")
    return "".join(_text(part, name) for part in value)


def spread(item: Mapping[str, Any], name: str, called: dict[str, str]) -> list[Mapping[str, Any]]:
    """A turn whose parts call tools or bring their results, as turns of OpenAI's schema; any other turn as it is.

    Args:
        item: The turn.
        name: It, for messages.
        called: Names of the tools that were called so far by the call's id; calls of this turn are added.

    Raises:
        RowError: A part stands where it has no meaning.
    """
    content = item.get("content")
    if not isinstance(content, list) or not any(_type(part) in (_USE, _RESULT, _THINKING) for part in content):
        return [item]
    rest = {key: value for key, value in item.items() if key != "content"}
    if item.get("role") == "assistant":
        return [{**rest, **_answered(rest, content, f"{name}.content", called)}]
    if item.get("role") == "user":
        return [{**rest, **turn} for turn in _heard(content, f"{name}.content", called)]
    raise RowError(field=f"{name}.content", reason="has parts of tools in a turn of neither user nor assistant")


def _answered(rest: Mapping[str, Any], parts: list[Any], name: str, called: dict[str, str]) -> dict[str, Any]:
    text, thinking, calls = "", "", []
    for at, part in enumerate(parts):
        if _type(part) == _THINKING:
            thinking += _string(part.get("thinking"), f"{name}[{at}].thinking")
        elif _type(part) == _USE:
            tool = _string(part.get("name"), f"{name}[{at}].name")
            made: dict[str, Any] = {"type": "function", "function": {"name": tool, "arguments": part.get("input")}}
            if isinstance(part.get("id"), str):
                called[part["id"]] = tool
                made = {"id": part["id"], **made}
            calls.append(made)
        elif not calls:
            text += _text(part, name)
        elif _text(part, name).strip():
            raise RowError(field=f"{name}[{at}]", reason="is text behind a tool call; chat templates write it before")
    if rest.get("tool_calls") or (thinking and rest.get("thinking")):
        raise RowError(name, "has parts of a kind that the turn also has in a key of its own")
    found = {"content": text, "tool_calls": calls or None, "thinking": thinking or None}
    return {key: value for key, value in found.items() if value is not None}


def _heard(parts: list[Any], name: str, called: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    text = ""
    for at, part in enumerate(parts):
        if _type(part) != _RESULT:
            text += _text(part, name)
            continue
        if text.strip():
            yield {"role": "user", "content": text}
        text = ""
        answer = {"role": "tool", "content": text_of(part.get("content"), f"{name}[{at}].content")}
        key = part.get("tool_use_id")
        if isinstance(key, str):
            answer |= {"tool_call_id": key, **({"name": called[key]} if key in called else {})}
        yield answer
    if text.strip():
        yield {"role": "user", "content": text}


def _text(part: Any, name: str) -> str:
    if isinstance(part, str):
        return part
    if _type(part) in _TEXTS and isinstance(part.get("text"), str):
        return str(part["text"])
    names = [_type(part), *(part if isinstance(part, Mapping) and "type" not in part else ())]
    if (seen := next((_SEEN[name] for name in names if name in _SEEN), None)) is not None:
        raise RowError(name, f"holds {seen}; {_ADVICE}")
    raise RowError(name, "has a part that is no text; only text is read")


def _type(part: Any) -> str:
    found = part.get("type", "text") if isinstance(part, Mapping) else ""
    return found if isinstance(found, str) else ""


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise RowError(name, f"is {kind(value)}; text is wanted")
    return value
