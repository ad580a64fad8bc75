"""Cost: what training took, and what an answer takes."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from tunesmith import Evaluator, Measure, RecipeError, Sample


class Cost(Evaluator):
    """Tokens and processor time of an answer, processor time of training, and what they cost at prices of yours.

    `answer_seconds` is the processor time of answers asked alone (20 rows, as `Latency`), on a GPU the wall time, in
    which the GPU is yours. `price` is that of 1,000 answers: seconds by `per_hour`, tokens by `per_million_in` and
    `per_million_out`, as servers bill; at least one of them must be given for it to have a value. `training_price` is
    by `per_hour`.

    Since 0.12.

    Args:
        per_hour: Price of an hour of this machine.
        per_million_in: Price of a million tokens of prompts.
        per_million_out: Price of a million tokens of answers.
        gpu: Whether the wall time counts, since a GPU answers.
    """

    needs: ClassVar[frozenset[Any]] = frozenset({"output", "latency"})

    def __init__(
        self,
        per_hour: float = 0.0,
        per_million_in: float = 0.0,
        per_million_out: float = 0.0,
        gpu: bool = False,
    ) -> None:
        self.per_hour = per_hour
        self.per_million_in = per_million_in
        self.per_million_out = per_million_out
        self.gpu = gpu

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`prompt_tokens`, `answer_tokens`, `answer_seconds`, `price` (of 1,000), `training_seconds`, `training_price`.

        Raises:
            RecipeError: A price is below 0.
        """
        for name in ("per_hour", "per_million_in", "per_million_out"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                msg = f"Cost.{name} is {value}; a price is 0 or more"
                raise RecipeError(msg)
        seconds = [
            math.nan if s.timing is None else s.timing.seconds if self.gpu else s.timing.processor for s in samples
        ]
        training = next((sample.training for sample in samples), math.nan)
        nothing = [math.nan] * len(samples)
        return [
            self._down("prompt_tokens", [_count(sample.prompt_tokens) for sample in samples], "tokens"),
            self._down("answer_tokens", [_count(sample.answer_tokens) for sample in samples], "tokens"),
            self._down("answer_seconds", seconds, "s"),
            self._down("price", [self._price(s, t) for s, t in zip(samples, seconds, strict=True)]),
            Measure(
                "training_seconds", nothing, higher_is_better=False, unit="s", corpus=lambda _: training, single=True
            ),
            Measure(
                "training_price",
                nothing,
                higher_is_better=False,
                corpus=lambda _: training * self.per_hour / 3600 if self.per_hour else math.nan,
                single=True,
            ),
        ]

    def _down(self, name: str, values: list[float], unit: str = "") -> Measure:
        return Measure(name, values, higher_is_better=False, unit=unit)

    def _price(self, sample: Sample, seconds: float) -> float:
        """Of 1,000 answers like this one."""
        parts = []
        if self.per_hour:
            parts.append(seconds * self.per_hour / 3.6)
        if self.per_million_in:
            parts.append(_count(sample.prompt_tokens) * self.per_million_in / 1000)
        if self.per_million_out:
            parts.append(_count(sample.answer_tokens) * self.per_million_out / 1000)
        return math.fsum(parts) if parts else math.nan


def _count(tokens: int) -> float:
    return float(tokens) if tokens else math.nan
