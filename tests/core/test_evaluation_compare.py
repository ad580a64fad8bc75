"""The paired comparison against scipy, exhaustive enumeration and hand-made cases."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from tunesmith import Measure
from tunesmith.evaluation.compare import Comparison, compare, compare_all, corrected
from tunesmith.evaluation.statistics import (
    ENOUGH,
    bootstrap,
    effect_size,
    holm,
    inverted,
    rows_needed,
    sign_flip,
    spread_of,
)

NAN = math.nan


def noisy(n: int, shift: float, seed: int = 0) -> tuple[Measure, Measure]:
    draw = np.random.default_rng(seed)
    base = draw.random(n)
    return Measure("m", list(base + shift + draw.normal(0, 0.2, n))), Measure("m", list(base))


@pytest.mark.parametrize("n", [3, 8, 13])
def test_the_p_value_of_few_pairs_is_scipys_exact_one(n: int) -> None:
    tuned, base = noisy(n, 0.15, seed=n)
    mine, theirs = np.array(tuned.values), np.array(base.values)
    exact = scipy.stats.permutation_test(
        (mine, theirs), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(mine - theirs, seed=0) == pytest.approx(exact.pvalue)


def test_the_p_value_by_hand() -> None:
    # of the 8 sign patterns of (1, 2, 3) only +++ and --- sum to 6 in size
    assert sign_flip(np.array([1.0, 2.0, 3.0]), seed=0) == 2 / 8
    assert sign_flip(np.array([1.0, 0.0, 2.0, 3.0, 0.0]), seed=0) == 2 / 8
    assert sign_flip(np.array([0.1, 0.1, 0.1, -0.1]), seed=0) == 10 / 16


def test_drawn_flips_agree_with_scipys() -> None:
    tuned, base = noisy(60, 0.05, seed=4)
    mine, theirs = np.array(tuned.values), np.array(base.values)
    drawn = scipy.stats.permutation_test(
        (mine, theirs),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    assert 0.01 < drawn.pvalue < 0.9
    assert sign_flip(mine - theirs, seed=0) == pytest.approx(drawn.pvalue, abs=0.02)


def test_drawn_flips_of_all_equal_differences_are_rare() -> None:
    assert sign_flip(np.ones(40), seed=0) == pytest.approx(1 / 10_001)


@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 1)), max_size=9))
def test_the_p_value_is_symmetric_and_never_zero(differences: list[float]) -> None:
    d = np.array(differences, dtype=float)
    p = sign_flip(d, seed=0)
    assert 0 < p <= 1
    assert p == sign_flip(-d, seed=0)
    moved = d[d != 0]
    sums = [abs(np.dot(s, moved)) for s in itertools.product([1, -1], repeat=len(moved))]
    assert p == pytest.approx(np.mean([s >= abs(moved.sum()) - 1e-7 for s in sums]))


def test_the_interval_is_close_to_scipys_percentile_bootstrap() -> None:
    tuned, base = noisy(80, 0.1, seed=2)
    got = compare("m", tuned, base, seed=0)
    wanted = scipy.stats.bootstrap(
        (np.array(tuned.values), np.array(base.values)),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert got.interval == pytest.approx((wanted.low, wanted.high), abs=0.006)
    assert got.difference == pytest.approx(np.mean(tuned.values) - np.mean(base.values))
    assert (got.n, got.change, got.notes) == (80, "better", ())


def test_a_clear_loss_is_worse_and_direction_counts() -> None:
    tuned, base = noisy(50, 0.5)
    assert compare("m", tuned, base, 0).change == "better"
    errors = [Measure("e", m.values, higher_is_better=False) for m in (tuned, base)]
    assert compare("e", errors[0], errors[1], 0).change == "worse"
    assert compare("e", errors[1], errors[0], 0).change == "better"


def test_few_rows_are_undecided_and_have_no_interval() -> None:
    tuned, base = noisy(ENOUGH - 1, 5.0)
    got = compare("m", tuned, base, 0)
    assert got.interval is None
    assert got.change == "undecided"
    assert got.notes == ("undecided: fewer than 20 rows give no interval",)
    assert compare("m", *noisy(ENOUGH, 5.0), 0).interval is not None


def test_equal_models_are_the_same() -> None:
    _, base = noisy(30, 0)
    got = compare("m", base, base, 0)
    assert (got.change, got.interval, got.p_value) == ("same", (0, 0), 1)


def test_rows_that_do_not_apply_leave_the_rest() -> None:
    base = Measure("m", [0.0, NAN, 1.0] * 10)
    tuned = Measure("m", [1.0, NAN, NAN] * 10)
    got = compare("m", tuned, base, 0)
    assert (got.tuned, got.base, got.n) == (1, 0.5, 10)
    assert got.notes == ("10 rows apply to one model only", "undecided: fewer than 20 rows give no interval")
    assert got.p_value == pytest.approx(2 / 2**10)


def test_a_metric_that_applies_to_no_row_has_no_numbers() -> None:
    empty = Measure("m", [NAN] * 25)
    got = compare("m", empty, empty, 0)
    assert math.isnan(got.difference)
    assert (got.interval, got.p_value, got.n, got.change) == (None, None, 0, "undecided")


def test_a_corpus_metric_is_computed_anew_on_each_resample() -> None:
    draw = np.random.default_rng(3)
    tokens = draw.integers(1, 50, 60)

    def perplexity(nats: np.ndarray) -> Measure:
        def together(rows: object) -> float:
            rows = np.asarray(rows)
            return math.exp(nats[rows].sum() / tokens[rows].sum())

        return Measure("ppl", list(np.exp(nats / tokens)), higher_is_better=False, corpus=together)

    worse = tokens * draw.normal(2.0, 0.3, 60)
    tuned, base = perplexity(worse * 0.8), perplexity(worse)
    got = compare("ppl", tuned, base, seed=5)
    resampled = np.random.default_rng(5)
    differences = [
        math.exp(0.8 * worse[r].sum() / tokens[r].sum()) - math.exp(worse[r].sum() / tokens[r].sum())
        for r in resampled.integers(0, 60, size=(2_000, 60))
    ]
    assert got.interval == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    assert got.p_value == pytest.approx(1 / 10_001)  # none of them leaves 0, nor comes near it
    assert got.change == "better"
    assert compare("ppl", base, base, 0).p_value == 1


def test_resamples_are_seeded_and_paired() -> None:
    tuned, base = noisy(40, 0.1)
    first = bootstrap(tuned, base, seed=1)
    assert (first == bootstrap(tuned, base, seed=1)).all()
    assert not (first == bootstrap(tuned, base, seed=2)).all()
    shifted = Measure("m", [v + 0.25 for v in base.values])
    assert bootstrap(shifted, base, seed=1) == pytest.approx(np.full(2_000, 0.25))


def test_rows_without_a_value_for_either_model_change_nothing_but_the_interval() -> None:
    tuned, base = noisy(60, 0.1)
    some = [i % 3 > 0 for i in range(60)]
    few = [Measure("m", [v if kept else NAN for v, kept in zip(m.values, some, strict=True)]) for m in (tuned, base)]
    alone = [Measure("m", [v for v, kept in zip(m.values, some, strict=True) if kept]) for m in (tuned, base)]
    got, wanted = compare("m", *few, seed=0), compare("m", *alone, seed=0)
    assert (got.tuned, got.base, got.n, got.notes) == (wanted.tuned, wanted.base, 40, ())
    assert got.p_value == wanted.p_value
    assert got.interval == pytest.approx(wanted.interval, abs=0.02)


def test_what_a_measure_says_of_its_values_is_told_with_its_model() -> None:
    said, silent = Measure("m", [1.0] * 20, note="odd"), Measure("m", [0.0] * 20)
    assert compare("m", silent, said, 0).notes == ("base: odd",)
    assert compare("m", said, said, 0).notes == ("odd",)
    other = Measure("m", [1.0] * 20, note="odder")
    assert compare("m", said, other, 0).notes == ("base: odder", "tuned: odd")
    assert compare("m", said, None, 0).notes == ("odd",)


def test_one_value_about_all_rows_has_no_interval_and_nobody_waits_for_one() -> None:
    tuned, base = (Measure("s", [NAN] * 30, corpus=lambda _, v=value: v, single=True) for value in (8.0, 0.0))
    got = compare("cost/s", tuned, base, 0)
    assert (got.difference, got.n, got.interval, got.p_value, got.rows_needed, got.notes) == (
        8,
        30,
        None,
        None,
        None,
        (),
    )
    assert got.change == "undecided"
    assert compare("cost/s", tuned, None, 0).n == 30
    assert compare("cost/s", *(Measure("s", [2.0], single=True),) * 2, 0).p_value is None


def test_without_a_base_there_is_only_a_value() -> None:
    got = compare("m", Measure("m", [1.0, NAN, 0.0]), None, 0)
    assert (got.tuned, got.n, got.interval, got.p_value) == (0.5, 2, None, None)
    assert math.isnan(got.base)


def test_models_measured_on_other_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 rows of the tuned model, 1 of the base"):
        compare("m", Measure("m", [1.0, 2.0]), Measure("m", [1.0]), 0)


def test_p_values_of_several_metrics_are_corrected_as_statsmodels_does() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 2, 7, 20):
        raw = list(draw.random(count) ** 3)
        wanted = multipletests(raw, method="holm")[1]
        assert holm(raw) == pytest.approx(list(wanted))
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06], nan_ok=True)
    assert holm([None]) == [None]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(raw: list[float]) -> None:
    adjusted = holm(list(raw))
    assert all(a is not None and p <= a <= 1 for a, p in zip(adjusted, raw, strict=True))
    order = sorted(range(len(raw)), key=lambda i: raw[i])
    assert [adjusted[i] for i in order] == sorted(a for a in adjusted if a is not None)


def test_a_difference_that_one_metric_of_many_shows_by_chance_is_undecided() -> None:
    draw = np.random.default_rng(8)
    base = {f"m{i}": Measure(f"m{i}", list(draw.random(40))) for i in range(20)}
    tuned = {name: Measure(name, list(draw.random(40))) for name in base}
    alone = [compare(name, tuned[name], base[name], 0).change for name in tuned]
    assert alone.count("undecided") < 20
    together = compare_all(tuned, base, 0)
    assert {one.change for one in together.values()} == {"undecided"}
    assert all(one.rows_needed is not None for one in together.values())


def test_what_the_correction_leaves_undecided_needs_more_rows_than_there_are() -> None:
    draw = np.random.default_rng(3).normal(size=60)
    noise = (draw - draw.mean()) / draw.std(ddof=1)
    none = Measure("m", [0.0] * 60)
    effects = (2.0, 0.31, 0.25, 0.2, 0.1)
    raw = [compare(f"m{at}", Measure("m", list(e + noise)), none, 0) for at, e in enumerate(effects)]
    found = {one.name: one for one in corrected(raw)}
    second = found["m1"]
    assert (second.change, second.p_value is not None and second.p_value < 0.05) == ("undecided", True)
    # of five p-values the second is compared with 0.05 / 4
    exact = TTestPower().solve_power(effect_size=second.effect_size, power=0.8, alpha=0.05 / 4)
    assert second.rows_needed == pytest.approx(exact, abs=5)
    assert all(one.rows_needed > 60 for one in found.values() if one.rows_needed is not None)
    assert found["m0"].rows_needed is None


def test_a_clear_difference_of_a_corpus_metric_is_seen_among_a_hundred() -> None:
    values = np.random.default_rng(5).random((2, 100, 60)) + np.array([0.0, 1.0]).reshape(2, 1, 1)

    def measures(rows: np.ndarray) -> dict[str, Measure]:
        return {
            f"m{at}": Measure("m", list(row), corpus=lambda chosen, row=row: float(row[np.asarray(chosen)].mean()))
            for at, row in enumerate(rows)
        }

    found = compare_all(measures(values[1]), measures(values[0]), seed=0)
    assert {one.change for one in found.values()} == {"better"}
    # beyond what 2,000 resamples tell, and within what 10,000 flips of signs do
    assert {one.p_value for one in found.values()} == {1 / 10_001}


@pytest.mark.parametrize("z", [1.0, 2.0, 3.4, 3.7])
def test_the_p_value_of_resamples_is_the_normal_one_where_they_are_normal(z: float) -> None:
    drawn = scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    drawn += z * drawn.std()
    if z > 3:
        assert (drawn > -0.1).all()
        drawn = np.maximum(drawn, 1e-9)
    assert inverted(drawn) == pytest.approx(2 * scipy.stats.norm.sf(z), rel=0.05)
    assert inverted(-drawn) == inverted(drawn)


def test_the_p_value_of_resamples_without_spread_is_the_least_there_is() -> None:
    assert inverted(np.full(2000, 0.5)) == pytest.approx(1 / 10_001)
    assert inverted(np.zeros(2000)) == 1.0


def test_what_is_decided_needs_no_more_rows() -> None:
    [clear] = corrected([compare("m", *noisy(50, 0.5), 0)])
    assert (clear.change, clear.rows_needed, clear.p_adjusted) == ("better", None, clear.p_value)
    none = Comparison("m", 1.0, math.nan, math.nan, None, None, 3, higher_is_better=True)
    assert corrected([none]) == [none]


def test_the_effect_size_is_cohens_of_pairs() -> None:
    tuned, base = noisy(50, 0.1)
    d = np.array(tuned.values) - np.array(base.values)
    got = compare("m", tuned, base, 0)
    # t = d_z sqrt(n)
    assert got.effect_size == pytest.approx(scipy.stats.ttest_rel(tuned.values, base.values).statistic / math.sqrt(50))
    assert got.effect_size == pytest.approx(d.mean() / d.std(ddof=1))
    shifted = Measure("m", [v + 0.25 for v in base.values])
    assert compare("m", shifted, base, 0).effect_size is None
    assert effect_size(0.3, 0.6) == 0.5


def test_the_spread_of_a_metric_that_is_no_mean_comes_from_its_resamples() -> None:
    tuned, base = noisy(200, 0.1)
    corpora = [
        Measure("m", m.values, corpus=lambda rows, m=m: float(np.mean([m.values[i] for i in rows])))
        for m in (tuned, base)
    ]
    wanted = spread_of(tuned, base, None)
    assert spread_of(corpora[0], corpora[1], bootstrap(tuned, base, 0)) == pytest.approx(wanted, rel=0.05)
    assert math.isnan(spread_of(corpora[0], corpora[1], None))
    assert math.isnan(spread_of(Measure("m", [1.0]), Measure("m", [0.0]), None))


@pytest.mark.parametrize("effect", [0.1, 0.2, 0.35])
def test_rows_needed_are_those_of_statsmodels(effect: float) -> None:
    exact = TTestPower().solve_power(effect_size=effect, power=0.8, alpha=0.05)
    got = rows_needed(effect * 3, 3.0)
    assert got is not None
    assert got == pytest.approx(exact, abs=3)  # statsmodels has the t distribution
    one = TTestPower().solve_power(effect_size=effect, power=0.8, alpha=0.05, alternative="larger")
    assert rows_needed(-effect, 1.0, sides=1) == pytest.approx(one, abs=3)


def test_rows_that_cannot_be_told_are_not() -> None:
    assert rows_needed(0.0, 1.0) is None
    assert rows_needed(math.nan, 1.0) is None
    assert rows_needed(1.0, math.nan) is None
    assert rows_needed(5.0, 0.1) == ENOUGH


def test_rows_needed_keep_their_promise() -> None:
    rows = rows_needed(0.3, 1.0)
    assert rows is not None
    draw = np.random.default_rng(1)
    seen = sum(scipy.stats.ttest_1samp(draw.normal(0.3, 1.0, rows), 0).pvalue < 0.05 for _ in range(400))
    assert 0.74 < seen / 400 < 0.86
