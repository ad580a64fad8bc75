"""Ratings: what people say of answers, from a file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean, rating_key
from tunesmith_plugins.evaluators.rated import read_ratings


class Ratings(Evaluator):
    """What people say of the answers: satisfaction, politeness, minutes of review.

    Until there are ratings, metrics are `pending`: `test` passes, and writes `to_rate-NAME.csv` beside its results: the
    answers of all models in an order that does not tell whose they are. Fill in the columns of the criteria, a
    line for each rater and answer (copy one for a second rater; the mean counts), save it as `file`, and test again. An
    answer that has changed since is not what was rated, and does not count.

    Numbers about a model as a whole stand in lines without `answer`, with its name in a column `model` (`tuned`,
    `base`, or a baseline's); they have no interval.

    Since 0.12.

    Args:
        file: Ratings as CSV with a header, or as JSON lines; it need not be there yet.
        criteria: The columns that hold ratings; each is a metric.
        lower_is_better: Those of them where less is better, such as minutes.
    """

    def __init__(
        self,
        file: Path,
        criteria: list[str],
        lower_is_better: list[str] = [],  # noqa: B006  jsonargparse shows it; never changed
    ) -> None:
        self.file = file
        self.criteria = criteria
        self.lower_is_better = lower_is_better

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One whose people have not said anything yet."""
        return [cls(Path("nobody-has-rated.csv"), ["satisfaction", "minutes"], ["minutes"])]

    def produces(self) -> list[Measure]:
        """One metric a criterion."""
        if not self.criteria:
            msg = "Ratings.criteria is empty; name the columns that hold ratings"
            raise RecipeError(msg)
        for name in self.lower_is_better:
            if name not in self.criteria:
                msg = f"Ratings.lower_is_better names {name}, which is no criterion{did_you_mean(name, self.criteria)}"
                raise RecipeError(msg)
        return [Measure(name, [], name not in self.lower_is_better) for name in self.criteria]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """One value an answer: the mean of its ratings; nan where nobody has rated it."""
        keys = [rating_key(sample) for sample in samples]
        who = {sample.model for sample in samples}
        answers: dict[str, dict[str, list[float]]] = {}
        whole: dict[str, list[float]] = {}
        for target, values in read_ratings(self.file, self.criteria, "Ratings.file") if self.file.is_file() else ():
            of = whole if target in who else answers.setdefault(target, {})
            for criterion, value in values.items():
                of.setdefault(criterion, []).append(value)
        return [self._measure(kind, keys, answers, whole.get(kind.name)) for kind in self.produces()]

    def _measure(
        self,
        kind: Measure,
        keys: Sequence[str],
        answers: Mapping[str, Mapping[str, list[float]]],
        whole: list[float] | None,
    ) -> Measure:
        found = [answers.get(key, {}).get(kind.name) for key in keys]
        values = [math.nan if said is None else fmean(said) for said in found]
        rated = sum(said is not None for said in found)
        if rated:
            note = f"{rated} of {len(keys)} answers are rated" if rated < len(keys) else ""
            return Measure(kind.name, values, kind.higher_is_better, note=note)
        if whole is not None:
            value = fmean(whole)
            return Measure(kind.name, values, kind.higher_is_better, corpus=lambda _: value, single=True)
        note = f"nobody has rated these answers in {self.file.name}"
        return Measure(kind.name, values, kind.higher_is_better, note=note, pending=True)
