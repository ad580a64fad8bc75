"""ShareGPT: conversations whose turns are `{"from", "value"}`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import column, kind, optional_text, others
from tunesmith_plugins.formatters.messages import read_tools
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
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

_PAIR = {"human", "assistant"}


class ShareGPT(Formatter):
    """Conversations: a list of `{"from", "value"}`, with a `system` column and tools where they are.

    Turns may also be pairs, `{"human", "assistant"}`, as ms-swift has them in the column `conversation`.
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

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """Turns of from and value, or pairs of human and assistant, in `conversations`, else in other columns."""
        kinds = (("from", "value", "turns of from and value"), ("human", "assistant", "pairs of human and assistant"))
        for one, other, what in kinds:
            found = [name for name in columns.names if columns.turns(name, one, other)]
            for name in ("conversations",) if "conversations" in found else found:
                options = {} if name == "conversations" else {"conversations": name}
                known = name in ("conversations", "conversation", "messages")
                why = f"column {name}, {what}"
                yield Recognised((name,), options, ("system", "tools"), "", why, "schema" if known else "names")

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the conversation.

        Raises:
            RowError: The column is missing or no conversation, or a turn cannot be read.
        """
        refuse_other_kinds(row)
        name = self.conversations
        said = shared_turns(json_value(column(row, name), name), name)
        if all(turn.role == "system" for turn in said):
            raise RowError(name, "has no turn but the system's")
        system = optional_text(row, self.system)
        before = (Message("system", system),) if system.strip() and said[0].role != "system" else ()
        example = Example(
            messages=(*before, *said),
            tools=read_tools(row.get(self.tools), self.tools),
            extras=others(row, (name, self.system, self.tools)),
        )
        return text_only(example, [name])


def shared_turns(value: Any, name: str) -> tuple[Message, ...]:
    """Read a list of turns of from and value, or of pairs of human and assistant.

    Raises:
        RowError: It is no such list; says which turn and which key.
    """
    owners: list[int] = []
    if isinstance(value, list):
        renamed = [(at, each) for at, turn in enumerate(value) for each in _renamed(turn, f"{name}[{at}]")]
        owners, value = [at for at, _ in renamed], [each for _, each in renamed]
    try:
        return turns(value, name)
    except RowError as error:
        field = error.field.replace(".content", ".value").replace(".role", ".from")
        at, closed, rest = field.removeprefix(f"{name}[").partition("]")
        if closed and at.isdecimal():
            field = f"{name}[{owners[int(at)]}]{rest}"  # a pair is two turns
        raise RowError(field, error.reason, error.columns) from error


def _renamed(turn: Any, name: str) -> Iterator[dict[str, Any]]:
    """A turn as Messages has it; the two of a pair."""
    if not isinstance(turn, Mapping):
        raise RowError(name, f"is {kind(turn)}; a turn with from and value is wanted")
    if turn.keys() >= _PAIR:
        rest = {key: value for key, value in turn.items() if key not in _PAIR}
        yield {"role": "user", "content": turn["human"]}
        yield {**rest, "role": "assistant", "content": turn["assistant"]}
        return
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
        yield {**rest, "role": role, "tool_calls": [{"function": call} for call in calls]}
        return
    yield {**rest, "role": role, "content": turn.get("value")}
