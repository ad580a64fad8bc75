"""Auto: the formatter that the rows themselves ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith import DataError, Example, Formatter, RowError, recognise
from tunesmith_plugins.formatters.other_kinds import other_kind


class Auto(Formatter):
    """Reads rows by the formatter whose schema they have: `fit` and `prepare` say which, and why.

    The first 1,000 rows of a source decide, so that every process, `test` and `predict` read alike; a set that mixes
    schemas is read by several formatters, each row by the one whose columns it has. Columns that fit several formatters
    are refused with their names, and those that fit none.

    Since 0.9.
    """

    def settle(self, rows: Sequence[Mapping[str, Any]], formatters: Sequence[type[Formatter]]) -> Formatter:
        """The formatter that recognises the rows.

        Raises:
            DataError: None does, or several do.
        """
        try:
            return recognise(rows, [each for each in formatters if each is not Auto])
        except DataError as error:
            if what := other_kind(rows):
                raise DataError(what) from error
            raise

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """Rows of several schemas."""
        asked, said = {"role": "user", "content": "Hot?"}, {"role": "assistant", "content": "Yes."}
        return [
            {"prompt": "Hot?", "completion": "Yes."},
            {"messages": [asked, said]},
            {"instruction": "Say yes.", "output": "Yes."},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read a row that no others are known of, by the formatter that recognises it alone.

        Raises:
            RowError: None does, or several do.
        """
        return self._one(row).format(row)

    def question(self, row: Mapping[str, Any]) -> Example:
        """Read a question that no other rows are known of.

        Raises:
            RowError: As `format`.
        """
        return self._one(row).question(row)

    def _one(self, row: Mapping[str, Any]) -> Formatter:
        try:
            return recognise([row])
        except DataError as error:
            field = "messages"  # one of many that would do
            raise RowError(field, "or other columns of a schema are wanted; none is there, or several", row) from error
