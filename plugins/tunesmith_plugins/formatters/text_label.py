"""TextLabel: a text and what it is: a class, several, a number, or several."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Recognised, RowError, Segment
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import json_value, turns

_Label = str | float | tuple[str | float, ...]


class TextLabel(Formatter):
    """A text, or `messages` that are judged, with a label: a class (text or whole number), a number, or a list of one.

    A list of classes is a multi-label row, an empty one a text of none of them; a list of numbers has several targets.
    Whole numbers are names of classes, others are numbers; `numbers` says that all are.

    Since 0.9.

    Args:
        text: Column of the text; where a row lacks it, `messages` is read.
        label: Column of the label; JSON text of a list is a list.
        numbers: Whether labels are numbers (regression), also whole ones and those of tables, which are text.
    """

    def __init__(self, text: str = "text", label: str = "label", numbers: bool = False) -> None:
        self.text = text
        self.label = label
        self.numbers = numbers

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`label` that is not true or false, beside `text` or turns in `messages`."""
        if not columns.filled("label") or columns.mostly("label", lambda value: isinstance(value, bool | dict)):
            return
        if columns.can_be_said("text"):
            yield Recognised(("text", "label"))
        if columns.turns("messages", "role", "content"):
            yield Recognised(("messages", "label"))

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Classes, and numbers under names of one's own."""
        return [cls(), cls("said", "score", numbers=True)]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """A class, several, and a number."""
        return [
            {"text": "hot", "label": "lamp", "said": "hot", "score": "0.5"},
            {"text": "hot", "label": [0, 2], "said": "hot", "score": [1, 0.5]},
            {"messages": [{"role": "user", "content": "hot"}], "label": 0.8, "score": 3},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read text and label.

        Raises:
            RowError: One is missing, empty or of the wrong kind.
        """
        example = self._text(row)
        return example.with_(label=self._label(column(row, self.label)))

    def question(self, row: Mapping[str, Any]) -> Example:
        """The text alone where the row has no label.

        Raises:
            RowError: As `format`.
        """
        return self._text(row) if absent(row, self.label) else self.format(row)

    def _text(self, row: Mapping[str, Any]) -> Example:
        refuse_other_kinds(row, [self.text, self.label])
        extras = others(row, [self.text, self.label])
        if self.text not in row and "messages" in row:
            messages = turns(json_value(row["messages"], "messages"), "messages")
            extras.pop("messages")
            return text_only(Example(messages=messages, extras=extras), ["messages"])
        return Example(
            segments=(Segment(filled(as_text(column(row, self.text), self.text), self.text)),), extras=extras
        )

    def _label(self, value: Any) -> _Label:
        if isinstance(value, str) and value.lstrip()[:1] == "[":
            value = json_value(value, self.label)
        if not isinstance(value, list):
            return self._one(value, self.label)
        found = tuple(self._one(item, f"{self.label}[{at}]") for at, item in enumerate(value))
        if len({type(item) for item in found}) > 1:
            raise RowError(self.label, "mixes classes and numbers; `numbers: true` reads whole numbers as numbers too")
        return found

    def _one(self, value: Any, name: str) -> str | float:
        if self.numbers:
            return _number(value, name)
        if isinstance(value, float):
            return value
        if isinstance(value, list | Mapping):
            raise RowError(name, f"is {kind(value)}; a class or a number is wanted")
        return filled(as_text(value, name), name)


def _number(value: Any, name: str) -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = float("nan")
        if found - found == 0:  # finite
            return found
    raise RowError(name, f"is {kind(value)} that is no finite number" if value is not None else "is empty")
