"""Plugins that do what is rarely done and allowed: the kit must pass them."""

from collections.abc import Sequence
from typing import Any

from tunesmith import Evaluator, Measure, Sample


class KeepsATable(Evaluator):
    """Counts words, by a table that is made once.

    Args:
        limit: The most.
    """

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit
        self._table: dict[int, float] = {}

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        self._table = self._table or {number: float(min(self.limit, number)) for number in range(4000)}
        return [Measure("words", [self._table[len(s.output.split())] for s in samples])]


class GivesOptionsOn(KeepsATable):
    """Counts words, or letters.

    Args:
        letters: Count letters.
    """

    def __init__(self, letters: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.letters = letters
