"""Messages: conversations in OpenAI's schema."""

from collections.abc import Mapping
from typing import Any

from tunesmith import Example, Formatter, RowError
from tunesmith_plugins.formatters.columns import column, kind, others, refuse_other_kinds
from tunesmith_plugins.formatters.turns import json_value, turns


class Messages(Formatter):
    """Conversations: a list of `{"role", "content"}`, with tool calls, and tools as a list or JSON text.

    Assistant turns are trained on. A turn's `train` or `loss` (true or false), `weight` or `loss_scale` (a number) says
    otherwise for that turn.

    Since 0.1.

    Args:
        messages: Column of the conversation.
        tools: Column of the tools' JSON schemas, which need not be there.
    """

    def __init__(self, messages: str = "messages", tools: str = "tools") -> None:
        self.messages = messages
        self.tools = tools

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the conversation.

        Raises:
            RowError: The column is missing or no conversation, or a turn cannot be read.
        """
        refuse_other_kinds(row)
        messages = turns(json_value(column(row, self.messages), self.messages), self.messages)
        if all(turn.role == "system" for turn in messages):
            raise RowError(self.messages, "has no turn but the system's")
        return Example(
            messages=messages,
            tools=read_tools(row.get(self.tools), self.tools),
            extras=others(row, (self.messages, self.tools)),
        )


def read_tools(value: Any, name: str) -> tuple[Mapping[str, Any], ...]:
    """The tools' JSON schemas, as a list or JSON text; none where the column is empty or missing.

    Raises:
        RowError: They are something else.
    """
    tools = json_value(value or [], name)
    if not isinstance(tools, list):
        raise RowError(name, f"is {kind(tools)}; a list of JSON schemas is wanted")
    wrong = next((index for index, tool in enumerate(tools) if not isinstance(tool, Mapping)), None)
    if wrong is not None:
        raise RowError(field=f"{name}[{wrong}]", reason=f"is {kind(tools[wrong])}; a JSON schema is wanted")
    return tuple(tools)
