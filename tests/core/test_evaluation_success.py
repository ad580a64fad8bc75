"""Thresholds: refused before anything runs where they make no sense, and decided."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Audit, Evaluator, Findings, Measure, RecipeError
from tunesmith.evaluation.success import Threshold, Verdict, check_names, decide, produced

KNOWN = {
    "rouge/rougeL": Measure("rougeL", []),
    "rouge/rouge1": Measure("rouge1", []),
    "alerts/error_rate": Measure("error_rate", [], higher_is_better=False),
}


def verdict(threshold: Threshold, value: float, base: float = math.nan) -> Verdict:
    [found] = decide({"m": threshold}, {"m": value}, {"m": base})
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


def test_a_metric_that_is_missing_is_not_met() -> None:
    [found] = decide({"m": Threshold(at_least=0)}, {}, {})
    assert not found.met


def test_a_verdict_carries_its_bounds_and_reason() -> None:
    found = verdict(Threshold(at_most=0.6, of="base", because="40 % fewer"), 0.1, 0.5)
    assert (found.low, found.high, found.because) == (-math.inf, pytest.approx(0.3), "40 % fewer")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_a_multiple_of_the_base_is_that_multiple(value: float, factor: float, base: float) -> None:
    close = math.isclose(value, factor * base, rel_tol=1e-9)
    assert verdict(Threshold(at_most=factor, of="base"), value, base).met == (value <= factor * base or close)
    assert verdict(Threshold(at_least=factor, of="base"), value, base).met == (value >= factor * base or close)
