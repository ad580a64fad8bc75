"""ContextQA: questions about a text, with their answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import json_value


class ContextQA(Formatter):
    """Rows with a context, a question and answers: a text, a list of texts, or SQuAD's `{"text": [...]}`.

    The user says the context, an empty line and the question. The first answer is learnt; all stay in the extras, for
    evaluators that take any of them. Columns may be called `article` and `answer` as well; others: `map`.

    Since 0.9.
    """

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`context` or `article`, with `question`, and `answers` or `answer`."""
        context = next((name for name in _CONTEXTS if columns.can_be_said(name)), None)
        answers = next((name for name in _ANSWERS if name in columns.names), None)
        if context and answers and columns.can_be_said("question"):
            yield Recognised((context, "question", answers), answer=answers)

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """SQuAD's row, and one of text."""
        text, asked = "The lamp is in the hall.", "Where is the lamp?"
        return [
            {"context": text, "question": asked, "answers": {"text": ["in the hall", "hall"], "answer_start": [12]}},
            {"article": text, "question": asked, "answer": "in the hall"},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind.
        """
        name = _first(row, _ANSWERS)
        return self._example(row, [*_asked(row), Message("assistant", _answer(row, name))])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The context and question alone where the row has no answer.

        Raises:
            RowError: As `format`.
        """
        return self._example(row, _asked(row)) if all(absent(row, name) for name in _ANSWERS) else self.format(row)

    def _example(self, row: Mapping[str, Any], messages: list[Message]) -> Example:
        read = (_first(row, _CONTEXTS), "question")
        return text_only(Example(messages=tuple(messages), extras=others(row, read)), read)


_CONTEXTS = ("context", "article")
_ANSWERS = ("answers", "answer")


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of several names that is filled, else the first that is there, else the first."""
    there = [name for name in names if name in row]
    return next((name for name in there if not absent(row, name)), there[0] if there else names[0])


def _asked(row: Mapping[str, Any]) -> list[Message]:
    refuse_other_kinds(row)
    texts = [filled(as_text(column(row, name), name), name) for name in (_first(row, _CONTEXTS), "question")]
    return [Message("user", "\n\n".join(texts))]


def _answer(row: Mapping[str, Any], name: str) -> str:
    value = column(row, name)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and value.rstrip()[-1:] in ("}", "]"):
        value = json_value(value, name)  # as tables keep lists
    if isinstance(value, Mapping):
        value = value.get("text")
    if isinstance(value, list):
        if not value:
            raise RowError(name, "is empty: the question has no answer in the context")
        value = value[0]["text"] if isinstance(value[0], Mapping) and "text" in value[0] else value[0]
    if isinstance(value, list | Mapping):
        raise RowError(name, f"holds {kind(value)}; text, a list of texts, or a map with `text` is wanted")
    return filled(as_text(value, name), name)
