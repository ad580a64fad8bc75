"""Ratings: what people say of answers, from a file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean, rating_key
from tunesmith_plugins.evaluators.agreement import krippendorff
from tunesmith_plugins.evaluators.rated import Rated, read_ratings

_AGREEMENT = "agreement"


class Ratings(Evaluator):
    """What people say of the answers: satisfaction, politeness, minutes of review.

    Until there are ratings, metrics are `pending`: `test` passes, and writes `to_rate-NAME.csv` beside its results: the
    answers of all models in an order that does not tell whose they are. Fill in the columns of the criteria, a
    line for each rater and answer (copy one for a second rater; the mean counts), save it as `file`, and test again. An
    answer that has changed since is not what was rated, and does not count.

    `agreement` says how far raters agree where several have rated the same answers: the lowest of the criteria's
    Krippendorff's alphas (1 in all, 0 as by chance; above 0.8 is called reliable, below 0.667 nothing rests on it). It
    is of the file's ratings, whichever models gave the answers, and `pending` while no answer has two.

    Numbers about a model as a whole stand in lines without `answer`, with its name in a column `model` (`tuned`,
    `base`, or a baseline's); they have no interval.

    Since 0.12.

    Args:
        file: Ratings as CSV with a header, or as JSON lines; it need not be there yet.
        criteria: The columns that hold ratings; each is a metric.
        lower_is_better: Those of them where less is better, such as minutes.
        interval: Those of them that are amounts, such as minutes: raters disagree by how far they are apart. Of all
            others, which are grades, the order alone counts.
    """

    def __init__(
        self,
        file: Path,
        criteria: list[str],
        lower_is_better: list[str] = [],  # noqa: B006  jsonargparse shows it; never changed
        interval: list[str] = [],  # noqa: B006
    ) -> None:
        self.file = file
        self.criteria = criteria
        self.lower_is_better = lower_is_better
        self.interval = interval

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One whose people have not said anything yet."""
        return [cls(Path("nobody-has-rated.csv"), ["satisfaction", "minutes"], ["minutes"], ["minutes"])]

    def produces(self) -> list[Measure]:
        """One metric a criterion, and `agreement`.

        Raises:
            RecipeError: Criteria make no sense.
        """
        if not self.criteria:
            msg = "Ratings.criteria is empty; name the columns that hold ratings"
            raise RecipeError(msg)
        if _AGREEMENT in self.criteria:
            msg = f"Ratings.criteria names {_AGREEMENT}, which is what raters' agreement is called; rename the column"
            raise RecipeError(msg)
        for option in ("lower_is_better", "interval"):
            for name in getattr(self, option):
                if name not in self.criteria:
                    msg = f"Ratings.{option} names {name}, which is no criterion{did_you_mean(name, self.criteria)}"
                    raise RecipeError(msg)
        return [*self._kinds(), Measure(_AGREEMENT, [])]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """One value an answer: the mean of its ratings; nan where nobody has rated it. And how far raters agree.

        Raises:
            RecipeError: Criteria make no sense.
            DataError: The file cannot be read.
        """
        self.produces()
        rated = list(read_ratings(self.file, self.criteria, "Ratings.file")) if self.file.is_file() else []
        keys = [rating_key(sample) for sample in samples]
        who = {sample.model for sample in samples}
        answers: dict[str, dict[str, list[float]]] = {}
        whole: dict[str, list[float]] = {}
        for one in rated:
            of = answers.setdefault(one.answer, {}) if one.answer else whole if one.model in who else {}
            for criterion, value in one.values.items():
                of.setdefault(criterion, []).append(value)
        found = [self._measure(kind, keys, answers, whole.get(kind.name)) for kind in self._kinds()]
        return [*found, self._agreement(rated, len(samples))]

    def _kinds(self) -> list[Measure]:
        return [Measure(name, [], name not in self.lower_is_better) for name in self.criteria]

    def _agreement(self, rated: Sequence[Rated], count: int) -> Measure:
        alphas: dict[str, float] = {}
        several: set[str] = set()
        for name in self.criteria:
            units = {answer: said for answer, said in _by_rater(rated, name).items() if len(said) > 1}
            several |= units.keys()
            if units:
                alphas[name] = krippendorff(units.values(), interval=name in self.interval)
        nothing = [math.nan] * count
        if not alphas:
            note = f"no answer in {self.file.name} has been rated by two"
            return Measure(_AGREEMENT, nothing, note=note, pending=True, single=True)
        lowest = min((alpha for alpha in alphas.values() if not math.isnan(alpha)), default=math.nan)
        told = ", ".join(f"{name} {'alike' if math.isnan(a) else f'{a:.2f}'}" for name, a in alphas.items())
        note = f"Krippendorff's alpha of {len(several)} answers that several have rated: {told}"
        return Measure(_AGREEMENT, nothing, corpus=lambda _: lowest, note=note, single=True)

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


def _by_rater(rated: Sequence[Rated], criterion: str) -> dict[str, list[float]]:
    """The ratings of each answer, one a rater; lines that do not say whose they are are of people each."""
    found: dict[str, dict[str, list[float]]] = {}
    for line, one in enumerate(rated):
        if one.answer and criterion in one.values:
            found.setdefault(one.answer, {}).setdefault(one.rater or f"line {line}", []).append(one.values[criterion])
    return {answer: [fmean(values) for values in by.values()] for answer, by in found.items()}
