"""Latency: how long an answer takes, asked alone."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from tunesmith import Evaluator, Measure, Sample, Timing

_OURS = 0.75


class Latency(Evaluator):
    """Time to the first token, and tokens a second after it, of answers that are asked alone.

    The first 20 rows are asked once more, one by one, after one that warms up; the other rows have no value. Wall time
    on this machine, whatever else it does: models are asked one after another, so that other work, if it comes or goes
    meanwhile, makes them differ more than any adapter. A note says so where the processor spent less than three
    quarters of the time on an answer. Answers of one token have no speed after it.

    Since 0.12.
    """

    needs: ClassVar[frozenset[Any]] = frozenset({"latency"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`first_token` (seconds), `seconds` of the whole answer, and `tokens_per_second` after the first."""
        times = [sample.timing for sample in samples]
        speeds = [math.nan if t is None else _speed(t) for t in times]
        first = [math.nan if t is None else t.first for t in times]
        whole = [math.nan if t is None else t.seconds for t in times]
        note = _busy([t for t in times if t is not None])
        return [
            Measure("first_token", first, higher_is_better=False, unit="s", note=note),
            Measure("seconds", whole, higher_is_better=False, unit="s", note=note),
            Measure("tokens_per_second", speeds, note=note),
        ]


def _busy(times: Sequence[Timing]) -> str:
    """A note where most of the time went to something else than these answers; empty where it did not."""
    seconds = math.fsum(t.seconds for t in times)
    share = math.fsum(t.processor for t in times) / seconds if seconds else 1.0
    if share >= _OURS:
        return ""
    return f"the processor spent {share:.0%} of the time on it: other work on this machine, or waiting, made the number"


def _speed(timing: Timing) -> float:
    rest = timing.seconds - timing.first
    return (timing.tokens - 1) / rest if timing.tokens > 1 and rest > 0 else math.nan
