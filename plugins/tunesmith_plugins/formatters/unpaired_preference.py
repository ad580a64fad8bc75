"""UnpairedPreference: answers that are wanted and answers that are not, one a row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import column, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.preference import whole
from tunesmith_plugins.formatters.prompt_completion import text_or_turns

_LABELS = ("label", "kto_tag")
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class UnpairedPreference(Formatter):
    """A conversation and whether its last answer is wanted: `label` or `kto_tag`, true or false.

    The conversation is `prompt` and `completion`, `messages`, or `conversations` (turns of from and value). KTO and
    Unlikelihood learn from both kinds, NextToken the wanted answers alone.

    Since 0.9.

    Args:
        label: Column that says it; by default `label`, else `kto_tag`.
    """

    def __init__(self, label: str | None = None) -> None:
        self.label = label

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`label` or `kto_tag` that is true or false, beside a conversation."""
        for label in _LABELS:
            if not columns.mostly(label, _is_switch if label == _LABELS[1] else _is_bool):
                continue
            if all(columns.can_be_said(n) or columns.turns(n, "role", "content") for n in ("prompt", "completion")):
                yield Recognised(("prompt", "completion", label))
            if columns.turns("messages", "role", "content", "tool_calls"):
                yield Recognised(("messages", label), {}, ("tools",))
            if columns.turns("conversations", "from", "value"):
                yield Recognised(("conversations", label), {}, ("system", "tools"))

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own names, and another."""
        return [cls(), cls("wanted")]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """Each kind of conversation."""
        asked, said = {"from": "human", "value": "Hot?"}, {"from": "gpt", "value": "Yes."}
        return [
            {"prompt": "Hot?", "completion": "Yes.", "label": True, "wanted": False},
            {"conversations": [asked, said], "kto_tag": False, "wanted": True},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read conversation and label.

        Raises:
            RowError: A column is missing or of the wrong kind, or the conversation does not end with an answer.
        """
        label = self.label or next((name for name in _LABELS if name in row), _LABELS[0])
        refuse_other_kinds(row)
        messages, tools, read = _conversation(row)
        if messages[-1].role != "assistant":
            raise RowError("completion" if "completion" in read else read[0], "does not end with an assistant's turn")
        example = Example(
            messages=messages, tools=tools, label=_switch(column(row, label), label), extras=others(row, [*read, label])
        )
        return text_only(example, read)


def _conversation(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], tuple[Mapping[str, Any], ...], list[str]]:
    """The turns, the tools, and the columns that they were in."""
    if (found := whole(row)) is not None:
        return found.messages, found.tools, list(found.read)
    names = ["prompt", "completion"]
    prompt, completion = text_or_turns(row, "prompt", "user"), text_or_turns(row, "completion", "assistant")
    return (*prompt, *completion), (), names


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false"))


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool) or str(value).strip().lower() in _WORDS


def _switch(value: Any, name: str) -> bool:
    """True or false, also as tables and older data sets spell it."""
    if isinstance(value, bool):
        return value
    found = _WORDS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if found is None:
        raise RowError(name, "is empty" if value in (None, "") else f"is {kind(value)}; true or false is wanted")
    return found
