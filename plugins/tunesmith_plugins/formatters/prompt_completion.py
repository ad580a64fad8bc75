"""PromptCompletion: a column that asks and a column that answers."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters import names
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import turns


class PromptCompletion(Formatter):
    """A prompt and a completion, each as text or as a list of messages; only the completion is trained on.

    Since 0.1.

    Args:
        prompt: Column of the prompt.
        completion: Column of the completion.
        system: Column of the system turn, which may be empty in a row.
    """

    def __init__(self, prompt: str = "prompt", completion: str = "completion", system: str | None = None) -> None:
        self.prompt = prompt
        self.completion = completion
        self.system = system

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`prompt` and `completion`, each text or turns."""
        pair = ("prompt", "completion")
        if all(columns.can_be_said(n) or columns.turns(n, "role", "content", "tool_calls") for n in pair):
            answer = "completion"
            yield Recognised(pair, {}, (), answer, "columns prompt and completion")
            return
        found = names.pair(columns)
        if found is not None and {"{", "}"} & {*found.asks, *found.answers}:  # which a template cannot name
            options = {"prompt": found.asks, "completion": found.answers}
            options |= {"system": found.system} if found.system else {}
            read = (found.asks, found.answers, *([found.system] if found.system else []))
            yield Recognised(read, options, (), found.answers, found.why, found.by)

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Two columns, and three with names of one's own."""
        return [cls(), cls(prompt="asked", completion="said", system="rules")]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the two columns.

        Raises:
            RowError: A column is missing, empty, or neither text nor messages.
        """
        messages, consumed = self._asked(row)
        completion = text_or_turns(row, self.completion, "assistant")
        if completion[-1].role != "assistant":
            raise RowError(self.completion, "does not end with an assistant's turn")
        return text_only(Example(messages=(*messages, *completion), extras=others(row, consumed)), consumed[:1])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The prompt alone where the row has no completion.

        Raises:
            RowError: As `format`.
        """
        if not absent(row, self.completion):
            return self.format(row)
        messages, consumed = self._asked(row)
        return text_only(Example(messages=tuple(messages), extras=others(row, consumed)), consumed[:1])

    def _asked(self, row: Mapping[str, Any]) -> tuple[list[Message], list[str]]:
        """The turns before the completion, and the columns that are consumed."""
        refuse_other_kinds(row, [self.prompt, self.completion])
        prompt = text_or_turns(row, self.prompt, "user")
        # The assistant's turns of a prompt are context here.
        messages = [replace(m, weight=0.0) if m.role == "assistant" and m.weight is None else m for m in prompt]
        consumed = [self.prompt, self.completion]
        if self.system is not None:
            consumed.append(self.system)
            said = as_text(column(row, self.system), self.system)
            if said.strip() and messages[0].role == "system":
                raise RowError(self.system, f"is filled, and {self.prompt} begins with a system turn too")
            if said.strip():
                messages.insert(0, Message("system", said))
        return messages, consumed


def text_or_turns(row: Mapping[str, Any], name: str, role: Literal["user", "assistant"]) -> tuple[Message, ...]:
    """A column that holds a turn's text, or a list of messages.

    Raises:
        RowError: It is missing, empty, or something else.
    """
    value = column(row, name)
    if isinstance(value, list):
        return turns(value, name)
    return (Message(role, filled(as_text(value, name), name)),)
