"""RawText: documents without a template, for training on all of their text."""

from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith import Columns, Example, Formatter, Recognised, Segment
from tunesmith_plugins.formatters.columns import as_text, column, filled, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds


class RawText(Formatter):
    """A document a row, trained on whole, without a chat template.

    The objective DomainText learns all of a document that is longer than `data.max_length`; NextToken cuts it.

    Since 0.1.

    Args:
        column: Column of the text; lines of a `.txt` file are rows with the column `text`.
    """

    def __init__(self, column: str = "text") -> None:
        self.column = column

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`text`, as the only column of text but for a title, where no other holds a conversation."""
        talks = any(columns.turns(n, "role", "content") or columns.turns(n, "from", "value") for n in columns.names)
        if "text" in columns.texts and set(columns.texts) <= {"text", "title"} and not talks:
            yield Recognised(("text",), {}, (), "text", "column text, the only one that holds text", "names")

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the document.

        Raises:
            RowError: The column is missing, empty or no text.
        """
        refuse_other_kinds(row, [self.column])
        text = filled(as_text(column(row, self.column), self.column), self.column)
        return Example(segments=(Segment(text),), extras=others(row, (self.column,)))
