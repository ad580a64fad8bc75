"""Earlier turns of a row, as `[[question, answer], ...]`."""

from collections.abc import Mapping
from typing import Any

from tunesmith import Message, RowError
from tunesmith_plugins.formatters.columns import kind
from tunesmith_plugins.formatters.turns import json_value


def earlier(row: Mapping[str, Any], name: str = "history") -> list[Message]:
    """The turns of a column of such pairs; none where it is missing or empty.

    Raises:
        RowError: It holds something else.
    """
    value = json_value(row.get(name) or [], name)
    if not isinstance(value, list):
        raise RowError(field=name, reason=f"is {kind(value)}; a list of [question, answer] is wanted")
    messages = []
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(t, str) and t.strip() for t in pair):
            raise RowError(field=f"{name}[{index}]", reason="is no [question, answer] of two texts")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages
