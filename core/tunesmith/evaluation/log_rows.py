"""What a row of a production log says: who asked what, what was answered, and when. Many shapes, none announced.

Read are lines of `predictions.jsonl`, rows of any schema that holds a conversation or a prompt with an answer, and
requests beside responses as the chat APIs have them (`formats.md`, OpenAI's and Anthropic's bodies, and what tools that
trace calls write). What is not understood is refused with its field, never guessed.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from tunesmith.data.example import Label, Message, Role
from tunesmith.errors import RowError

TIMES = ("timestamp", "@timestamp", "time", "ts", "datetime", "date", "created_at", "created", "start_time")
"""Columns that say when, the surest first."""
_IDS = ("id", "custom_id", "request_id", "trace_id", "run_id", "uuid")
_TURNS = ("messages", "conversations", "conversation")
_ASKED = ("prompt", "input", "inputs", "question", "query", "instruction", "request", "text", "user")
_SAID = ("output", "response", "completion", "answer", "outputs", "prediction", "generation", "generated_text",
         "assistant", "reply")  # fmt: skip
_INNER = ("body", "content", "text", "output", "message", "answer", "generated_text", "response", "completion", "value")
_MAPS = ("columns", "metadata", "extras", "attributes", "tags")
_ROLES: Mapping[str, Role] = {
    "human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "assistant": "assistant",
    "model": "assistant", "bot": "assistant", "chatbot": "assistant", "system": "system", "developer": "system",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip
_MILLISECONDS = 1e11  # as seconds that would be the year 5138
_DEEP = 8


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of a log.

    Args:
        prompt: The turns before the answer; none where the log has answers alone.
        output: The answer.
        id: As the row says it; empty where it does not.
        time: Seconds since 1970; nan where it does not say.
        reference: What would have been right, of a line of a `predictions.jsonl`.
        task: Of the same.
        label: Of the row.
        columns: What else stands in it.
    """

    prompt: tuple[Message, ...]
    output: str
    id: str = ""
    time: float = math.nan
    reference: str = ""
    task: str = ""
    label: Label = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def log_row(row: Mapping[str, Any], model: str = "tuned") -> LogRow:
    """Read one row.

    Args:
        row: Column to value.
        model: Whose answer is taken where the row holds several models' (`predictions.jsonl`).

    Raises:
        RowError: No answer is found, or a value is no text, turn or time.
    """
    values = {name: value for name, value in row.items() if value is not None}
    read: set[str] = set()
    prompt, output = _conversation(values, model, read)
    label, reference = values.get("label"), values.get("reference")
    used = read | {*_IDS, *_MAPS, "label", "reference", "task"}
    columns = {name: value for name, value in values.items() if name not in used}
    for name in _MAPS:
        if isinstance(inner := values.get(name), Mapping):
            columns |= inner
    named = next((str(values[name]) for name in _IDS if isinstance(values.get(name), str | int)), "")
    return LogRow(
        tuple(prompt),
        output,
        named,
        time_of(values),
        reference if isinstance(reference, str) else "",
        str(values.get("task") or ""),
        cast("Label", tuple(label) if isinstance(label, list) else label) if not isinstance(label, Mapping) else None,
        columns,
    )


def time_of(values: Mapping[str, Any]) -> float:
    """When a row was written, in seconds since 1970, by the first column that says so; nan where none does."""
    found = (seconds(values[name]) for name in TIMES if name in values)
    return next((time for time in found if not math.isnan(time)), math.nan)


def seconds(value: Any) -> float:
    """A time as seconds since 1970: such a number, one in milliseconds, or a date by ISO 8601 (without a zone: UTC).

    Returns:
        nan where it is none.
    """
    number = math.nan
    with suppress(TypeError, ValueError, OverflowError):
        number = math.nan if isinstance(value, bool) else float(value)
    if math.isnan(number) and isinstance(value, str):
        with suppress(ValueError):
            found = datetime.fromisoformat(value.strip().replace("/", "-"))
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(number):
        return math.nan
    return number / 1000 if abs(number) > _MILLISECONDS else number


def _conversation(values: Mapping[str, Any], model: str, read: set[str]) -> tuple[Sequence[Message], str]:
    """The turns that were asked, and the answer; notes the columns that it has read."""
    said = values.get(model)
    if isinstance(said, Mapping) and "output" in said:
        read |= {model, *(n for n, v in values.items() if isinstance(v, Mapping) and "output" in v)}
        read |= {"prompt", "origin"}
        return _asked(values, ("prompt",), read), _text(said["output"], f"{model}.output")
    if isinstance(answer := values.get("response", values.get("outputs")), Mapping) and "choices" in _body(answer):
        read |= {"request", "response", "outputs", *_TURNS, *_ASKED}
        return _asked(values, (*_TURNS, *_ASKED), read), _choice(_body(answer)["choices"])
    name = next((name for name in _TURNS if isinstance(values.get(name), list)), None)
    answered = next((n for n in _SAID if n in values), None)
    if name is not None:
        turns = _turns(values[name], name)
        read.add(name)
        if answered is None or (turns and turns[-1].role == "assistant"):
            if not turns or turns[-1].role != "assistant":
                raise RowError(name, "ends with no answer of the assistant")
            return turns[:-1], turns[-1].content
        read.add(answered)
        return turns, _text(values[answered], answered)
    if answered is None:
        field, reason = "", f"no answer; looked for in {', '.join((*_TURNS, *_SAID))}"
        raise RowError(field, reason, values)
    read.add(answered)
    return _asked(values, tuple(n for n in _ASKED if n != answered), read), _text(values[answered], answered)


def _asked(values: Mapping[str, Any], names: Sequence[str], read: set[str]) -> list[Message]:
    """The question: turns, or a text; none where the log does not have it."""
    name = next((name for name in names if name in values), None)
    if name is None:
        return []
    read.add(name)
    value, system = values[name], values.get("system")
    if isinstance(value, Mapping):
        inner = _body(value)
        found = next((inner[key] for key in (*_TURNS, *_ASKED) if key in inner), None)
        system = inner.get("system", system)
        value = found if found is not None else _text(value, name)
    turns = _turns(value, name) if isinstance(value, list) else [Message("user", _text(value, name))]
    if isinstance(system, str) and system:
        read.add("system")
        turns = [Message("system", system), *turns]
    return turns


def _body(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a request or response holds, without its envelope."""
    body = value.get("body")
    return body if isinstance(body, Mapping) else value


def _choice(choices: Any) -> str:
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, Mapping):
        field, reason = "choices", "holds no answer"
        raise RowError(field, reason)
    return _text(first.get("message", first.get("text")), "choices")


def _turns(value: Any, name: str) -> list[Message]:
    found = []
    for turn in value:
        if not isinstance(turn, Mapping):
            raise RowError(name, "holds something that is no turn (role and content)")
        role = turn.get("role", turn.get("from", turn.get("type")))
        content = next((turn[key] for key in ("content", "value", "text") if turn.get(key) is not None), "")
        if str(role) not in _ROLES:
            raise RowError(name, f"holds a turn of an unknown role; known are {', '.join(_ROLES)}")
        fields = {k: v for k, v in turn.items() if k not in ("role", "from", "type", "content", "value", "text")}
        found.append(Message(_ROLES[str(role)], _text(content, name), fields=fields))
    return found


def _text(value: Any, name: str, depth: int = 0) -> str:
    """A text: itself, or what lies in it, as APIs pack it (a map with `content`, a list of parts)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    if depth < _DEEP and isinstance(value, Mapping):
        inner = next((value[key] for key in _INNER if value.get(key) is not None), None)
        if inner is not None:
            return _text(inner, name, depth + 1)
    if depth < _DEEP and isinstance(value, list) and value:
        said = [part for part in value if not _is_other(part)]
        return "".join(_text(part, name, depth + 1) for part in said)
    raise RowError(name, "holds no text")


def _is_other(part: Any) -> bool:
    """Whether a part of a turn is none of text: a picture, a call of a tool, a thought."""
    return isinstance(part, Mapping) and isinstance(part.get("type"), str) and not any(k in part for k in _INNER)
