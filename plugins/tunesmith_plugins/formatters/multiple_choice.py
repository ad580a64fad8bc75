"""MultipleChoice: questions with choices, of which one is right."""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, kind, optional_text, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import json_value

_CONTEXTS = ("context", "article")
_CHOICES = ("choices", "options")
_RIGHT = ("solution", "answer", "answerKey")
_WHY = "explanation"


class MultipleChoice(Formatter):
    """Rows with `question`, `choices` (or `options`) and the right one: `solution`, `answer` or `answerKey`.

    The user says the question, then each choice on a line of its own, `- red`; a `context` or `article` comes first.
    The answer is the `explanation`, where the row has one, and below it the right choice, as it is written among the
    choices. Choices are a list, a map of labels to texts, ARC's `{"text": [...], "label": [...]}`, or text, which is
    shown as it is. The right one is a choice's text, its label (by default A, B, ...) or its number from 0, looked
    for in this order; a number that may be both is refused. A row without it has to have an explanation.

    Since 0.12.
    """

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`question` and `choices` or `options`, with a right one or an explanation."""
        choices = next((name for name in _CHOICES if columns.filled(name)), None)
        answer = next((name for name in (*_RIGHT, _WHY) if columns.can_be_said(name)), None)
        if choices and answer and columns.can_be_said("question"):
            before = next((name for name in _CONTEXTS if columns.can_be_said(name)), None)
            read = ("question", choices, answer, *([before] if before else []))
            yield Recognised(read, {}, (_WHY,), answer)

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """Axolotl's row, MMLU's, ARC's and one with a context."""
        asked, choices = "What is hot?", ["a cup", "a lamp"]
        return [
            {"question": asked, "choices": choices, "solution": "a lamp", "explanation": "It glows."},
            {"question": asked, "choices": choices, "answer": 1, "subject": "lamps"},
            {"question": asked, "choices": {"text": choices, "label": ["1", "2"]}, "answerKey": "2"},
            {"article": "The lamp glows.", "question": asked, "options": choices, "answer": "B"},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind, or the right one is none of the choices.
        """
        name = _first(row, _CHOICES)
        shown, labels = _choices(row, name)
        said = [text for text in (optional_text(row, _WHY), _right(row, shown, labels)) if text.strip()]
        return self._example(row, name, [*_asked(row, name), Message("assistant", "\n".join(said))])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The question and choices alone where the row has neither the right one nor an explanation.

        Raises:
            RowError: As `format`.
        """
        if not all(absent(row, name) for name in (*_RIGHT, _WHY)):
            return self.format(row)
        name = _first(row, _CHOICES)
        return self._example(row, name, _asked(row, name))

    def _example(self, row: Mapping[str, Any], choices: str, messages: list[Message]) -> Example:
        read = (*_CONTEXTS, "question", choices)
        return text_only(Example(messages=tuple(messages), extras=others(row, read)), ["question", choices])


def _asked(row: Mapping[str, Any], name: str) -> list[Message]:
    refuse_other_kinds(row)
    shown, _ = _choices(row, name)
    listed = "\n".join(f"- {choice}" for choice in shown) if shown else as_text(row[name], name)
    before = next((name for name in _CONTEXTS if not absent(row, name)), None)
    texts = [as_text(row[before], before), ""] if before else []
    texts += [filled(as_text(column(row, "question"), "question"), "question"), filled(listed, name)]
    return [Message("user", "\n".join(texts))]


def _choices(row: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """The choices and their labels; none where they are one text."""
    value = column(row, name)
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("{", "["):
            return [], []
        value = json_value(value, name)  # as tables keep lists
    labels: Any = None
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value, labels = value["text"], value.get("label")
    elif isinstance(value, Mapping):
        value, labels = list(value.values()), list(value)
    if not isinstance(value, list):
        raise RowError(name, f"is {kind(value)}; a list of choices is wanted")
    shown = [filled(as_text(choice, name), name) for choice in value]
    if len(shown) < 2 or len(set(shown)) < len(shown):
        raise RowError(name, "holds one choice twice" if len(shown) > 1 else "holds fewer than two choices")
    if not isinstance(labels, list) or len(labels) != len(shown):
        labels = list(ascii_uppercase[: len(shown)])
    return shown, [as_text(label, name) for label in labels]


def _right(row: Mapping[str, Any], shown: Sequence[str], labels: Sequence[str]) -> str:
    """The text of the right choice; empty where only an explanation is there."""
    name = _first(row, _RIGHT)
    if absent(row, name):
        if absent(row, _WHY):
            column(row, name)
            raise RowError(name, "is empty")
        return ""
    value = row[name]
    text = as_text(value, name).strip()
    if not shown:
        return text
    by_number = dict(zip(map(str, range(len(shown))), shown, strict=True))
    by_text, by_label = {each.strip(): each for each in shown}, dict(zip(labels, shown, strict=True))
    told = [by for by in (by_text, by_label, by_number) if text in by]
    if not told:
        raise RowError(name, "is none of the choices: not the text of one, nor its label, nor its number from 0")
    if isinstance(value, int) and len({by[text] for by in told}) > 1:
        raise RowError(name, "is the text or label of one choice and the number of another; write it as text")
    return told[0][text]


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of several names that is filled, else the first that is there, else the first."""
    there = [name for name in names if name in row]
    return next((name for name in there if not absent(row, name)), there[0] if there else names[0])
