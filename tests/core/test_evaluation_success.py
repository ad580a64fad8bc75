"""Thresholds: refused before anything runs where they make no sense, and decided."""

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from tunesmith import Audit, Evaluator, Findings, Measure, RecipeError
from tunesmith.evaluation.slices import Slice
from tunesmith.evaluation.success import Verdict, decide
from tunesmith.evaluation.threshold import Threshold, check_names, produced

KNOWN = {
    "rouge/rougeL": Measure("rougeL", []),
    "rouge/rouge1": Measure("rouge1", []),
    "alerts/error_rate": Measure("error_rate", [], higher_is_better=False),
}


def rows(*values: float, **more: Any) -> Measure:
    return Measure("m", [v for v in values for _ in range(20)], **more)


def verdict(threshold: Threshold, value: float, base: float = math.nan) -> Verdict:
    [found] = decide({"m": threshold}, {"m": rows(value)}, {"base": {"m": rows(base)}})
    return found


class Named(Evaluator):
    def measure(self, samples: Any) -> list[Measure]:
        return [Measure("a", []), Measure("b", [], higher_is_better=False)]


class Looked(Audit):
    def examine(self, subject: Any) -> Findings:
        return Findings("", "none")

    def produces(self) -> list[Measure]:
        return [Measure("gap", [], higher_is_better=False)]


def test_evaluators_and_audits_share_a_name_space() -> None:
    assert list(produced({"x": Named()}, {"y": Looked()})) == ["x/a", "x/b", "y/gap"]
    with pytest.raises(RecipeError, match=r"audits\.x and evaluators\.x have the same name"):
        produced({"x": Named()}, {"x": Looked()})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "{kind} has an entry whose name is empty; name it"),
        (" ", "{kind} has an entry whose name is empty"),
        ("a/b", "{kind}.a/b: the name holds /, which part name, metric and slice in `success`; rename it, for .* a_b"),
        ("a@b/c", "{kind}.a@b/c: the name holds / and @, .* a_b_c"),
    ],
)
def test_a_name_that_success_could_not_say_is_refused(name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.format(kind="evaluators")):
        produced({name: Named()}, {})
    with pytest.raises(RecipeError, match=said.format(kind="audits")):
        produced({}, {name: Looked()})


@pytest.mark.parametrize("key", ["rouge/rougel", "rogue/rougeL", "rougeL"])
def test_an_unknown_metric_is_refused_with_the_nearest_and_all_names(key: str) -> None:
    with pytest.raises(RecipeError) as raised:
        check_names({key: Threshold(at_least=0.5)}, KNOWN)
    assert f"success.{key} is not measured" in str(raised.value)
    assert "did you mean rouge/rougeL?" in str(raised.value)
    assert "metrics of this recipe: alerts/error_rate, rouge/rouge1, rouge/rougeL" in str(raised.value)


def test_a_recipe_without_evidence_says_so() -> None:
    with pytest.raises(RecipeError, match="this recipe names no evaluators and no audits"):
        check_names({"rouge/rougeL": Threshold(at_least=0.5)}, {})


@pytest.mark.parametrize(
    ("key", "threshold", "message"),
    [
        ("rouge/rougeL", Threshold(), "holds no bound; give exactly one of at_least, at_most, between"),
        ("rouge/rougeL", Threshold(at_least=0.1, between=[0, 1]), "holds at_least and between; give exactly one"),
        ("rouge/rougeL", Threshold(between=[0.1]), "between holds 1 numbers; give two"),
        ("rouge/rougeL", Threshold(between=[0.5, 0.1]), "the lowest first"),
        ("rouge/rougeL", Threshold(at_least=math.nan), "at_least is nan; give finite numbers"),
        ("alerts/error_rate", Threshold(at_most=math.inf), "at_most is inf; give finite numbers"),
        ("alerts/error_rate", Threshold(at_most=-0.5, of="base"), "at_most is -0.5 of base; a multiple must be 0"),
        ("rouge/rougeL", Threshold(at_most=0.5), "at_most: higher is better for this metric; write at_least, or"),
        ("alerts/error_rate", Threshold(at_least=0.5), "at_least: lower is better for this metric; write at_most, or"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(key: str, threshold: Threshold, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        check_names({key: threshold}, KNOWN)
    assert str(raised.value).startswith(f"success.{key}")
    assert message in str(raised.value)


def test_sensible_thresholds_pass() -> None:
    check_names(
        {
            "rouge/rougeL": Threshold(at_least=1.2, of="base"),
            "rouge/rouge1": Threshold(between=[0.2, 0.8]),
            "alerts/error_rate": Threshold(at_most=0),
        },
        KNOWN,
    )


@pytest.mark.parametrize(
    ("threshold", "value", "base", "met", "sentence"),
    [
        (Threshold(at_least=0.6), 0.6, math.nan, True, "0.6 ≥ 0.6"),
        (Threshold(at_least=0.6), 0.59, math.nan, False, "0.59 < 0.6"),
        (Threshold(at_most=0.2), 0.2, 0.9, True, "0.2 ≤ 0.2"),
        (Threshold(at_most=0.2), 0.21, 0.9, False, "0.21 > 0.2"),
        (Threshold(between=[5, 9]), 9, math.nan, True, "9 within 5 to 9"),
        (Threshold(between=[5, 9]), 9.1, math.nan, False, "9.1 outside 5 to 9"),
        (Threshold(at_most=0.6, of="base"), 0.3, 0.5, True, "0.3 ≤ 0.3 (0.6 x base 0.5)"),
        (Threshold(at_most=0.6, of="base"), 0.31, 0.5, False, "0.31 > 0.3 (0.6 x base 0.5)"),
        (Threshold(at_least=1.5, of="base"), 0.3, 0.2, True, "0.3 ≥ 0.3 (1.5 x base 0.2)"),
        (Threshold(between=[0.5, 2], of="base"), 0.9, 0.4, False, "0.9 outside 0.2 to 0.8 (0.5 x to 2 x base 0.4)"),
        (Threshold(at_most=0.6, of="base"), 0.0, 0.0, True, "0 ≤ 0 (0.6 x base 0)"),
        (Threshold(at_least=1.5, of="base"), 0.0, 0.0, False, "m is 0 as for the base: no improvement"),
        (Threshold(at_least=1.5, of="base"), 0.1, 0.0, True, "0.1 ≥ 0 (1.5 x base 0)"),
        (Threshold(at_least=0.5), math.nan, 0.5, False, "m has no value: it applied to no row"),
        (Threshold(at_least=0.5, of="base"), 0.9, math.nan, False, "m has no value for the base"),
        (Threshold(at_least=0.5, of="base"), -1, -2, False, "m is -2 for the base: a multiple of it is no goal"),
    ],
)
def test_values_are_decided(threshold: Threshold, value: float, base: float, met: bool, sentence: str) -> None:
    found = verdict(threshold, value, base)
    assert (found.met, found.sentence) == (met, sentence)


@pytest.mark.parametrize("key", ["m", "m@task"])
def test_a_metric_that_is_missing_is_not_met(key: str) -> None:
    [found] = decide({key: Threshold(at_least=0)}, {}, {}, {"task": cut(25)})
    assert (found.key, found.state) == (key, "missed")


INFINITE = [
    (Threshold(at_most=5), math.inf, 1.0, "m is inf, which meets nothing"),
    (Threshold(at_most=1.1, of="base"), math.inf, math.inf, "m is inf for the base"),
    (Threshold(improves_by=0.1), 3.0, math.inf, "m is inf for the base"),
    (Threshold(not_worse_than="base"), math.inf, 3.0, "m is inf, which meets nothing"),
]


@pytest.mark.parametrize(("threshold", "value", "base", "sentence"), INFINITE)
def test_what_is_infinite_meets_nothing(threshold: Threshold, value: float, base: float, sentence: str) -> None:
    down = {"higher_is_better": False}
    [found] = judged(threshold, rows(value, **down), rows(base, **down))
    assert (found.state, found.sentence) == ("missed", sentence)


@pytest.mark.parametrize("key", ["m", "m@task"])
def test_a_comparison_waits_for_people_who_have_rated_one_model_alone(key: str) -> None:
    unrated = rows(math.nan, pending=True, note="nobody has rated these answers")
    for threshold in (Threshold(improves_by=0.5), Threshold(not_worse_than="base"), Threshold(at_least=1, of="base")):
        [found] = decide({key: threshold}, {"m": rows(4.0)}, {"base": {"m": unrated}}, {"task": cut(20)})
        assert (found.key, found.state) == (key, "pending")
        assert found.sentence == "base: nobody has rated these answers"
        assert found.passes
    [alone] = decide({"m": Threshold(at_least=4)}, {"m": rows(4.0)}, {"base": {"m": unrated}})
    assert alone.met


def test_a_tie_at_zero_is_met_whatever_sums_round_to() -> None:
    down = {"higher_is_better": False}
    base = math.nextafter(0.3, 0)
    assert judged(Threshold(improves_by=0.3), rows(0.0, **down), rows(base, **down))[0].met
    assert judged(Threshold(not_worse_than="base", by=0.3), rows(-base), rows(0.0))[0].met
    assert not judged(Threshold(improves_by=0.3), rows(0.0, **down), rows(0.3 - 1e-9, **down))[0].met


def test_a_verdict_carries_its_bounds_and_reason() -> None:
    found = verdict(Threshold(at_most=0.6, of="base", because="40 % fewer"), 0.1, 0.5)
    assert (found.low, found.high, found.because) == (-math.inf, pytest.approx(0.3), "40 % fewer")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_a_multiple_of_the_base_is_that_multiple(value: float, factor: float, base: float) -> None:
    close = math.isclose(value, factor * base, rel_tol=1e-9)
    assert verdict(Threshold(at_most=factor, of="base"), value, base).met == (value <= factor * base or close)
    assert verdict(Threshold(at_least=factor, of="base"), value, base).met == (value >= factor * base or close)


def pair(n: int, gain: float, spread: float = 0.2, **more: Any) -> tuple[Measure, Measure]:
    """Values of n rows, and of a model that is better by `gain` on average, by draws of this spread."""
    draw = np.random.default_rng(n)
    base = draw.random(n)
    noise = draw.normal(0, spread, n)
    return Measure("m", list(base + gain + noise - noise.mean()), **more), Measure("m", list(base), **more)


def judged(threshold: Threshold, tuned: Measure, base: Measure | None = None, **more: Any) -> list[Verdict]:
    return decide({"m": threshold}, {"m": tuned}, {} if base is None else {"base": {"m": base}}, **more)


@pytest.mark.parametrize(
    ("threshold", "value", "base", "state", "sentence"),
    [
        (Threshold(improves_by=0.1), 0.7, 0.5, "met", "0.7 is 0.2 better than base 0.5 (asked: at least 0.1 better)"),
        (
            Threshold(improves_by=0.3),
            0.7,
            0.5,
            "missed",
            "0.7 is 0.2 better than base 0.5 (asked: at least 0.3 better)",
        ),
        (Threshold(improves_by=0.1), 0.4, 0.5, "missed", "0.4 is 0.1 worse than base 0.5 (asked: at least 0.1 better)"),
        (Threshold(improves_by=0.1), 0.3, 0.2, "met", "0.3 is 0.1 better than base 0.2 (asked: at least 0.1 better)"),
        (
            Threshold(not_worse_than="base", by=0.1),
            0.4,
            0.5,
            "met",
            "0.4 is 0.1 worse than base 0.5 (asked: at most 0.1 worse)",
        ),
        (Threshold(not_worse_than="base"), 0.5, 0.5, "met", "0.5 is as good as base 0.5 (asked: no worse)"),
        (Threshold(not_worse_than="base"), 0.49, 0.5, "missed", "0.49 is 0.01 worse than base 0.5 (asked: no worse)"),
        (Threshold(improves_by=0.1), 0.7, math.nan, "missed", "m has no value for the base"),
    ],
)
def test_differences_are_decided(threshold: Threshold, value: float, base: float, state: str, sentence: str) -> None:
    found = verdict(threshold, value, base)
    assert (found.state, found.sentence) == (state, sentence)


def test_lower_is_better_turns_a_difference_round() -> None:
    down = {"higher_is_better": False}
    [better] = judged(Threshold(improves_by=1), rows(3, **down), rows(5, **down))
    assert (better.state, better.low, better.high) == ("met", -math.inf, 4)
    assert better.sentence == "3 is 2 better than base 5 (asked: at least 1 better)"
    [worse] = judged(Threshold(not_worse_than="base", by=1), rows(7, **down), rows(5, **down))
    assert (worse.state, worse.high) == ("missed", 6)


def test_a_threshold_can_ask_for_a_value_and_for_an_improvement() -> None:
    found = judged(Threshold(at_least=0.6, improves_by=0.3), rows(0.7), rows(0.5))
    assert [one.state for one in found] == ["met", "missed"]
    other = decide(
        {"m": Threshold(improves_by=0.1, of="large")},
        {"m": rows(0.7)},
        {"base": {"m": rows(0.1)}, "large": {"m": rows(0.65)}},
    )
    assert other[0].sentence == "0.7 is 0.05 better than large 0.65 (asked: at least 0.1 better)"


def test_few_rows_decide_nothing_that_rests_on_the_base() -> None:
    few, base = Measure("m", [0.9] * 19), Measure("m", [0.1] * 19)
    [found] = judged(Threshold(improves_by=0.1), few, base)
    assert (found.state, found.met, found.passes) == ("undecided", False, False)
    assert found.sentence.endswith(", but 19 rows decide nothing: 20 are needed")
    assert judged(Threshold(at_least=2, of="base"), few, base)[0].state == "undecided"
    assert judged(Threshold(at_least=0.5), few)[0].state == "met"
    assert judged(Threshold(at_least=0.5, confidence=0.9), few)[0].state == "undecided"
    one = Measure("m", [0.9], single=True)
    assert judged(Threshold(at_least=2, of="base"), one, Measure("m", [0.1], single=True))[0].state == "met"


def test_confidence_is_the_bootstraps_one_sided_bound() -> None:
    tuned, base = pair(60, 0.1)
    differences = np.array(tuned.values) - np.array(base.values)
    low = scipy.stats.bootstrap(
        (differences,), np.mean, confidence_level=0.95, alternative="greater", method="percentile", n_resamples=20_000
    ).confidence_interval.low
    for by, state in ((low - 0.005, "met"), (low + 0.005, "undecided"), (0.11, "missed")):
        [found] = judged(Threshold(improves_by=by, confidence=0.95), tuned, base)
        assert found.state == state, found.sentence
    [sure] = judged(Threshold(improves_by=0.0, confidence=0.95), tuned, base)
    assert sure.sentence.endswith(", with 95 % confidence")


def test_confidence_of_bounds_and_of_multiples() -> None:
    tuned, base = pair(40, 0.1)
    value = tuned.value
    error = float(np.std(tuned.values)) / math.sqrt(40)
    assert judged(Threshold(at_least=value - 3 * error, confidence=0.95), tuned)[0].state == "met"
    assert judged(Threshold(at_least=value - error, confidence=0.95), tuned)[0].state == "undecided"
    both = Threshold(between=[value - 3 * error, value + error], confidence=0.95)
    assert judged(both, tuned)[0].state == "undecided"
    assert judged(Threshold(between=[value - 3 * error, value + 3 * error], confidence=0.95), tuned)[0].state == "met"
    doubled = Measure("m", [2 * v for v in base.values])
    assert judged(Threshold(at_least=1.99, of="base", confidence=0.99), doubled, base)[0].state == "met"
    assert judged(Threshold(at_least=2.01, of="base", confidence=0.99), doubled, base)[0].state == "missed"


def test_rows_that_confidence_would_need_are_said_and_enough() -> None:
    tuned, base = pair(40, 0.03)
    [found] = judged(Threshold(improves_by=0.0, confidence=0.95), tuned, base)
    assert found.state == "undecided"
    needed = int(re.search(r"about ([\d,]+) rows", found.sentence)[1].replace(",", ""))  # type: ignore[index]
    wanted = TTestPower().solve_power(effect_size=0.03 / 0.2, power=0.8, alpha=0.05, alternative="larger")
    assert needed == pytest.approx(wanted, rel=0.3)
    assert judged(Threshold(improves_by=0.0, confidence=0.95), *pair(4 * needed, 0.03))[0].state == "met"


def cut(*sizes: int) -> list[Slice]:
    starts = np.cumsum([0, *sizes])
    return [Slice("task", chr(97 + i), tuple(range(starts[i], starts[i + 1]))) for i in range(len(sizes))]


def test_slices_are_judged_by_the_worst() -> None:
    tuned = Measure("m", [0.9] * 30 + [0.4] * 25 + [0.5] * 20 + [0.0] * 5)
    parts = {"task": cut(30, 25, 20, 5)}
    [found] = decide({"m@task": Threshold(at_least=0.5)}, {"m": tuned}, {}, parts)
    assert (found.key, found.state, found.value) == ("m@task", "missed", 0.4)
    assert found.sentence == ("task b (25 rows): 0.4 < 0.5; 2 of 3 met; 1 of fewer than 20 rows not judged")
    [met] = decide({"m@task": Threshold(at_least=0.4)}, {"m": tuned}, {}, parts)
    assert met.sentence.startswith("task b (25 rows): 0.4 ≥ 0.4; 3 of 3 met")
    [all_] = decide({"m@task": Threshold(at_least=0.1)}, {"m": tuned}, {}, parts, smallest=5)
    assert (all_.state, all_.value) == ("missed", 0.0)
    [none] = decide({"m@task": Threshold(at_least=0.1)}, {"m": tuned}, {}, parts, smallest=31)
    assert none.state == "undecided"
    assert "no task has 31 rows" in none.sentence


def test_slices_of_a_corpus_metric_and_of_differences() -> None:
    values = [1.0] * 20 + [4.0] * 20
    corpus = Measure("m", values, corpus=lambda rows: max(values[i] for i in rows))
    parts = {"task": cut(20, 20)}
    assert [part.of(corpus).value for part in parts["task"]] == [1.0, 4.0]
    base = Measure("m", [0.5] * 20 + [5.0] * 20)
    [found] = decide({"m@task": Threshold(not_worse_than="base", by=0.5)}, {"m": corpus}, {"base": {"m": base}}, parts)
    assert found.sentence.startswith(
        "task b (20 rows): 4 is 1 worse than base 5 (asked: at most 0.5 worse); 1 of 2 met"
    )


def test_a_metric_may_hold_the_sign_of_slices() -> None:
    values = [1.0] * 20 + [0.0] * 20
    tuned = {name: Measure(name, values) for name in ("k/f1/@urgent", "k/f1/a@task", "k/f1/a")}
    parts = {"task": [Slice("task", "x", tuple(range(20))), Slice("task", "y", tuple(range(20, 40)))]}
    success = {key: Threshold(at_least=0.5) for key in ("k/f1/@urgent", "k/f1/@urgent@task", "k/f1/a@task")}
    check_names(success, tuned)
    whole, sliced, longest = decide(success, tuned, {}, parts)
    assert (whole.key, whole.state, whole.value) == ("k/f1/@urgent", "met", 0.5)
    assert (sliced.key, sliced.state, sliced.value) == ("k/f1/@urgent@task", "missed", 0)
    assert sliced.sentence == "task y (20 rows): 0 < 0.5; 1 of 2 met"
    # the longest that is known: the metric of a class `a@task`, and no slices of the class `a`
    assert (longest.key, longest.state, longest.value) == ("k/f1/a@task", "met", 0.5)
    with pytest.raises(RecipeError, match="names no slice behind the @; write for instance k/f1/@urgent@task"):
        check_names({"k/f1/@urgent@": Threshold(at_least=0.5)}, tuned)


def test_ratings_that_people_owe_are_pending_and_pass() -> None:
    owed = Measure("m", [math.nan] * 5, pending=True, note="5 rows to rate in ratings.csv")
    for key in ("m", "m@task"):
        [found] = decide({key: Threshold(at_least=4)}, {"m": owed}, {}, {"task": cut(5)})
        assert (found.state, found.met, found.passes) == ("pending", False, True)
        assert found.sentence == "5 rows to rate in ratings.csv"


@pytest.mark.parametrize(
    ("key", "threshold", "message"),
    [
        ("rouge/rougeL@", Threshold(at_least=0.1), "names no slice behind the @; write for instance rouge/rougeL@task"),
        ("rouge/rougel@task", Threshold(at_least=0.1), "did you mean rouge/rougeL?"),
        ("rouge/rougeL", Threshold(improves_by=0.1, not_worse_than="base"), "what improves is not worse: give one"),
        ("rouge/rougeL", Threshold(improves_by=-0.1), "improves_by is -0.1; give a difference of 0 or more"),
        ("rouge/rougeL", Threshold(not_worse_than="base", by=math.nan), "by is nan; give a difference of 0 or more"),
        (
            "rouge/rougeL",
            Threshold(at_least=0.1, by=0.1),
            "by is 0.1, and nothing reads it; it goes with not_worse_than",
        ),
        ("rouge/rougeL", Threshold(not_worse_than="base", of="base"), "of is base, and nothing reads it"),
        (
            "rouge/rougeL",
            Threshold(not_worse_than="bse"),
            "not_worse_than is bse, which is no baseline; did you mean base?",
        ),
        ("rouge/rougeL", Threshold(at_least=1, of="large"), "of is large, which is no baseline"),
        (
            "rouge/rougeL",
            Threshold(at_least=0.1, confidence=95),
            "confidence is 95; give a share above 0.5 and below 1",
        ),
        (
            "swap/gap",
            Threshold(at_most=0.1, confidence=0.95),
            "asks for confidence, and swap/gap is one value of an audit",
        ),
        ("swap/gap@task", Threshold(at_most=0.1), "asks for a slice, and swap/gap is one value of an audit"),
    ],
)
def test_thresholds_of_0_12_that_make_no_sense_are_refused(key: str, threshold: Threshold, message: str) -> None:
    known = {**KNOWN, "swap/gap": Measure("gap", [], higher_is_better=False)}
    with pytest.raises(RecipeError) as raised:
        check_names({key: threshold}, known, audits={"swap"}, baselines=["base", "three"])
    assert str(raised.value).startswith(f"success.{key}")
    assert message in str(raised.value)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_better_by_at_least_and_worse_by_at_most_are_each_others_opposite(value: float, base: float, by: float) -> None:
    gain = verdict(Threshold(improves_by=by), value, base).met
    loss = verdict(Threshold(not_worse_than="base", by=by), base, value).met
    assert gain == (value - base >= by) or math.isclose(value - base, by, abs_tol=1e-9)
    assert loss == (value - base <= by) or math.isclose(value - base, by, abs_tol=1e-9)
