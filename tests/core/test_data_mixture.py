"""Mixtures and curricula: how often rows are drawn, in which order, and that windows still count their rows."""

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.curriculum import Curriculum, Order
from tunesmith.data.loader import layout_differences
from tunesmith.data.mixture import Mixture, apportion
from tunesmith.data.packing import Shape
from tunesmith.data.plan import Plan
from tunesmith.errors import RecipeError

SMALL = st.integers(1, 4)


def drawn(sizes: dict[str, int], weights: dict[str, float] = {}, **options: Any) -> Counter[str]:  # noqa: B006
    values = [name for name, size in sizes.items() for _ in range(size)]
    draws = Mixture(**options).draws(values, weights, seed=1)
    return Counter(values[row] for row in draws.of(0))


def test_an_epoch_ends_as_asked() -> None:
    sizes = {"a": 100, "b": 50}
    assert drawn(sizes) == {"a": 100, "b": 50}
    assert drawn(sizes, {"a": 2}) == {"a": 200, "b": 50}
    # 50 of b are as many as 200 of a: the rows of a end first, when 25 of b were drawn
    assert drawn(sizes, {"a": 2}, stop="first_exhausted") == {"a": 100, "b": 25}
    assert drawn(sizes, {"a": 0}) == {"b": 50}
    assert drawn(sizes, {"b": 0.1}) == {"a": 1000, "b": 50}
    assert drawn(sizes, {"b": 0.1}, stop="first_exhausted") == {"a": 100, "b": 5}
    assert drawn(sizes, {"a": 2}, rows=30) == {"a": 24, "b": 6}


def test_temperature_raises_small_strata() -> None:
    # shares of 900 and 100 rows: 30 and 10 at temperature 2
    assert drawn({"a": 900, "b": 100}, temperature=2.0, rows=400) == {"a": 300, "b": 100}
    assert drawn({"a": 900, "b": 100}, temperature=2.0) == {"a": 900, "b": 300}
    assert drawn({"a": 900, "b": 100}, temperature=float("inf")) == {"a": 900, "b": 900}
    assert drawn({"a": 900, "b": 100}, {"b": 2}, temperature=float("inf"), rows=300) == {"a": 100, "b": 200}


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
WEIGHTS = st.lists(st.sampled_from([0.1, 0.5, 1.0, 1.7, 3.0]), min_size=4, max_size=4)


@given(SIZES, WEIGHTS, st.sampled_from([1.0, 2.0, float("inf")]))
def test_all_exhausted_leaves_no_row_out_and_first_exhausted_draws_none_twice(sizes, weights, temperature) -> None:
    named = {str(at): size for at, size in enumerate(sizes)}
    given_weights = dict(zip(named, weights, strict=False))
    every = Mixture(temperature=temperature).draws(_values(named), given_weights, 1)
    assert set(every.of(0)) == set(range(sum(sizes)))
    first = Mixture(temperature=temperature, stop="first_exhausted").draws(_values(named), given_weights, 1)
    if first.size > len(sizes):  # each stratum has a row at least
        assert max(Counter(first.of(0)).values()) == 1
    for draws in (every, first):
        assert draws.size == len(draws.of(3)) == len(draws.heaviest([1] * sum(sizes)))


def _values(sizes: dict[str, int]) -> list[str]:
    return [name for name, size in sizes.items() for _ in range(size)]


@given(SIZES, WEIGHTS, st.integers(1, 90))
def test_over_epochs_all_rows_of_a_stratum_are_drawn_equally_often(sizes, weights, rows) -> None:
    named = {str(at): size for at, size in enumerate(sizes)}
    draws = Mixture(rows=rows).draws(_values(named), dict(zip(named, weights, strict=False)), 5)
    seen = Counter[int]()
    for epoch in range(7):
        seen.update(draws.of(epoch))
        for of_stratum in draws.rows:
            counts = [seen[int(row)] for row in of_stratum]
            assert max(counts) - min(counts) <= 1


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(1, 50))
def test_rows_are_apportioned_whole(parts, number) -> None:
    shares = [part / sum(parts) for part in parts]
    counts = apportion(shares, number)
    assert sum(counts) == number
    if number >= len(shares):
        assert min(counts) >= 1
    floors = [int(share * number) for share in shares]
    if min(floors) >= 1:
        assert all(count in (floor, floor + 1) for count, floor in zip(counts, floors, strict=True))


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=40),
    st.none() | st.integers(5, 80),
    SMALL,
    SMALL,
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_plans_of_mixtures_and_curricula(lengths, budget, accumulate, world, is_ordered, is_padded, data) -> None:
    """As many micro-batches in every epoch, none too full, all rows that were drawn, and counts of just these rows."""
    values = [data.draw(st.sampled_from("abc")) for _ in lengths]
    draws = Mixture(by="task", weights={values[0]: data.draw(st.sampled_from([0.3, 2.5]))}).draws(values, {}, 3)
    order = Order(Curriculum(epochs=2, pacing="linear"), np.array(lengths, float)) if is_ordered else None
    shapes = [Shape(1, length) for length in lengths] if is_padded and budget else None
    units = {"token": lengths, "example": [1] * len(lengths)}
    options: dict[str, Any] = {"accumulate": accumulate, "world": world, "max_tokens": budget, "batch_size": 3}
    plan = Plan(lengths, units, **options, shapes=shapes, seed=2, draws=draws, order=order)
    for epoch in range(3):
        lanes = [plan.epoch(epoch, rank) for rank in range(world)]
        assert {len(lane) for lane in lanes} == {len(plan)}
        real = [micro for lane in lanes for micro in lane if not micro.ghost]
        assert Counter(row for micro in real for row in micro.rows) == Counter(draws.of(epoch))
        if budget is not None:
            sizes = [_size(micro.rows, lengths, is_padded) for micro in real if len(micro.rows) > 1]
            assert all(size <= budget for size in sizes)
        micros_of = plan.everywhere(epoch)
        for start in range(0, len(micros_of), accumulate * world):
            micros = micros_of[start : start + accumulate * world]
            counted = sum(lengths[row] for micro in micros if not micro.ghost for row in micro.rows)
            assert {micro.window.counts["token"] for micro in micros} == {counted}


def _size(rows: tuple[int, ...], lengths: list[int], is_padded: bool) -> int:
    return max(lengths[row] for row in rows) * len(rows) if is_padded else sum(lengths[row] for row in rows)


def test_the_rows_of_a_window_do_not_depend_on_the_ranks() -> None:
    lengths = [7 * at % 40 + 1 for at in range(50)]
    draws = Mixture(by="task", weights={"b": 3}).draws(["a", "b"] * 25, {}, 3)

    def windows(accumulate: int, world: int) -> list[Counter[int]]:
        plan = Plan(lengths, max_tokens=90, accumulate=accumulate, world=world, draws=draws)
        return [Counter(row for micro in window for row in micro) for window in plan.windows(1)]

    assert windows(4, 1) == windows(2, 2) == windows(1, 4)


@given(st.lists(st.floats(0, 9), min_size=1, max_size=60), st.sampled_from(["linear", "root", "step"]), SMALL, SMALL)
def test_no_row_comes_before_it_is_let_in(difficulty, pacing, epochs, epoch) -> None:
    curriculum = Curriculum(pacing=pacing, start=0.3, epochs=epochs)
    rows = list(range(len(difficulty)))
    found = Order(curriculum, np.array(difficulty)).of(rows, epoch - 1, np.random.default_rng(1))
    assert sorted(found) == rows
    rank = {row: at for at, row in enumerate(sorted(rows, key=lambda row: (difficulty[row], row)))}
    for at, row in enumerate(found):
        share = curriculum.share((epoch - 1 + at / len(rows)) / epochs)
        assert rank[row] < max(at + 1, int(np.ceil(share * len(rows) - 1e-9)))


def test_pacing_functions() -> None:
    assert Curriculum(pacing="linear", start=0.2).share(0.5) == pytest.approx(0.6)
    assert Curriculum(pacing="root", start=0.2).share(0.5) == pytest.approx((0.04 + 0.96 / 2) ** 0.5)
    step = Curriculum(pacing="step", start=0.2, steps=5)
    assert [round(step.share(time), 6) for time in (0, 0.19, 0.2, 0.5, 0.8, 1)] == [0.2, 0.2, 0.4, 0.6, 1, 1]
    for pacing in ("linear", "root", "step"):
        assert Curriculum(pacing=pacing).share(0) == pytest.approx(0.2)  # type: ignore[arg-type]
        assert Curriculum(pacing=pacing).share(1) == pytest.approx(1)  # type: ignore[arg-type]


def test_easy_rows_come_first_and_the_hardest_if_asked_and_later_epochs_are_shuffled() -> None:
    lengths = list(range(1, 201))
    for flag, sign in ((False, 1), (True, -1)):
        order = Order(Curriculum(start=0.1, hardest_first=flag), np.array(lengths, float))
        for budget in (None, 2000):
            plan = Plan(lengths, batch_size=4, max_tokens=budget, order=order)
            means = [np.mean([lengths[row] for row in micro.rows]) for micro in plan.epoch(0, 0)]
            third = len(means) // 3
            assert sign * (np.mean(means[-third:]) - np.mean(means[:third])) > 50
            means = [np.mean([lengths[row] for row in micro.rows]) for micro in plan.epoch(1, 0)]
            assert abs(np.mean(means[-third:]) - np.mean(means[:third])) < 40


def test_a_position_means_other_rows_under_another_mixture_or_curriculum() -> None:
    plain = Plan([3, 4, 5], batch_size=2).layout()
    values = ["a", "b", "b"]
    one, two = (
        Plan([3, 4, 5], batch_size=2, draws=Mixture(by="task", weights={"a": w}).draws(values, {}, 1)).layout()
        for w in (2.0, 3.0)
    )
    ordered = Plan([3, 4, 5], batch_size=2, order=Order(Curriculum(), np.arange(3.0))).layout()
    assert layout_differences(plain, plain) == layout_differences(one, one) == []
    for then, now in itertools.permutations([plain, one, two], 2):
        assert layout_differences(then, now)[0].startswith("rows are drawn otherwise")
    assert layout_differences(plain, ordered)[0].startswith("rows come in another order")
    # a release before mixtures noted neither
    assert layout_differences(plain[:9], plain) == []
    assert layout_differences(plain[:9], one)[0].startswith("rows are drawn otherwise")


@pytest.mark.parametrize(
    ("options", "sources", "said"),
    [
        ({"temperature": 0}, {}, "data.mixture.temperature is 0; it is above 0"),
        ({"rows": 0}, {}, "data.mixture.rows is 0"),
        ({}, {"a": -1.0}, "data.sources.a.weight is -1.0; a weight is 0 or more"),
        ({"by": "task", "weights": {"x": float("nan")}}, {}, "data.mixture.weights.x is nan"),
        ({"weights": {"a": 2.0}}, {"a": 1.0}, "write data.sources.a.weight"),
        ({"by": "task", "rows": 4}, {"a": 2.0}, "data.sources.a.weight is 2, and data.mixture.by is task"),
        ({"by": "label"}, {"a": 1.0}, "data.mixture changes nothing"),
        ({"stop": "first_exhausted"}, {"a": 1.0}, "data.mixture changes nothing"),
    ],
)
def test_what_cannot_be_mixed_is_refused(options, sources, said) -> None:
    with pytest.raises(RecipeError, match=said):
        Mixture(**options).check(sources)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 0.0}, "start is 0.0; a share above 0"),
        ({"epochs": 0}, "epochs is 0; 1 or more"),
        ({"pacing": "step", "steps": 1}, "steps is 1; 2 or more"),
        ({"steps": 7}, "steps is 7, and pacing root has none"),
    ],
)
def test_what_cannot_be_paced_is_refused(options, said) -> None:
    with pytest.raises(RecipeError, match=f"data.curriculum.{said}"):
        Curriculum(**options).check()


def _two_sources(bench: Any, **data: Any) -> Path:
    rows = [json.loads(line) for line in (bench.folder / "rows.jsonl").read_text().splitlines()]
    others = [
        {**row, "prompt": f"Once more: {row['prompt']}", "kind": at % 3, "hard": -at} for at, row in enumerate(rows)
    ]
    (bench.folder / "others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others[:30]))
    sources = {
        "notes": {"path": "rows.jsonl", "formatter": "PromptCompletion", "weight": 0.5},
        "others": {"path": "others.jsonl", "formatter": "PromptCompletion", "split": "train"},
    }
    schedule = {"name": "constant", "warmup": 0}
    trainer = {"val_check_interval": 2}
    return bench.write(data={"sources": sources, **data}, model={"schedule": schedule}, trainer=trainer)


def test_a_recipe_mixes_sources_and_orders_them_by_loss_and_goes_on_exactly(bench: Any) -> None:
    config = _two_sources(bench, curriculum={"by": "loss", "pacing": "step"})
    run = bench.fit_whole_and_in_two_parts(str(config))
    out = bench.sent[0].out
    told = json.loads((run / "data.json").read_text())["drawn"]
    assert [one["name"] for one in told] == ["notes", "others"]
    assert told[1]["drawn"] == 2 * told[1]["rows"] == 60
    assert told[0]["drawn"] == told[0]["rows"]
    assert f"by source: notes {told[0]['drawn']} of {told[0]['rows']}, others 60 of 30" in out
    assert "curriculum  by the base's loss (" in out
    assert "the easiest 20% first, step over the first epoch" in out
    assert len(np.load(run / "losses.npy")) == told[0]["rows"] + 30


def test_losses_of_a_curriculum_are_those_of_the_base_row_by_row(bench: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = _two_sources(bench, curriculum={"by": "loss"})
    shares = ("--data.split.train=1", "--data.split.validation=0", "--data.split.test=0")
    bench.done("fit", "--config", str(config), "--trainer.max_steps=1", *shares)
    (run,) = bench.runs()
    base = bench.recipe["model"]["base"]
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    rows = [json.loads(line) for line in (bench.folder / "rows.jsonl").read_text().splitlines()]
    expected = []
    for row in rows[:3]:
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
        ids = tokenizer.apply_chat_template(turns, return_dict=False)
        start = len(tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False))
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected.append(-np.mean([float(scores[at - 1, ids[at]]) for at in range(start, len(ids))]))
    assert np.load(run / "losses.npy")[:3] == pytest.approx(expected, rel=1e-4)


def test_rows_are_ordered_by_a_column_and_weighed_by_one(bench: Any) -> None:
    config = _two_sources(bench)
    plain = ("--data.sources.notes.weight=1", "--data.mixture.by=kind", "--data.mixture.weights.2=3")
    out = bench.done("preview", "--config", str(config), *plain).out
    assert ", 0 10 of 10, 1 10 of 10, 2 30 of 10" in out
    wrong = bench.run(
        "preview", "--config", str(config), *plain[:1], "--data.mixture.by=kinds", "--data.mixture.rows=9"
    )
    assert (wrong.code, "data.mixture.by is kinds, which no training row has; did you mean kind?" in wrong.err) == (
        2,
        True,
    )
    wrong = bench.run("preview", "--config", str(config), "--data.curriculum.by=hard")
    assert wrong.code == 2
    assert "data.curriculum.by is hard, and row " in wrong.err
    assert " has no hard" in wrong.err
    wrong = bench.run("preview", "--config", str(config), "--data.sources.notes.wieght=3")
    assert "did you mean weight?" in wrong.err
