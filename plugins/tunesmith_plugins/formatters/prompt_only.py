"""PromptOnly: prompts whose answers are made, not learnt."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Recognised, RowError
from tunesmith_plugins.formatters.columns import others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.prompt_completion import text_or_turns


class PromptOnly(Formatter):
    """A prompt, as text or as a list of messages; all other columns stay beside it, for what judges the answers.

    Since 0.9.

    Args:
        prompt: Column of the prompt.
    """

    def __init__(self, prompt: str = "prompt") -> None:
        self.prompt = prompt

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`prompt`, where no other name tells an answer."""
        if columns.can_be_said("prompt") or columns.turns("prompt", "role", "content"):
            yield Recognised(("prompt",), by="names")

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own name, and another."""
        return [cls(), cls("asked")]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the prompt.

        Raises:
            RowError: It is missing, empty, neither text nor messages, or ends with an answer.
        """
        refuse_other_kinds(row, [self.prompt])
        messages = text_or_turns(row, self.prompt, "user")
        if messages[-1].role == "assistant":
            raise RowError(self.prompt, "ends with an assistant's turn; Messages reads whole conversations")
        if all(message.role == "system" for message in messages):
            raise RowError(self.prompt, "has no turn but the system's")
        return text_only(Example(messages=messages, extras=others(row, [self.prompt])), [self.prompt])
