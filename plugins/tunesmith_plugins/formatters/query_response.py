"""QueryResponse: ms-swift's schema of a question and its answer, with the turns before it."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, optional_text, others
from tunesmith_plugins.formatters.history import earlier
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only


class QueryResponse(Formatter):
    """Rows with `query` and `response`; `system`, and `history` as a list of `[question, answer]`, where they are.

    Answers of the history are trained on as well.

    Since 0.9.

    Args:
        query: Column of the question.
        response: Column of the answer.
        system: Column of the system turn, which need not be there.
        history: Column of the earlier turns, which need not be there.
    """

    def __init__(
        self, query: str = "query", response: str = "response", system: str = "system", history: str = "history"
    ) -> None:
        self.query = query
        self.response = response
        self.system = system
        self.history = history

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`query` and `response`; not beside an answer that is rejected, which makes a pair of them."""
        if columns.can_be_said("query", "response") and "rejected_response" not in columns.names:
            answer = "response"
            yield Recognised(("query", answer), {}, ("system", "history"), answer, "columns query and response")

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own names, and others."""
        return [cls(), cls("question", "answer", "rules", "before")]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the columns.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind.
        """
        messages = self._asked(row)
        answer = filled(as_text(column(row, self.response), self.response), self.response)
        return self._example(row, [*messages, Message("assistant", answer)])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The turns before the answer alone where the row has none.

        Raises:
            RowError: As `format`.
        """
        return self._example(row, self._asked(row)) if absent(row, self.response) else self.format(row)

    def _asked(self, row: Mapping[str, Any]) -> list[Message]:
        refuse_other_kinds(row, [self.query, self.response])
        query = filled(as_text(column(row, self.query), self.query), self.query)
        system = [Message("system", text) for text in [optional_text(row, self.system)] if text.strip()]
        return [*system, *earlier(row, self.history), Message("user", query)]

    def _example(self, row: Mapping[str, Any], messages: list[Message]) -> Example:
        read = (self.query, self.response, self.system, self.history)
        return text_only(Example(messages=tuple(messages), extras=others(row, read)), [self.query])
