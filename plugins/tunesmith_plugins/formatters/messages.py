"""Messages: conversations in OpenAI's schema."""

from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith import Columns, Example, Formatter, Recognised, RowError
from tunesmith_plugins.formatters.columns import column, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import json_value, turns

# Columns of turns that are only a part of a conversation.
_PARTS = ("prompt", "completion", "chosen", "rejected", "rejected_messages", "positive_messages", "negative_messages")


class Messages(Formatter):
    """Conversations: a list of `{"role", "content"}`, with tool calls, and tools as a list or JSON text.

    Assistant turns are trained on. A turn's `train` or `loss` (true or false), `weight` or `loss_scale` (a number) says
    otherwise for that turn, and axolotl's `train_detail` for characters of it: `[{"begin_offset", "end_offset",
    "train"}]`, the last character included, or with a number as `weight`. What no part holds is not trained. A token
    that two parts share goes with its last character that is no white space; the token that ends the turn has the
    weight of the turn. Tools, their calls and results may be in Anthropic's spelling; a `developer` is the system, and
    `thinking` goes to the chat template, as what stands in harmony's channel `analysis` does.

    Since 0.1.

    Args:
        messages: Column of the conversation.
        tools: Column of the tools' JSON schemas, which need not be there.
    """

    def __init__(self, messages: str = "messages", tools: str = "tools") -> None:
        self.messages = messages
        self.tools = tools

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """Turns of role and content in `messages`, else in other columns but those of pairs and prompts."""
        found = [n for n in columns.names if n not in _PARTS and columns.turns(n, "role", "content", "tool_calls")]
        for name in ("messages",) if "messages" in found else found:
            why = f"column {name}, turns of role and content"
            own = name == "messages"
            options = {} if own else {"messages": name}
            yield Recognised((name,), options, ("tools",), why=why, by="schema" if own else "names")

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the conversation.

        Raises:
            RowError: The column is missing or no conversation, or a turn cannot be read.
        """
        refuse_other_kinds(row)
        messages = turns(json_value(column(row, self.messages), self.messages), self.messages)
        if all(turn.role == "system" for turn in messages):
            raise RowError(self.messages, "has no turn but the system's")
        example = Example(
            messages=messages,
            tools=read_tools(row.get(self.tools), self.tools),
            extras=others(row, (self.messages, self.tools)),
        )
        return text_only(example, [self.messages])


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
    return tuple(_openai(tool) for tool in tools)


def _openai(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as OpenAI spells it, which chat templates read, where it is in Anthropic's spelling."""
    if "input_schema" not in tool or "function" in tool:
        return tool
    rest = {key: value for key, value in tool.items() if key not in ("input_schema", "type")}
    return {"type": "function", "function": {**rest, "parameters": tool["input_schema"]}}
