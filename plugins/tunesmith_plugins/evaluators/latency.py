"""Latency: how long an answer takes, asked alone."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from tunesmith import Evaluator, Measure, Sample, Timing


class Latency(Evaluator):
    """Time to the first token, and tokens a second after it, of answers that are asked alone.

    The first 20 rows are asked once more, one by one, after one that warms up; the other rows have no value. Wall time
    on this machine, whatever else it does. Answers of one token have no speed after it.

    Since 0.12.
    """

    needs: ClassVar[frozenset[Any]] = frozenset({"latency"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`first_token` (seconds), `seconds` of the whole answer, and `tokens_per_second` after the first."""
        times = [sample.timing for sample in samples]
        speeds = [math.nan if t is None else _speed(t) for t in times]
        first = [math.nan if t is None else t.first for t in times]
        whole = [math.nan if t is None else t.seconds for t in times]
        return [
            Measure("first_token", first, higher_is_better=False, unit="s"),
            Measure("seconds", whole, higher_is_better=False, unit="s"),
            Measure("tokens_per_second", speeds),
        ]


def _speed(timing: Timing) -> float:
    rest = timing.seconds - timing.first
    return (timing.tokens - 1) / rest if timing.tokens > 1 and rest > 0 else math.nan
