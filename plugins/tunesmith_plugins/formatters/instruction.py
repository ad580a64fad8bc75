"""Instruction: the Alpaca schema."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, optional_text, others
from tunesmith_plugins.formatters.history import earlier
from tunesmith_plugins.formatters.names import MORE
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only

_CONTINUES = "is filled: the row goes on where another ends; the formatter ParentChain puts such rows together"
_ASKS = ("instruction", "input", "system", "history")
_ANSWERS = ("output", "response")
# A first answer, what is wrong with it, and a better one.
_BETTER = (("output", "reflection", "corrected"), ("answer", "critiques", "revision"))


class Instruction(Formatter):
    """Rows with `instruction`, `input` (optional) and `output` or `response`; `system` and `history` where they are.

    The user says the instruction, then the input on a new line. Rows of Dolly's columns (`instruction`, `context`,
    `response`) have their input in `context`. `history` is a list of `[question, answer]`; its
    answers are trained on as well. Other names: `data.sources.<name>.map`.

    Since 0.1.

    Args:
        answer: Column of the answer, where another text than `output` or `response` is to be learnt: `corrected` of
            rows that reflect on an answer, `revision` of rows that criticise one. What it is better than stays in the
            extras. Since 0.12.
    """

    def __init__(self, answer: str | None = None) -> None:
        self.answer = answer

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it is, and with another answer."""
        return [cls(), cls("corrected")]

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`instruction`, with `output` or `response`; or with a better answer beside the first and what was wrong."""
        for first, wrong, better in _BETTER:
            if all(columns.filled(name) for name in (first, wrong, better)) and columns.can_be_said("instruction"):
                read, why = (
                    ("instruction", first, wrong, better),
                    f"columns instruction and {better}, which betters {first}",
                )
                yield Recognised(read, {"answer": better}, ("input", "system", "history"), better, why)
        if any(columns.filled(name) for name in MORE):
            return
        answer = next((name for name in _ANSWERS if columns.can_be_said(name)), None)
        if answer and columns.can_be_said("instruction"):
            also = ("input", "context", "system", "history")
            yield Recognised(("instruction", answer), {}, also, answer, f"columns instruction and {answer}")

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind.
        """
        answer = (
            _answer(row) if self.answer is None else filled(as_text(column(row, self.answer), self.answer), self.answer)
        )
        return self._example(row, [*asked(row), Message("assistant", answer)])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The turns before the answer alone where the row has none.

        Raises:
            RowError: As `format`.
        """
        if not all(absent(row, name) for name in (_ANSWERS if self.answer is None else [self.answer])):
            return self.format(row)
        return self._example(row, asked(row))

    def _example(self, row: Mapping[str, Any], messages: list[Message]) -> Example:
        answers = _ANSWERS if self.answer is None else (self.answer,)
        extras = others(row, (*_ASKS, *answers, _input(row)))
        return text_only(Example(messages=tuple(messages), extras=extras), ["instruction", "input"])


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
    given = {name: t for name in _ANSWERS if (t := optional_text(row, name)).strip()}
    if len(set(given.values())) > 1:
        raise RowError(field="response", reason="is filled and differs from output; map one of them to another name")
    if given:
        return next(iter(given.values()))
    if "response" not in row:
        column(row, "output")
    return filled("", "response" if "response" in row else "output")
