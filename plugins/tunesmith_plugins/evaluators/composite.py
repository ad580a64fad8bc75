"""Composite: one number of several, weighted."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean


class Composite(Evaluator):
    """A weighted mean of other evaluators' metrics, each brought to 0 (worst) to 1 (best) by its range.

    Rated helpfulness is a metric as others are: `people/helpful`, of `Ratings`. While one of the metrics waits for
    people, so does this one. It is recomputed on resamples from the metrics as they are on them.

    Since 0.12.

    Args:
        weights: By metric: {rouge/rougeL: 2, critical/error_rate: 3, people/helpful: 1}.
        ranges: Worst and best value by metric: {people/helpful: [1, 5], readability/grade: [16, 8]}; where it is not
            given, [0, 1], and [1, 0] where lower is better. Values beyond count as the nearest.
    """

    needs: ClassVar[frozenset[Any]] = frozenset()

    def __init__(
        self,
        weights: dict[str, float],
        ranges: dict[str, list[float]] = {},  # noqa: B006  jsonargparse shows it; never changed
    ) -> None:
        self.weights = weights
        self.ranges = ranges

    @classmethod
    def trial_instances(cls) -> "list[Composite]":
        """One of two metrics."""
        return [cls({"rouge/rougeL": 2.0, "people/helpful": 1.0}, {"people/helpful": [1.0, 5.0]})]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Nothing of samples alone: see `combine`.

        Raises:
            RecipeError: Weights or ranges make no sense.
        """
        if not self.weights or any(not (w > 0 and math.isfinite(w)) for w in self.weights.values()):
            msg = f"Composite.weights is {self.weights}; give metrics with numbers above 0"
            raise RecipeError(msg)
        for name, ends in self.ranges.items():
            if name not in self.weights:
                msg = f"Composite.ranges names {name}, which has no weight{did_you_mean(name, self.weights)}"
                raise RecipeError(msg)
            if len(ends) != 2 or ends[0] == ends[1] or not all(map(math.isfinite, ends)):
                msg = f"Composite.ranges.{name} is {ends}; give the worst and the best value"
                raise RecipeError(msg)
        return [Measure("score", [math.nan] * len(samples))]

    def combine(self, measures: Mapping[str, Measure]) -> list[Measure]:
        """The weighted mean, row by row where all metrics have a value of the row, and over all.

        Raises:
            RecipeError: A metric is not measured.
        """
        parts: list[tuple[float, Measure, float, float]] = []
        for name, weight in self.weights.items():
            if name not in measures:
                msg = (
                    f"Composite.weights names {name}, which is not measured here{did_you_mean(name, measures)}\n"
                    f"metrics: {', '.join(measures) or 'none'}"
                )
                raise RecipeError(msg)
            one = measures[name]
            worst, best = self.ranges.get(name, [0.0, 1.0] if one.higher_is_better else [1.0, 0.0])
            parts.append((weight, one, worst, best))
        if waiting := [measure.note for _, measure, _, _ in parts if measure.pending]:
            nothing = [math.nan] * len(parts[0][1].values)
            return [Measure("score", nothing, note=waiting[0], pending=True)]

        def mean(values: Sequence[float]) -> float:
            scaled = [
                weight * min(1.0, max(0.0, (value - worst) / (best - worst)))
                for (weight, _, worst, best), value in zip(parts, values, strict=True)
            ]
            return math.nan if any(map(math.isnan, values)) else math.fsum(scaled) / math.fsum(self.weights.values())

        def of_rows(measure: Measure) -> Sequence[float]:
            return [measure.value] * len(measure.values) if measure.single else measure.values

        rows = zip(*(of_rows(measure) for _, measure, _, _ in parts), strict=True)
        return [
            Measure(
                "score",
                [mean(row) for row in rows],
                corpus=lambda chosen: mean([measure.at(chosen) for _, measure, _, _ in parts]),
                single=all(measure.single for _, measure, _, _ in parts),
            )
        ]
