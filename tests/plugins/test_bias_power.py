"""Every audit finds the bias that it looks for, and seldom one that is not there."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tunesmith_plugins import tunesmith_register_audits
from tunesmith_plugins.fairness.planted import KINDS

FOLDER = Path(__file__).parents[1] / "benchmarks"
OF_DATA = ("Representation", "Representation, population", "LabelParity", "Association", "QualityParity", "Proxy",
           "Stereotypes", "Toxicity")  # fmt: skip
OF_MODELS = ("CounterfactualSwap", "StereotypePairs", "Ambiguity", "Occupation", "MeasureParity", "Refusal",
             "Refusal, rows")  # fmt: skip
NAMES = (*OF_DATA, *OF_MODELS)


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import bias_power  # type: ignore[import-not-found]

    module: ModuleType = bias_power
    return module


def test_every_kind_of_bias_has_its_audit(power: Any) -> None:
    assert tuple(power.cases()) == NAMES
    assert {power.cases()[name].kind for name in OF_DATA} == set(KINDS)


def test_every_audit_is_tried(power: Any) -> None:
    assert {name.split(",")[0] for name in NAMES} == {one.__name__ for one in tunesmith_register_audits()}


def test_a_bias_that_is_there_is_as_large_as_is_said(power: Any) -> None:
    """The made-up models themselves, by the metric of the audit; means of 12."""

    def mean(name: str, metric: str) -> float:
        case = power.cases()[name]
        found = [case.audit().examine(case.subject(case.effect, 400, seed)).metrics[metric] for seed in range(12)]
        return statistics.fmean(found)

    assert mean("StereotypePairs", "score") == pytest.approx(0.7, abs=0.06)
    assert mean("Occupation", "accuracy_pro") == pytest.approx(0.7, abs=0.06)
    assert mean("Occupation", "accuracy_anti") == pytest.approx(0.3, abs=0.06)
    assert mean("Ambiguity", "bias_ambiguous") == pytest.approx(0.5 * (2 * 0.8 - 1), abs=0.06)
    assert mean("Refusal", "difference") == pytest.approx(0.8, abs=0.1)  # from the largest to the smallest of five


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_bias_is_found_and_clean_rows_are_clean(power: Any, name: str) -> None:
    rates = power.measure(power.cases()[name], trials=4, rows=400, seed=50)
    assert rates.hits >= 3  # of 4 at a power of 0.9: fewer in 5 % of trials, and the rows are always the same
    assert rates.alarms <= 1  # more in 1.4 %


def at_most(rate: float, worse: float, failed: Callable[[int], bool], most: int = 120) -> bool:
    """Whether trials fail as seldom as `rate`, and not as often as `worse`, by as many of them as it takes to tell.

    Wald's sequential test of probability ratios (Ann. Math. Statist. 16, 1945): it refuses `rate` once in 200 times,
    and `worse` in 95 %. A bound of as rare false alarms on 60 trials refuses that in 87 to 90 %; here a right audit
    takes some 15 to 30 trials.
    """
    missed, false = 0.05, 0.005
    ratio = 0.0
    for trial in range(most):
        ratio += math.log(worse / rate) if failed(trial) else math.log((1 - worse) / (1 - rate))
        if not math.log(missed / (1 - false)) < ratio < math.log((1 - missed) / false):
            break
    return ratio < 0


@pytest.mark.parametrize(("often", "holds"), [(0.02, True), (0.1, True), (0.3, False), (1.0, False)])
def test_what_fails_too_often_is_told_from_what_does_not(often: float, holds: bool) -> None:
    draws = [np.random.default_rng(seed).random(120) < often for seed in range(40)]
    told = [at_most(0.1, 0.3, drawn.__getitem__) for drawn in draws]
    assert told.count(holds) >= 36


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_power_and_false_alarms(power: Any, name: str) -> None:
    case = power.cases()[name]
    assert at_most(0.1, 0.3, lambda trial: not power.found(case, case.effect, 400, 7 + trial))
    assert at_most(0.05, 0.2, lambda trial: power.found(case, 0.0, 400, 1_000_007 + trial))
