"""RankedAnswers: several answers to a prompt, ranked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import as_text, column, filled, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.prompt_completion import text_or_turns
from tunesmith_plugins.formatters.turns import json_value


class RankedAnswers(Formatter):
    """Rows with `prompt` and `answers`, a list of `{"answer", "rank"}` of which rank 1 is the best, as a pair.

    All answers stay in the extras.

    Since 0.9.

    Args:
        against: What the best answer is preferred to: the answer of the last rank, or the second best.
    """

    def __init__(self, against: Literal["last", "second"] = "last") -> None:
        self.against = against

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`answers` with ranks, beside `prompt`."""
        if columns.turns("answers", "rank", "answer") and "prompt" in columns.names:
            yield Recognised(("prompt", "answers"), why="columns prompt and answers, with ranks")

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both."""
        return [cls(), cls("second")]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """Three answers, not in their order."""
        said = (("Maybe.", 2), ("Yes.", 1), ("No.", 3))
        return [{"prompt": "Hot?", "answers": [{"answer": text, "rank": rank} for text, rank in said]}]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read the prompt and two of the answers.

        Raises:
            RowError: A column is missing or of the wrong kind, or two answers share the rank that is needed.
        """
        refuse_other_kinds(row)
        prompt = text_or_turns(row, "prompt", "user")
        ranked = sorted(_answers(row), key=lambda pair: pair[0])
        worse = ranked[-1] if self.against == "last" else ranked[1]
        if ranked[0][0] == ranked[1][0] or ranked[0][1] == worse[1]:
            raise RowError(field="answers", reason="has no best answer: two have its rank, or the other is the same")
        chosen, rejected = ((*prompt, Message("assistant", text)) for _, text in (ranked[0], worse))
        example = Example(chosen=chosen, rejected=rejected, extras=others(row, ["prompt"]))
        return text_only(example, ["prompt"])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The prompt alone where the row has no answers.

        Raises:
            RowError: As `format`.
        """
        if row.get("answers"):
            return self.format(row)
        refuse_other_kinds(row)
        return text_only(
            Example(messages=text_or_turns(row, "prompt", "user"), extras=others(row, ["prompt"])), ["prompt"]
        )


def _answers(row: Mapping[str, Any]) -> list[tuple[float, str]]:
    name = "answers"
    value = json_value(column(row, name), name)
    if not isinstance(value, list) or len(value) < 2:
        raise RowError(name, "is no list of two or more answers with their ranks")
    found = []
    for at, item in enumerate(value):
        rank = item.get("rank") if isinstance(item, Mapping) else None
        if isinstance(rank, bool) or not isinstance(rank, int | float):
            raise RowError(
                field=f"{name}[{at}]", reason=f"has {kind(rank)} for a rank; a map of answer and rank is wanted"
            )
        place = f"{name}[{at}].answer"
        found.append((float(min(max(rank, -1e15), 1e15)), filled(as_text(item.get("answer"), place), place)))
    return found
