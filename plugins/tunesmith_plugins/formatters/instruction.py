"""Instruction: the Alpaca schema."""

from collections.abc import Mapping
from typing import Any

from tunesmith import Example, Formatter, Message, RowError
from tunesmith_plugins.formatters.columns import (
    absent,
    column,
    filled,
    kind,
    optional_text,
    others,
    refuse_other_kinds,
)
from tunesmith_plugins.formatters.turns import json_value

_CONSUMED = ("instruction", "input", "output", "response", "system", "history")


class Instruction(Formatter):
    """Rows with `instruction`, `input` (optional) and `output` or `response`; `system` and `history` where they are.

    The user says the instruction, then the input on a new line. `history` is a list of `[question, answer]`; its
    answers are trained on as well. Other names: `data.sources.<name>.map`.

    Since 0.1.
    """

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind.
        """
        messages = [*_asked(row), Message("assistant", _answer(row))]
        return Example(messages=tuple(messages), extras=others(row, _CONSUMED))

    def question(self, row: Mapping[str, Any]) -> Example:
        """The turns before the answer alone where the row has none.

        Raises:
            RowError: As `format`.
        """
        if not (absent(row, "output") and absent(row, "response")):
            return self.format(row)
        return Example(messages=tuple(_asked(row)), extras=others(row, _CONSUMED))


def _asked(row: Mapping[str, Any]) -> list[Message]:
    refuse_other_kinds(row)
    column(row, "instruction")
    asked = [t for name in ("instruction", "input") if (t := optional_text(row, name)).strip()]
    messages = [Message("system", t) for t in [optional_text(row, "system")] if t.strip()]
    messages += _history(row)
    return [*messages, Message("user", filled("\n".join(asked), "instruction"))]


def _answer(row: Mapping[str, Any]) -> str:
    given = {name: t for name in ("output", "response") if (t := optional_text(row, name)).strip()}
    if len(set(given.values())) > 1:
        raise RowError(field="response", reason="is filled and differs from output; map one of them to another name")
    if given:
        return next(iter(given.values()))
    if "response" not in row:
        column(row, "output")
    return filled("", "response" if "response" in row else "output")


def _history(row: Mapping[str, Any]) -> list[Message]:
    value = json_value(row.get("history") or [], "history")
    if not isinstance(value, list):
        raise RowError(field="history", reason=f"is {kind(value)}; a list of [question, answer] is wanted")
    messages = []
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(t, str) and t.strip() for t in pair):
            raise RowError(field=f"history[{index}]", reason="is no [question, answer] of two texts")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages
