"""Exact match: the share of outputs that equal their reference."""

from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, Sample


class ExactMatch(Evaluator):
    """Share of outputs that equal the reference, in [0, 1]; higher is better. Measures `exact_match`.

    Since 0.1.

    Args:
        ignore_case: Compare in lower case.
        ignore_space: Collapse runs of white space and strip both ends.
    """

    def __init__(self, ignore_case: bool = False, ignore_space: bool = True) -> None:
        self.ignore_case = ignore_case
        self.ignore_space = ignore_space

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """The strictest and the loosest comparison."""
        return [cls(ignore_space=False), cls(ignore_case=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """1 for each output that equals its reference, else 0."""
        hits = [float(self._normal(s.output) == self._normal(s.reference)) for s in samples]
        return [Measure("exact_match", hits, higher_is_better=True)]

    def _normal(self, text: str) -> str:
        if self.ignore_case:
            text = text.casefold()
        return " ".join(text.split()) if self.ignore_space else text
