"""Statistics of audits, each beside scipy's, statsmodels' or the formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tunesmith_plugins.audits import statistics as own

COUNT = st.integers(0, 60)


@given(COUNT, COUNT)
def test_wilson(successes: int, failures: int) -> None:
    n = successes + failures
    if n == 0:
        assert own.wilson(0, 0) == (0, 1)
        return
    expected = proportion_confint(successes, n, method="wilson")
    assert own.wilson(successes, n) == pytest.approx(expected, abs=1e-9)


@given(COUNT, st.integers(1, 60), COUNT, st.integers(1, 60))
def test_difference(a: int, n: int, b: int, m: int) -> None:
    a, b = min(a, n), min(b, m)
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
    assert own.difference(a, n, b, m) == pytest.approx(expected, abs=1e-9)


@given(COUNT, st.integers(1, 60), st.floats(0.001, 0.999))
def test_binomial(successes: int, n: int, share: float) -> None:
    k = min(successes, n)
    assert own.binomial(k, n, share) == pytest.approx(stats.binomtest(k, n, share).pvalue, rel=1e-5, abs=1e-9)


def test_binomial_at_its_ends() -> None:
    assert (own.binomial(0, 0, 0.5), own.binomial(0, 9, 0.0), own.binomial(9, 9, 1.0)) == (1, 1, 1)
    assert (own.binomial(1, 9, 0.0), own.binomial(8, 9, 1.0)) == (0, 0)
    for k, n, share in ((50_300, 100_000, 0.5), (1_050, 100_000, 0.01), (3, 20_000, 0.0001)):
        assert own.binomial(k, n, share) == pytest.approx(stats.binomtest(k, n, share).pvalue, rel=0.05)


@given(COUNT, COUNT, COUNT, COUNT)
def test_fisher(a: int, b: int, c: int, d: int) -> None:
    assert own.fisher(a, b, c, d) == pytest.approx(stats.fisher_exact([[a, b], [c, d]]).pvalue, rel=1e-6, abs=1e-12)


@given(st.integers(2, 4).flatmap(lambda k: st.lists(st.lists(st.integers(1, 40), min_size=k, max_size=k), min_size=2,
                                                    max_size=5)))  # fmt: skip
def test_chi_square(table: list[list[int]]) -> None:
    found, degrees, p = own.chi_square(table)
    expected = stats.chi2_contingency(table, correction=False)
    assert (found, degrees, p) == pytest.approx(
        (expected.statistic, expected.dof, expected.pvalue), rel=1e-9, abs=1e-12
    )


def test_chi_square_leaves_out_what_is_empty() -> None:
    assert own.chi_square([[3, 0, 5], [0, 0, 0], [4, 0, 1]]) == own.chi_square([[3, 5], [4, 1]])
    assert own.chi_square([[1, 2]]) == own.chi_square([]) == own.chi_square([[1, 0], [2, 0]]) == (0, 0, 1)


@given(st.floats(0, 200), st.integers(1, 30))
def test_chi_square_tail(value: float, degrees: int) -> None:
    assert own.chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-9, abs=1e-15)


def test_independence_chooses_its_test() -> None:
    assert own.independence([[1, 9], [8, 2]]) == (own.fisher(1, 9, 8, 2), "Fisher")
    table = [[1, 9], [8, 2], [5, 5]]
    assert own.independence(table) == (own.chi_square(table)[2], "chi-square")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm(values: list[float]) -> None:
    assert own.holm(values) == pytest.approx(multipletests(values, method="holm")[1])


def test_holm_counts_no_nan() -> None:
    found = own.holm([0.01, math.nan, 0.04])
    assert found[0] == 0.02
    assert math.isnan(found[1])
    assert found[2] == 0.04


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=2, max_size=4))
def test_kruskal(groups: list[list[int]]) -> None:
    if len({value for group in groups for value in group}) < 2:
        assert own.kruskal(groups) == 1
        return
    assert own.kruskal(groups) == pytest.approx(stats.kruskal(*groups).pvalue, rel=1e-8, abs=1e-12)
