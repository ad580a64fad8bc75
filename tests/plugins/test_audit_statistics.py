"""Statistics of audits, each beside scipy's, statsmodels' or the formula."""

import itertools
import math

import numpy as np
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
    table = [[10, 19], [18, 12], [15, 15]]
    assert own.independence(table) == (own.chi_square(table)[2], "chi-square")
    assert own.independence([[1, 9], [8, 2], [5, 5]])[1] == "permutation"  # 4.7 are expected in a cell
    assert own.independence([[30, 0, 5], [12, 0, 9]])[1] == "chi-square"
    assert own.independence([[3, 0], [4, 0], [0, 0]]) == (1.0, "chi-square")


def test_permuted_is_right_to_what_its_draws_allow() -> None:
    table = np.array([[4, 1, 0], [3, 9, 3]])
    rows, columns = table.sum(1), table.sum(0)
    expected = np.outer(rows, columns) / table.sum()
    p = 0.0
    for first in itertools.product(*(range(c + 1) for c in columns)):  # all tables of these sums
        if sum(first) == rows[0]:
            other = np.array([first, columns - first])
            if ((other - expected) ** 2 / expected).sum() >= ((table - expected) ** 2 / expected).sum() - 1e-9:
                p += math.prod(map(math.comb, columns, first)) / math.comb(int(table.sum()), int(rows[0]))
    assert own.permuted(table.tolist()) == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 9999))
    assert own.permuted([*table.tolist(), [0, 0, 0]]) == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 9999))
    assert own.permuted([[0, 0], [0, 0]]) == 1


def test_independence_keeps_its_level_where_few_are_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_DRAWS", 199)  # as exact with few draws
    drawn, trials = np.random.default_rng(1), 2000
    alarms = np.zeros(2)
    for _ in range(trials):
        table = [drawn.multinomial(n, [0.99, 0.005, 0.005]).tolist() for n in (20, 2000)]
        alarms += [own.independence(table)[0] < 0.05, own.chi_square(table)[2] < 0.05]
    assert alarms[0] <= stats.binom.ppf(0.999, trials, 0.05)
    assert alarms[1] > 0.1 * trials  # what chi-square alone would do


def test_fisher_keeps_its_level_with_the_rows_of_the_benchmark() -> None:
    drawn, trials = np.random.default_rng(2), 2000
    women = drawn.binomial(400, 0.5, trials)
    counts = np.stack([drawn.binomial(women, 0.5), drawn.binomial(400 - women, 0.5)], 1)
    ps = [own.fisher(int(a), int(n - a), int(b), int(400 - n - b)) for (a, b), n in zip(counts, women, strict=True)]
    assert stats.binom.ppf(0.001, trials, 0.039) <= sum(p < 0.05 for p in ps) <= stats.binom.ppf(0.999, trials, 0.05)


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
