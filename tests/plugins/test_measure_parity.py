"""The audit `MeasureParity`: groups' measures against numpy, its permutation test, and what it is told of a recipe."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunesmith import DataError, Evaluator, Findings, Measure, Message, RecipeError, Sample
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.threshold import Threshold, check_names, produced
from tunesmith_plugins.audits.group_means import group_means
from tunesmith_plugins.audits.measure_parity import MeasureParity


class Score(Evaluator):
    """The number that an answer is, and the largest of all; the second only if asked."""

    def __init__(self, corpus: bool = False, higher: bool = True) -> None:
        self.corpus, self.higher = corpus, higher

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        values = [float(s.output) if s.output else math.nan for s in samples]
        found = [Measure("value", values, self.higher)]
        if self.corpus:
            found.append(Measure("median", values, corpus=lambda at: float(np.median([values[i] for i in at]))))
        return found


def sample(at: int, group: str, value: float, asked: str = "?") -> Sample:
    return Sample(f"s{at}", (Message("user", asked),), "", str(value), extras={"team": group})


def answers(of: dict[str, list[float]], **more: Any) -> list[Sample]:
    return [sample(at, group, value, **more) for group, held in of.items() for at, value in enumerate(held)]


def examine(
    samples: Sequence[Sample], base: Sequence[Sample] | None = None, of: Any = None, **options: Any
) -> Findings:
    evaluators = {"score": of or Score()}
    beside = AuditSubject(outputs=base, evaluators=evaluators) if base is not None else None
    given = {"group": "team", "min_rows": 2, "measures": ["score/value"], **options}
    return MeasureParity(**given).examine(AuditSubject({}, None, samples, beside, evaluators))


DRAW = np.random.default_rng(7)
LOW, HIGH = DRAW.normal(1.0, 1.0, 40).tolist(), DRAW.normal(3.0, 1.0, 60).tolist()


def test_gap_and_effect_are_those_of_numpy() -> None:
    found = examine(answers({"red": LOW, "blue": HIGH}))
    gap = np.mean(HIGH) - np.mean(LOW)
    pooled = math.sqrt((np.var(LOW, ddof=1) * 39 + np.var(HIGH, ddof=1) * 59) / 98)
    assert found.metrics["score_value_gap"] == pytest.approx(gap)
    assert found.metrics["score_value_worst"] == pytest.approx(np.mean(LOW))
    assert found.metrics["effect"] == pytest.approx(gap / pooled)
    assert found.metrics["p"] == pytest.approx(1 / 2000)
    assert (found.severity, "red" in found.summary) == ("high", True)
    assert set(found.evidence) <= {f"s{at}" for at in range(40)}
    (blue, red) = found.tables[0].rows
    assert blue[:3] == ("score/value", "blue", 60)
    spread = stats.bootstrap((LOW,), np.mean, method="percentile", rng=DRAW).confidence_interval
    assert red[4:6] == pytest.approx((spread.low, spread.high), abs=0.05)


def test_the_worst_group_is_that_of_all_categories() -> None:
    """Women and men are further apart, and the young do worse than either."""
    of = {"A woman asks.": 0.9, "A man asks.": 0.5, "A teenager asks.": 0.2, "An elderly person asks.": 0.4}
    said = [sample(at, "", value, text) for at, (text, value) in enumerate([*of.items()] * 3)]
    given: dict[str, Any] = {"group": None, "categories": ["gender", "age"]}
    found = examine(said, **given).metrics
    assert found["score_value_gap"] == pytest.approx(0.4)
    assert found["score_value_worst"] == pytest.approx(0.2)
    assert examine(said, of=Score(higher=False), **given).metrics["score_value_worst"] == pytest.approx(0.9)


@pytest.mark.parametrize(("higher", "right", "wrong"), [(True, "at_least", "at_most"), (False, "at_most", "at_least")])
def test_a_threshold_of_the_worst_group_follows_the_direction_of_the_measure(
    higher: bool, right: str, wrong: str
) -> None:
    audits = {"parity": MeasureParity("team", measures=["score/value"])}
    known = produced({"score": Score(higher=higher)}, audits)
    assert known["parity/score_value_worst"].higher_is_better is higher
    check_names({"parity/score_value_worst": Threshold(**{right: 0.5})}, known, audits)
    with pytest.raises(RecipeError, match=f"write {right}"):
        check_names({"parity/score_value_worst": Threshold(**{wrong: 0.5})}, known, audits)


def test_a_measure_that_no_evaluator_has_is_refused_before_a_model_is_asked() -> None:
    with pytest.raises(RecipeError, match=r"'score/valu' is measured by no evaluator .* did you mean score/value"):
        produced({"score": Score()}, {"parity": MeasureParity("team", measures=["score/valu"])})


def test_lower_may_be_better() -> None:
    found = examine(answers({"red": LOW, "blue": HIGH}), of=Score(higher=False))
    assert found.metrics["score_value_worst"] == pytest.approx(np.mean(HIGH))
    assert "for blue" in found.summary


def test_the_permutation_test_is_scipys() -> None:
    sides = DRAW.normal(0, 1, 30).tolist(), DRAW.normal(0.4, 1, 30).tolist(), DRAW.normal(0.1, 1, 20).tolist()
    groups = ["a"] * 30 + ["b"] * 30 + ["c"] * 20
    found = group_means(Measure("m", [v for side in sides for v in side]), groups, 2)

    def widest(*parts: Any) -> float:
        means = [np.mean(part) for part in parts]
        return float(max(means) - min(means))

    exact = stats.permutation_test(sides, widest, n_resamples=4000, alternative="greater", rng=DRAW)
    assert found is not None
    assert found.p == pytest.approx(exact.pvalue, abs=0.03)


def test_many_groups_of_one_distribution_make_no_gap() -> None:
    wrong = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        values, groups = draw.normal(0, 1, 160).tolist(), [f"g{at % 8}" for at in range(160)]
        found = group_means(Measure("m", values), groups, 2)
        assert found is not None
        wrong += found.p < 0.05
    assert wrong <= 5


def test_a_measure_of_the_whole_is_computed_by_group() -> None:
    found = examine(answers({"red": LOW, "blue": HIGH}), of=Score(corpus=True), measures=["score/median"])
    assert found.metrics["score_median_gap"] == pytest.approx(np.median(HIGH) - np.median(LOW))
    assert found.metrics["p"] == pytest.approx(1 / 200)
    assert found.severity == "high"


def test_words_tell_the_group_of_a_prompt() -> None:
    low = [sample(at, "", 0, "The woman asks.") for at in range(30)]
    high = [sample(at + 30, "", 1, "The man asks.") for at in range(30)]
    both = [sample(99, "", 9, "The man asks the woman.")]
    found = examine([*low, *high, *both], group=None, categories=["gender"])
    assert found.metrics["score_value_gap"] == 1
    assert [row[1:4] for row in found.tables[0].rows] == [("female", 30, 0), ("male", 30, 1)]


def test_the_base_stands_beside() -> None:
    found = examine(answers({"red": LOW, "blue": LOW}), answers({"red": LOW, "blue": HIGH}))
    assert found.metrics["effect"] == 0
    assert found.severity == "none"
    assert [table.title.split()[3] for table in found.tables] == ["tuned,", "base,"]


def test_small_groups_are_left_out() -> None:
    found = examine(answers({"red": LOW, "blue": HIGH, "green": [99.0]}))
    assert found.metrics["score_value_gap"] < 3
    few = examine(answers({"red": [1.0] * 3, "blue": [2.0] * 3}), min_rows=4)
    assert math.isnan(few.metrics["effect"])
    assert "fewer than two groups" in few.summary


def test_a_row_without_a_value_is_not_counted() -> None:
    found = examine([*answers({"red": [1.0, 1.0], "blue": [2.0, 2.0]}), sample(9, "red", 5)])
    assert found.metrics["score_value_gap"] == pytest.approx(7 / 3 - 2)
    none = Sample("n", (), "", "", extras={"team": "red"})
    found = examine([*answers({"red": [1.0, 1.0], "blue": [2.0, 2.0]}), none])
    assert found.metrics["score_value_gap"] == 1


def test_mistakes_are_named() -> None:
    samples = answers({"red": LOW, "blue": HIGH})
    with pytest.raises(DataError, match=r"MeasureParity.group is 'teem', no column; did you mean team"):
        examine(samples, group="teem")
    with pytest.raises(RecipeError, match=r"'score/vale' is measured by no evaluator .* did you mean score/value"):
        examine(samples, measures=["score/vale"])
    with pytest.raises(RecipeError, match="group and categories are both given"):
        MeasureParity("team", ["gender"]).produces()
