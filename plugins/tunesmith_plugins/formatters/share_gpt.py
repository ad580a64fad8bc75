"""ShareGPT: conversations whose turns are `{"from", "value"}`."""

from collections.abc import Mapping
from typing import Any

from tunesmith import Example, Formatter, Message, RowError
from tunesmith_plugins.formatters.columns import column, kind, optional_text, others, refuse_other_kinds
from tunesmith_plugins.formatters.messages import read_tools
from tunesmith_plugins.formatters.turns import json_value, turns

_CALL = "function_call"
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
    _CALL: "assistant",
}


class ShareGPT(Formatter):
    """Conversations: a list of `{"from", "value"}`, with a `system` column and tools where they are.

    `gpt` (also `chatgpt`, `model`, `assistant`) and `function_call`, whose value is JSON with `name` and `arguments`,
    are trained on; `human` (`user`), `system`, `observation` and `tool` are not. `train`, `loss`, `weight` and
    `loss_scale` of a turn say otherwise, as for Messages.

    Since 0.7.

    Args:
        conversations: Column of the conversation.
        system: Column of a system turn before it, which need not be there.
        tools: Column of the tools' JSON schemas, which need not be there.
    """

    def __init__(self, conversations: str = "conversations", system: str = "system", tools: str = "tools") -> None:
        self.conversations = conversations
        self.system = system
        self.tools = tools

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the conversation.

        Raises:
            RowError: The column is missing or no conversation, or a turn cannot be read.
        """
        refuse_other_kinds(row)
        name = self.conversations
        value = json_value(column(row, name), name)
        renamed = [_renamed(turn, f"{name}[{i}]") for i, turn in enumerate(value)] if isinstance(value, list) else value
        try:
            said = turns(renamed, name)
        except RowError as error:
            field = error.field.replace(".content", ".value").replace(".role", ".from")
            raise RowError(field, error.reason, error.columns) from error
        if all(turn.role == "system" for turn in said):
            raise RowError(name, "has no turn but the system's")
        system = optional_text(row, self.system)
        before = (Message("system", system),) if system.strip() and said[0].role != "system" else ()
        return Example(
            messages=(*before, *said),
            tools=read_tools(row.get(self.tools), self.tools),
            extras=others(row, (name, self.system, self.tools)),
        )


def _renamed(turn: Any, name: str) -> dict[str, Any]:
    """A turn as Messages has it."""
    if not isinstance(turn, Mapping):
        raise RowError(name, f"is {kind(turn)}; a turn with from and value is wanted")
    if "from" not in turn:
        hint = "; role and content are for the formatter Messages" if "role" in turn else ""
        raise RowError(field=f"{name}.from", reason=f"is missing{hint}")
    speaker = turn["from"]
    role = _ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise RowError(field=f"{name}.from", reason=f"is none of {', '.join(_ROLES)}")
    rest = {key: value for key, value in turn.items() if key not in ("from", "value")}
    if speaker == _CALL:
        value = json_value(turn.get("value"), f"{name}.value")
        calls = value if isinstance(value, list) else [value]
        return {**rest, "role": role, "tool_calls": [{"function": call} for call in calls]}
    return {**rest, "role": role, "content": turn.get("value")}
