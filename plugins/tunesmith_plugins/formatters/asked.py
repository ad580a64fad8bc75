"""What annotators were shown: a text, or the turns of a conversation."""

from collections.abc import Mapping
from typing import Any

from tunesmith import Message, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, optional_text
from tunesmith_plugins.formatters.turns import json_value, turns

TURNS = "messages"


def shown(data: Mapping[str, Any], text: str) -> tuple[tuple[Message, ...], list[str]]:
    """The turns before what an annotator says, and the fields that they were read of.

    Args:
        data: Fields of the task.
        text: The field of the text, where there are no turns in `messages`.

    Raises:
        RowError: There is neither, or it is empty.
    """
    if not absent(data, TURNS):
        said = turns(json_value(data[TURNS], TURNS), TURNS)
        if said[-1].role == "assistant":
            raise RowError(TURNS, "ends with an assistant's turn, where the annotator answers")
        return said, [TURNS, text, "system"]
    asked = Message("user", filled(as_text(column(data, text), text), text))
    system = optional_text(data, "system")
    return ((Message("system", system), asked) if system.strip() else (asked,)), [text, "system"]
