"""Segments: pieces of template-free text, each learnt or not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunesmith import Columns, Example, Formatter, Recognised, RowError, Segment
from tunesmith_plugins.formatters.columns import column, filled, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds
from tunesmith_plugins.formatters.turns import json_value


class Segments(Formatter):
    """A list of `{"text", "label"}`, tokenised as one text without a chat template; what `label` says false is context.

    Special tokens are written in the text. The base's own rules open it; EOS closes it, unless it stands there.

    Since 0.9.

    Args:
        segments: Column of the list.
    """

    def __init__(self, segments: str = "segments") -> None:
        self.segments = segments

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`segments`, a list of text and label."""
        if columns.turns("segments", "text", "label"):
            yield Recognised(("segments",), why="column segments, pieces of text and label")

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """A question that is context, and an answer that is learnt."""
        return [{"segments": [{"text": "Q: lamp?\nA:", "label": False}, {"text": " in the hall", "label": True}]}]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the pieces.

        Raises:
            RowError: The column is missing or no such list, or nothing of it is learnt.
        """
        refuse_other_kinds(row, [self.segments])
        return Example(segments=self._read(row, learnt=True), extras=others(row, [self.segments]))

    def question(self, row: Mapping[str, Any]) -> Example:
        """The pieces up to where the answer would begin, where there is none yet.

        Raises:
            RowError: As `format`.
        """
        refuse_other_kinds(row, [self.segments])
        return Example(segments=self._read(row, learnt=False), extras=others(row, [self.segments]))

    def _read(self, row: Mapping[str, Any], learnt: bool) -> tuple[Segment, ...]:
        name = self.segments
        value = json_value(column(row, name), name)
        if not isinstance(value, list) or not value:
            raise RowError(name, f"is {kind(value)}; a list of text and label is wanted" if value else "is empty")
        pieces = tuple(_piece(item, f"{name}[{at}]") for at, item in enumerate(value))
        filled("".join(piece.text for piece in pieces), name)
        if learnt and not any(piece.weight and piece.text.strip() for piece in pieces):
            raise RowError(name, "has no text whose label is true, so that nothing would be learnt")
        return pieces


def _piece(item: Any, name: str) -> Segment:
    if not isinstance(item, Mapping):
        raise RowError(name, f"is {kind(item)}; a map of text and label is wanted")
    text, label = item.get("text"), item.get("label")
    if not isinstance(text, str):
        raise RowError(field=f"{name}.text", reason=f"is {kind(text)}; text is wanted")
    if not isinstance(label, bool):
        raise RowError(field=f"{name}.label", reason=f"is {kind(label)}; true or false is wanted")
    return Segment(text, float(label))
