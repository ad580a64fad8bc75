"""Instruction: the Alpaca schema."""

from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, column, filled, optional_text, others
from tunesmith_plugins.formatters.history import earlier
from tunesmith_plugins.formatters.names import MORE
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only

_CONTINUES = "is filled: the row goes on where another ends; the formatter ParentChain puts such rows together"
_CONSUMED = ("instruction", "input", "output", "response", "system", "history")


class Instruction(Formatter):
    """Rows with `instruction`, `input` (optional) and `output` or `response`; `system` and `history` where they are.

    The user says the instruction, then the input on a new line. Rows of Dolly's columns (`instruction`, `context`,
    `response`) have their input in `context`. `history` is a list of `[question, answer]`; its
    answers are trained on as well. Other names: `data.sources.<name>.map`.

    Since 0.1.
    """

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`instruction`, with `output` or `response`, and no column that says more, such as a corrected answer."""
        if any(columns.filled(name) for name in MORE):
            return
        answer = next((name for name in ("output", "response") if columns.can_be_said(name)), None)
        if answer and columns.can_be_said("instruction"):
            also = ("input", "context", "system", "history")
            yield Recognised(("instruction", answer), {}, also, answer, f"columns instruction and {answer}")

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind.
        """
        messages = [*asked(row), Message("assistant", _answer(row))]
        return text_only(
            Example(messages=tuple(messages), extras=others(row, (*_CONSUMED, _input(row)))), ["instruction", "input"]
        )

    def question(self, row: Mapping[str, Any]) -> Example:
        """The turns before the answer alone where the row has none.

        Raises:
            RowError: As `format`.
        """
        if not (absent(row, "output") and absent(row, "response")):
            return self.format(row)
        example = Example(messages=tuple(asked(row)), extras=others(row, (*_CONSUMED, _input(row))))
        return text_only(example, ["instruction", "input"])


def asked(row: Mapping[str, Any]) -> list[Message]:
    """The turns before the answer.

    Raises:
        RowError: A column is missing, empty, or of the wrong kind.
    """
    refuse_other_kinds(row)
    if "id" in row and not absent(row, "parent_id"):
        raise RowError(field="parent_id", reason=_CONTINUES)
    column(row, "instruction")
    texts = [t for name in ("instruction", _input(row)) if (t := optional_text(row, name)).strip()]
    messages = [Message("system", t) for t in [optional_text(row, "system")] if t.strip()]
    messages += earlier(row)
    return [*messages, Message("user", filled("\n".join(texts), "instruction"))]


def _input(row: Mapping[str, Any]) -> str:
    """The column of the input: Dolly calls it otherwise. Beside `input` or `output`, a `context` is another column."""
    return "context" if "context" in row and not {"input", "output"} & row.keys() else "input"


def _answer(row: Mapping[str, Any]) -> str:
    given = {name: t for name in ("output", "response") if (t := optional_text(row, name)).strip()}
    if len(set(given.values())) > 1:
        raise RowError(field="response", reason="is filled and differs from output; map one of them to another name")
    if given:
        return next(iter(given.values()))
    if "response" not in row:
        column(row, "output")
    return filled("", "response" if "response" in row else "output")
