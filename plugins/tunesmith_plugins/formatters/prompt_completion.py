"""PromptCompletion: a column that asks and a column that answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from tunesmith import Example, Formatter, Message, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, others, refuse_other_kinds
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
    def trial_instances(cls) -> list[Self]:
        """Two columns, and three with names of one's own."""
        return [cls(), cls(prompt="asked", completion="said", system="rules")]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the two columns.

        Raises:
            RowError: A column is missing, empty, or neither text nor messages.
        """
        messages, consumed = self._asked(row)
        completion = self._turns(row, self.completion, "assistant")
        if completion[-1].role != "assistant":
            raise RowError(self.completion, "does not end with an assistant's turn")
        return Example(messages=(*messages, *completion), extras=others(row, consumed))

    def question(self, row: Mapping[str, Any]) -> Example:
        """The prompt alone where the row has no completion.

        Raises:
            RowError: As `format`.
        """
        if not absent(row, self.completion):
            return self.format(row)
        messages, consumed = self._asked(row)
        return Example(messages=tuple(messages), extras=others(row, consumed))

    def _asked(self, row: Mapping[str, Any]) -> tuple[list[Message], list[str]]:
        """The turns before the completion, and the columns that are consumed."""
        refuse_other_kinds(row)
        prompt = self._turns(row, self.prompt, "user")
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

    def _turns(self, row: Mapping[str, Any], name: str, role: str) -> tuple[Message, ...]:
        value = column(row, name)
        if isinstance(value, list):
            return turns(value, name)
        text = filled(as_text(value, name), name)
        return (Message("user" if role == "user" else "assistant", text),)
