"""Stepwise: a prompt and the steps of a solution, each right or wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Recognised, RowError, Segment
from tunesmith_plugins.formatters.columns import as_text, column, filled, kind, others
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds
from tunesmith_plugins.formatters.turns import json_value


class Stepwise(Formatter):
    """Rows with `prompt`, `completions` (a list of steps) and `labels` (true or false for each step).

    The text is the prompt and the steps, each on a line of its own, without a chat template. The labels of the steps
    are the example's label, and what a language model learns of it are the right steps.

    Since 0.9.

    Args:
        prompt: Column of the prompt.
        completions: Column of the steps.
        labels: Column of their labels.
    """

    def __init__(self, prompt: str = "prompt", completions: str = "completions", labels: str = "labels") -> None:
        self.prompt = prompt
        self.completions = completions
        self.labels = labels

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`prompt`, `completions` and `labels`."""
        lists = all(columns.mostly(name, lambda value: isinstance(value, list)) for name in ("completions", "labels"))
        if lists and columns.can_be_said("prompt"):
            yield Recognised(("prompt", "completions", "labels"))

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own names, and others."""
        return [cls(), cls("asked", "steps", "right")]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """A right step and a wrong one, under both names."""
        asked, steps, labels = "3+4*2?", ["4*2=8", "3+8=12"], [True, False]
        return [
            {"prompt": asked, "completions": steps, "labels": labels},
            {"asked": asked, "steps": steps, "right": labels},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read prompt, steps and labels.

        Raises:
            RowError: A column is missing or of the wrong kind, or there are not as many labels as steps.
        """
        refuse_other_kinds(row, [self.prompt, self.completions, self.labels])
        prompt = filled(as_text(column(row, self.prompt), self.prompt), self.prompt)
        steps, labels = (self._list(row, name) for name in (self.completions, self.labels))
        if len(steps) != len(labels):
            raise RowError(self.labels, f"has {len(labels)} entries for {len(steps)} steps")
        segments = [Segment(prompt, 0.0)]
        for at, (step, label) in enumerate(zip(steps, labels, strict=True)):
            if not isinstance(label, bool):
                raise RowError(field=f"{self.labels}[{at}]", reason=f"is {kind(label)}; true or false is wanted")
            place = f"{self.completions}[{at}]"
            segments.append(Segment("\n" + filled(as_text(step, place), place), float(label)))
        read = (self.prompt, self.completions, self.labels)
        return Example(segments=tuple(segments), label=tuple(labels), extras=others(row, read))

    def _list(self, row: Mapping[str, Any], name: str) -> list[Any]:
        value = json_value(column(row, name), name)
        if not isinstance(value, list) or not value:
            raise RowError(name, f"is {kind(value)}; a list is wanted" if value else "is empty")
        return value
