"""Every audit of data finds the bias that it looks for, and seldom one that is not there."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from tunesmith_plugins.fairness.planted import KINDS

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = ("Representation", "Representation, population", "LabelParity", "Association", "QualityParity", "Proxy",
         "Stereotypes", "Toxicity")  # fmt: skip


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import bias_power  # type: ignore[import-not-found]

    module: ModuleType = bias_power
    return module


def test_every_kind_of_bias_has_its_audit(power: Any) -> None:
    assert tuple(power.cases()) == NAMES
    assert {case.kind for case in power.cases().values()} == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_bias_is_found_and_clean_rows_are_clean(power: Any, name: str) -> None:
    rates = power.measure(power.cases()[name], trials=4, rows=400, seed=50)
    assert rates.hits >= 3  # of 4 at a power of 0.9: fewer in 5 % of trials, and the rows are always the same
    assert rates.alarms <= 1  # more in 1.4 %


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_power_and_false_alarms(power: Any, name: str) -> None:
    rates = power.measure(power.cases()[name], trials=60, rows=400, seed=7)
    assert 60 - rates.hits <= stats.binom.ppf(0.995, 60, 0.1)
    assert rates.alarms <= stats.binom.ppf(0.995, 60, 0.05)
