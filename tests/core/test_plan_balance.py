"""Ranks have the same to do: by rows, and by tokens, where rows are exchanged within the budget and within a window."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.data.balancing import Rows, exchange, share
from tunesmith.data.packing import pack
from tunesmith.data.plan import Plan, split

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=60)
SMALL = st.integers(1, 4)
RANKS = st.integers(2, 4)
QUADRATIC = st.sampled_from([0.0, 0.05])
MODELS = {  # quadratic part of a base, median and longest of the rows' lengths, budget
    "135m": (1.6e-4, 240, 1024, 2048),
    "135m, short rows": (1.6e-4, 60, 512, 4096),
    "8b": (1.75e-5, 800, 8192, 8192),
}


def ranks_of(window: list[Rows], world: int) -> list[list[Rows]]:
    return [window[rank::world] for rank in range(world)]


def loads_of(window: list[Rows], plan: Plan) -> list[float]:
    """What each rank's rows cost."""
    costs = [length + plan.quadratic * length**2 for length in plan.lengths]
    return [sum(costs[row] for rows in lane for row in rows) for lane in ranks_of(window, plan.world)]


def packed(plan: Plan, epoch: int) -> list[list[Rows]]:
    """Windows as they are filled by tokens alone."""
    assert plan.max_tokens is not None
    order = [
        int(row) for row in np.random.Generator(np.random.PCG64([plan.seed, epoch])).permutation(len(plan.lengths))
    ]
    bins = pack(order, plan.lengths, plan.max_tokens, plan._bins)
    bins = split(bins, plan.lengths, plan._bins)
    factor = plan.accumulate * plan.world
    windows = [bins[start : start + factor] for start in range(0, len(bins), factor)]
    even = -(-len(windows[-1]) // plan.world) * plan.world
    windows[-1] = split(windows[-1], plan.lengths, even)
    windows[-1] += [[] for _ in range(even - len(windows[-1]))]
    return [[tuple(rows) for rows in window] for window in windows]


@given(LENGTHS, st.integers(5, 80), SMALL, SMALL, QUADRATIC, st.integers(0, 2))
def test_exchanges_keep_each_windows_rows_its_budget_and_its_number_of_micro_batches(
    lengths: list[int], budget: int, accumulate: int, world: int, quadratic: float, epoch: int
) -> None:
    def plan() -> Plan:
        return Plan(lengths, max_tokens=budget, accumulate=accumulate, world=world, quadratic=quadratic, seed=4)

    windows, before = list(plan().windows(epoch)), packed(plan(), epoch)
    assert len(windows) == len(before)
    for window, filled in zip(windows, before, strict=True):
        assert Counter(row for rows in window for row in rows) == Counter(row for rows in filled for row in rows)
        assert sum(map(bool, window)) == sum(map(bool, filled))
        assert len(window) == len(filled)
        assert all(sum(lengths[row] for row in rows) <= budget or len(rows) == 1 for rows in window)
    assert sorted(row for window in windows for rows in window for row in rows) == list(range(len(lengths)))
    assert windows == list(plan().windows(epoch))


@given(LENGTHS, st.integers(5, 80), SMALL, RANKS, QUADRATIC)
def test_the_slowest_rank_is_never_slower_for_exchanges(
    lengths: list[int], budget: int, accumulate: int, world: int, quadratic: float
) -> None:
    plan = Plan(lengths, max_tokens=budget, accumulate=accumulate, world=world, quadratic=quadratic)
    for window, filled in zip(plan.windows(0), packed(plan, 0), strict=True):
        assert max(loads_of(window, plan)) <= max(loads_of(share(filled, world, plan.cost), plan)) + 1e-6


def feasible(giver: Rows, taker: Rows, lengths: list[int], budget: int) -> list[tuple[Rows, Rows]]:
    """All exchanges of at most two rows for at most two that leave rows in both and keep the budget."""

    def tokens(rows: Rows) -> int:
        return sum(lengths[row] for row in rows)

    def some(rows: Rows) -> list[Rows]:
        return [chosen for number in range(3) for chosen in itertools.combinations(rows, number)]

    return [
        (given_, taken)
        for given_ in some(giver)
        for taken in some(taker)
        if tokens(giver) - tokens(given_) + tokens(taken) <= budget
        and tokens(taker) + tokens(given_) - tokens(taken) <= budget
        and len(giver) - len(given_) + len(taken) > 0
        and len(taker) + len(given_) - len(taken) > 0
    ]


@given(st.lists(st.integers(8, 60), min_size=4, max_size=24), st.integers(60, 120), RANKS, QUADRATIC)
@example([15, 15, 16, 31, 31, 31], 60, 4, 0.0)  # the slowest of four is as slow as before, and one of two
def test_no_exchange_of_two_rows_is_left_that_would_help_the_slowest_rank(
    lengths: list[int], budget: int, world: int, quadratic: float
) -> None:
    plan = Plan(lengths, max_tokens=budget, world=world, quadratic=quadratic)

    def helps(window: list[Rows], loads: list[float], slow: int, other: int) -> bool:
        gap = loads[slow] - loads[other]
        gains = [
            min(moved, gap - moved)
            for given_, taken in feasible(window[slow], window[other], lengths, budget)
            for moved in [sum(plan.costs[row] for row in given_) - sum(plan.costs[row] for row in taken)]
        ]
        return max(gains) > 0.01 * gap + 1e-6

    for window in plan.windows(0):
        loads = loads_of(window, plan)
        if max(loads) <= 1.003 * sum(loads) / world:
            continue
        others = [rank for rank in range(world) if window[rank]]
        slowest = [rank for rank in range(world) if loads[rank] > max(loads) - 1e-6]
        # of ranks that are equally slow, one that cannot be helped is enough
        assert any(not any(helps(window, loads, slow, other) for other in others if other != slow) for slow in slowest)


@given(st.lists(st.integers(1, 60), max_size=60), SMALL, SMALL, RANKS, QUADRATIC)
def test_ranks_that_take_so_many_rows_differ_by_no_more_than_the_costliest_row(
    lengths: list[int], size: int, accumulate: int, world: int, quadratic: float
) -> None:
    plan = Plan(lengths, batch_size=size, accumulate=accumulate, world=world, quadratic=quadratic)
    for window in plan.windows(0):
        loads = loads_of(window, plan)
        assert max(loads) - min(loads) <= max(plan.costs[row] for rows in window for row in rows) + 1e-6


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("world", "accumulate", "most"), [(2, 1, 0.01), (8, 1, 0.013), (2, 4, 0.0035), (8, 4, 0.004)])
def test_ranks_wait_little_for_the_slowest_unless_for_one_long_row(
    name: str, world: int, accumulate: int, most: float
) -> None:
    quadratic, median, longest, budget = MODELS[name]
    draw = np.random.default_rng(1)
    lengths = [int(n) for n in np.clip(draw.lognormal(np.log(median), 0.9, 4000), 50, longest)]
    plan = Plan(lengths, max_tokens=budget, world=world, accumulate=accumulate, quadratic=quadratic)
    waits, filled_waits = [], []
    for window, filled in list(zip(plan.windows(0), packed(plan, 0), strict=True))[:-1]:
        mean = sum(plan.costs[row] for rows in window for row in rows) / world
        least = max(1.0, max(plan.costs[row] for rows in window for row in rows) / mean)
        waits.append(max(loads_of(window, plan)) / mean - least)
        filled_waits.append(max(loads_of(share(filled, world, plan.cost), plan)) / mean - least)
    assert np.mean(waits) < most
    assert np.mean(waits) < 0.6 * np.mean(filled_waits)


def test_a_long_row_is_exchanged_for_two_short_ones_where_micro_batches_are_full() -> None:
    lengths = [500, 500, 250, 250, 250, 250]
    costs = [length + 0.01 * length**2 for length in lengths]
    parts = exchange([(0, 1), (2, 3, 4, 5)], 2, 1000, lengths, costs)
    assert [sorted(lengths[row] for row in rows) for rows in parts] == [[250, 250, 500]] * 2


def test_a_micro_batch_is_not_emptied_and_an_empty_one_stays_so() -> None:
    lengths = [100, 50, 40, 10]
    # ten tokens from the first rank to the second would make both equal, and leave the first with one micro-batch less
    assert exchange([(0,), (1,), (2,), (3,)], 2, 100, lengths, lengths) == [(0,), (1,), (3,), (2,)]
    assert exchange([(0, 1), ()], 2, 200, lengths, lengths) == [(0, 1), ()]


def test_exchanges_are_undone_where_they_made_micro_batches_alike_and_ranks_less_so() -> None:
    lengths = [10, 2, 7, 1, 9, 5]
    costs = [length + 0.05 * length**2 for length in lengths]
    assert exchange([(0, 1), (2, 3), (4,), (5,)], 2, 12, lengths, costs) == [(0, 1), (4,), (5,), (2, 3)]
