"""The plan: every row once an epoch, the same windows for every layout, counts that equal their rows."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.balancing import balance
from tunesmith.data.loader import layout_differences
from tunesmith.data.packing import Shape, best_fit, bins_needed, pack
from tunesmith.data.plan import MicroBatch, Plan, split

LENGTHS = st.lists(st.integers(1, 60), max_size=60)
SMALL = st.integers(1, 4)


def plan_of(lengths: list[int], **options) -> Plan:
    units = {
        "token": [length // 2 + 1 for length in lengths],
        "example": [1] * len(lengths),
        "pair": [length % 2 for length in lengths],
    }
    return Plan(lengths, units, **options)


def ranks(plan: Plan, epoch: int) -> list[list[MicroBatch]]:
    return [plan.epoch(epoch, rank) for rank in range(plan.world)]


def steps(plan: Plan, epoch: int) -> list[list[MicroBatch]]:
    """Micro-batches of each optimizer step as Lightning takes them: `accumulate` at a time on every rank."""
    lanes = ranks(plan, epoch)
    starts = range(0, len(lanes[0]), plan.accumulate)
    return [[micro for lane in lanes for micro in lane[start : start + plan.accumulate]] for start in starts]


@given(LENGTHS, SMALL, SMALL, SMALL, st.none() | st.integers(5, 80), st.integers(0, 3))
def test_every_row_is_trained_on_once_an_epoch_by_equally_busy_ranks(lengths, size, accumulate, world, budget, epoch):
    plan = plan_of(lengths, batch_size=size, accumulate=accumulate, world=world, max_tokens=budget, seed=3)
    lanes = ranks(plan, epoch)
    assert {len(lane) for lane in lanes} == {len(plan)}
    seen = Counter(row for lane in lanes for micro in lane if not micro.ghost for row in micro.rows)
    assert seen == Counter(range(len(lengths)))
    assert all(micro.rows for lane in lanes for micro in lane)


@given(LENGTHS, SMALL, SMALL, SMALL, st.none() | st.integers(5, 80), st.none() | st.integers(0, 7))
def test_a_windows_counts_are_those_of_the_rows_that_its_step_trains_on(
    lengths, size, accumulate, world, budget, limit
):
    options = {"batch_size": size, "accumulate": accumulate, "world": world, "max_tokens": budget, "limit": limit}
    plan = plan_of(lengths, **options)
    for index, step in enumerate(steps(plan, 1)):
        rows = [row for micro in step if not micro.ghost for row in micro.rows]
        counts = {unit: sum(values[row] for row in rows) for unit, values in plan.units.items()}
        counts["step"] = sum(not micro.ghost for micro in step)
        for micro in step:
            assert micro.window.counts == counts
            assert micro.window.index == index
            assert micro.window.factor == (0 if micro.ghost else accumulate * world)


@given(LENGTHS, st.sampled_from([None, 20, 45]), st.integers(0, 2))
def test_the_same_rows_meet_in_a_window_for_every_layout_of_eight_micro_batches(lengths, budget, epoch):
    def windows(accumulate: int, world: int) -> list[frozenset[int]]:
        plan = plan_of(lengths, batch_size=2, accumulate=accumulate, world=world, max_tokens=budget, seed=1)
        return [frozenset(row for micro in window for row in micro) for window in plan.windows(epoch)]

    whole = windows(8, 1)
    assert whole == windows(4, 2) == windows(2, 4) == windows(1, 8)


@given(LENGTHS, SMALL)
def test_rows_of_a_window_do_not_depend_on_how_they_share_batch_size_and_accumulation(lengths, epoch):
    def windows(size: int, accumulate: int) -> list[frozenset[int]]:
        plan = plan_of(lengths, batch_size=size, accumulate=accumulate)
        return [frozenset(row for micro in window for row in micro) for window in plan.windows(epoch)]

    assert windows(8, 1) == windows(4, 2) == windows(2, 4) == windows(1, 8)


@given(LENGTHS, st.integers(1, 80), SMALL, SMALL)
def test_no_micro_batch_holds_more_tokens_than_allowed_unless_it_is_one_row(lengths, budget, accumulate, world):
    plan = plan_of(lengths, max_tokens=budget, accumulate=accumulate, world=world)
    for micro in (micro for lane in ranks(plan, 0) for micro in lane):
        assert sum(lengths[row] for row in micro.rows) <= budget or len(micro.rows) == 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 80))
def test_every_epoch_has_as_many_micro_batches(lengths, budget):
    plan = plan_of(lengths, max_tokens=budget, seed=5)
    assert {len(plan.epoch(epoch, 0)) for epoch in range(6)} == {len(plan)}
    assert len(plan) <= len(lengths)


@pytest.mark.parametrize("rows", [200, 500, 1000, 2000, 8000])
@pytest.mark.parametrize("median", [100, 240])
def test_token_budgets_are_used_to_97_percent_in_every_epoch_but_for_one_micro_batch(rows, median):
    draw = np.random.default_rng(rows)
    lengths = [int(n) for n in np.clip(draw.lognormal(np.log(median), 0.6, rows), 20, 1500)]
    plan = Plan(lengths, max_tokens=2048)
    assert plan.used == pytest.approx(sum(lengths) / (2048 * len(plan)))
    fewest = -(-sum(lengths) // 2048)  # if rows could be cut
    assert len(plan) <= fewest + fewest // 50 + 1
    if rows >= 2000:  # of a few dozen micro-batches one that holds the rest is several percent
        assert plan.used > 0.97
    for epoch in range(3):
        loads = sorted(sum(lengths[row] for row in micro.rows) for micro in plan.epoch(epoch, 0))
        assert sum(loads[1:]) / len(loads[1:]) > 0.97 * 2048


@given(LENGTHS, st.integers(1, 80), st.randoms())
def test_packing_keeps_every_row_once_within_its_budget_and_its_number(lengths, budget, random):
    order = list(range(len(lengths)))
    random.shuffle(order)
    most = bins_needed(lengths, budget)
    bins = pack(order, lengths, budget, most)
    assert len(bins) <= most
    assert sorted(row for rows in bins for row in rows) == sorted(order)
    assert all(sum(lengths[row] for row in rows) <= budget or len(rows) == 1 for rows in bins)
    assert [min(map(order.index, rows)) for rows in bins] == sorted(min(map(order.index, rows)) for rows in bins)


@given(LENGTHS, st.integers(1, 80))
def test_best_fit_takes_the_fullest_micro_batch_that_has_room(lengths, budget):
    expected: list[list[int]] = []
    for row, length in enumerate(lengths):
        room = [budget - sum(lengths[r] for r in rows) for rows in expected]
        fitting = [left for left in room if left >= length]
        if fitting:
            # of two that are equally full, the one that was filled last
            assert min(fitting) >= length
        got = best_fit(range(row + 1), lengths, budget)
        grown = next(at for at, rows in enumerate(got) if rows[-1] == row)
        assert (len(got[grown]) == 1) == (not fitting)
        if fitting:
            assert room[grown] == min(fitting)
        expected = got


def best_fit_by_tables(order, lengths: list[int], budget: int) -> list[list[int]]:
    """With a list for each possible room, and a number whose bit k says that there is room for k: as it was."""
    bins: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(budget + 1)]
    free = 0
    for row in order:
        if lengths[row] > budget:
            bins.append([row])
            continue
        wide_enough = free >> lengths[row]
        if wide_enough:
            room = lengths[row] + (wide_enough & -wide_enough).bit_length() - 1
            at = by_room[room].pop()
            if not by_room[room]:
                free ^= 1 << room
            bins[at].append(row)
        else:
            room, at = budget, len(bins)
            bins.append([row])
        by_room[room - lengths[row]].append(at)
        free |= 1 << (room - lengths[row])
    return bins


@given(st.lists(st.integers(1, 60), max_size=200), st.integers(1, 300), st.randoms())
def test_best_fit_packs_as_it_did_with_a_table_of_rooms(lengths, budget, random):
    order = list(range(len(lengths)))
    random.shuffle(order)
    assert best_fit(order, lengths, budget) == best_fit_by_tables(order, lengths, budget)


def test_a_budget_beyond_all_rows_costs_neither_time_nor_memory() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(20, 2000, 20_000)]
    begin = time.process_time()
    plan = Plan(lengths, max_tokens=2_000_000_000)
    assert [sorted(micro.rows) for micro in plan.epoch(0, 0)] == [list(range(20_000))]
    assert time.process_time() - begin < 10


def test_packed_rows_meet_others_in_every_epoch() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(50, 400, 300)]
    plan = Plan(lengths, max_tokens=1024)
    mates = [
        {frozenset(pair) for micro in plan.epoch(epoch, 0) for pair in itertools.combinations(micro.rows, 2)}
        for epoch in range(2)
    ]
    assert len(mates[0] & mates[1]) < 0.1 * len(mates[0])


@given(LENGTHS, SMALL, SMALL, SMALL, st.none() | st.integers(5, 80), st.integers(0, 9))
def test_trap_46_a_limit_cuts_the_epoch_and_the_last_windows_counts_follow(
    lengths, size, accumulate, world, budget, limit
):
    options = {"batch_size": size, "accumulate": accumulate, "world": world, "max_tokens": budget}
    whole, cut = plan_of(lengths, **options), plan_of(lengths, **options, limit=limit)
    assert len(cut) == min(limit, len(whole)) == len(cut.epoch(0, 0))
    full, rest = divmod(len(cut), accumulate)
    taken = steps(cut, 0)
    assert [len(step) for step in taken] == [accumulate * world] * full + ([rest * world] if rest else [])
    for before, after in zip(steps(whole, 0)[:full], taken[:full], strict=True):
        assert [micro.rows for micro in before] == [micro.rows for micro in after]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    lengths = list(range(1, 33))
    first = plan_of(lengths, seed=1).epoch(0, 0)
    assert first == plan_of(lengths, seed=1).epoch(0, 0)
    assert first != plan_of(lengths, seed=1).epoch(1, 0)
    assert first != plan_of(lengths, seed=2).epoch(0, 0)


def test_evaluation_keeps_the_order_and_has_no_windows() -> None:
    plan = Plan([5] * 7, batch_size=2, shuffle=False)
    assert [micro.rows for micro in plan.epoch(0, 0)] == [(0, 1), (2, 3), (4, 5), (6,)]
    assert {micro.window for micro in plan.epoch(0, 0)} == {None}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 8))
def test_dealing_is_balanced_by_rows_and_tokens(lengths, parts):
    dealt = balance(range(len(lengths)), lengths, parts)
    loads = [sum(lengths[row] for row in part) for part in dealt]
    sizes = [len(part) for part in dealt]
    assert loads == sorted(loads, reverse=True)
    assert max(sizes) <= -(-len(lengths) // parts)
    assert sorted(row for part in dealt for row in part) == list(range(len(lengths)))
    if len(lengths) >= parts:
        assert min(sizes) >= 1


def test_balanced_micro_batches_of_very_unequal_rows() -> None:
    lengths = [64, 60, 4, 6, 50, 5, 3, 62]
    loads = [sum(lengths[row] for row in part) for part in balance(range(8), lengths, 4)]
    assert loads == [64 + 3, 62 + 4, 60 + 5, 50 + 6]  # and not 124, 10, 55 and 65, as they come


@given(LENGTHS, st.integers(1, 30), st.integers(0, 70))
@settings(max_examples=50)
def test_splitting_keeps_rows_and_order_and_reaches_the_number(lengths, budget, number):
    bins = best_fit(range(len(lengths)), lengths, budget)
    halved = split(bins, lengths, number)
    assert [row for rows in halved for row in rows] == [row for rows in bins for row in rows]
    assert len(halved) == max(len(bins), min(number, len(lengths)))
    assert all(halved)


def test_long_rows_are_dealt_by_their_quadratic_cost() -> None:
    lengths = [900, 300, 300, 300]
    by_tokens = Plan(lengths, batch_size=2, world=2, shuffle=False)
    by_cost = Plan(lengths, batch_size=2, world=2, shuffle=False, quadratic=0.001)
    assert by_tokens.costs == lengths
    assert by_cost.costs[0] == pytest.approx(900 + 810)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_without_a_row_get_a_ghost_that_counts_nothing(world: int) -> None:
    lonely = plan_of([9], batch_size=3, world=world)
    kinds = [lonely.epoch(0, rank)[0].ghost for rank in range(world)]
    assert kinds == [False] + [True] * (world - 1)
    assert all(lonely.epoch(0, rank)[0].window.counts["example"] == 1 for rank in range(world))


@given(LENGTHS, st.booleans(), st.none() | st.integers(5, 80), SMALL, st.data())
def test_a_position_under_the_same_layout_is_after_the_same_rows(lengths, cut, budget, accumulate, data):
    """Whatever else a recipe changes: what a row costs, where the epoch is cut, how many tokens the rows have."""
    made = []
    for tokens in (lengths, [min(length, 20) for length in lengths] if cut else lengths):
        changed = {
            "shuffle": data.draw(st.booleans()),
            "quadratic": data.draw(st.sampled_from([0.0, 0.5])),
            "limit": data.draw(st.none() | st.integers(1, 9)),
        }
        made.append(plan_of(tokens, batch_size=3, max_tokens=budget, accumulate=accumulate, world=2, seed=4, **changed))
    one, two = made
    if layout_differences(one.layout(), two.layout()):
        return
    whole = min(len(one), len(two)) // accumulate
    for first, second in zip(steps(one, 1)[:whole], steps(two, 1)[:whole], strict=True):
        rows = [Counter(row for m in step if not m.ghost for row in m.rows) for step in (first, second)]
        assert rows[0] == rows[1]


def test_a_position_means_other_rows_when_tokens_by_which_they_are_dealt_are_others() -> None:
    lengths = [20, 40, 60, 80, 100, 120]
    cut = [min(length, 60) for length in lengths]
    then, now = (Plan(tokens, max_tokens=160).layout() for tokens in (lengths, cut))
    (said,) = layout_differences(then, now)
    assert "data.max_length" in said
    assert layout_differences(then, Plan(lengths, max_tokens=160).layout()) == []
    by_rows = [Plan(tokens, batch_size=2).layout() for tokens in (lengths, cut)]
    assert layout_differences(*by_rows) == []
    (said,) = layout_differences(then, Plan(lengths, max_tokens=160, shuffle=False).layout())
    assert said == "shuffling (none under trainer.overfit_batches) was 1 and is 0"


@pytest.mark.parametrize("shapes", [None, [Shape(1, 5), Shape(1, 7)]])
def test_a_position_of_a_release_that_noted_less_is_taken(shapes) -> None:
    now = Plan([5, 7], max_tokens=20, shapes=shapes).layout()
    then = now[: 6 if shapes is None else 7]
    assert layout_differences(then, now) == []
    assert layout_differences([1, *then[1:]], now) == ["training rows was 1 and is 2"]
    other = Plan([5, 7], max_tokens=20, shapes=None if shapes else [Shape(1, 5), Shape(1, 7)]).layout()
    (said,) = layout_differences(then, other)
    assert said.startswith("padding within data.max_tokens was ")
