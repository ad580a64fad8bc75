"""Evaluators of time, of cost, of other evaluators, and of rows of their own."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tunesmith import DataError, Measure, Message, RecipeError, Sample, Timing
from tunesmith.evaluation.measuring import needs_of
from tunesmith_plugins.evaluators.composite import Composite
from tunesmith_plugins.evaluators.cost import Cost
from tunesmith_plugins.evaluators.forgetting import Forgetting
from tunesmith_plugins.evaluators.latency import Latency
from tunesmith_plugins.evaluators.perplexity import Perplexity

ASKED = (Message("user", "q"),)


def said(**more: Any) -> Sample:
    return Sample("r", ASKED, "right", "answer", **more)


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {one.name: one for one in measures}


def test_latency_is_the_timed_rows() -> None:
    found = by_name(
        Latency().measure([said(timing=Timing(0.5, 2.5, 3.0, 11)), said(timing=Timing(0.3, 0.3, 1, 1)), said()])
    )
    assert found["first_token"].value == pytest.approx(0.4)
    assert found["seconds"].value == pytest.approx(1.4)
    assert found["tokens_per_second"].value == pytest.approx(10 / 2)
    assert math.isnan(found["first_token"].values[2])
    assert found["tokens_per_second"].higher_is_better
    assert not found["seconds"].higher_is_better


def test_a_latency_that_other_work_made_says_so() -> None:
    busy, alone = Timing(0.2, 4.0, 1.0, 11), Timing(0.1, 1.0, 0.9, 11)
    told = "the processor spent 25% of the time on it: other work on this machine, or waiting, made the number"
    assert {one.note for one in Latency().measure([said(timing=busy), said()])} == {told}
    # two threads work twice as long as the clock runs
    for time in (alone, Timing(0.1, 1.0, 1.9, 11)):
        assert {one.note for one in Latency().measure([said(timing=time)])} == {""}
    assert {one.note for one in Latency().measure([])} == {""}


def test_cost_by_hand() -> None:
    rows = [
        said(prompt_tokens=100, answer_tokens=20, timing=Timing(0.1, 2.0, 3.6, 20), training=7200.0),
        said(prompt_tokens=300, answer_tokens=40, training=7200.0),
    ]
    plain = by_name(Cost().measure(rows))
    assert (plain["prompt_tokens"].value, plain["answer_tokens"].value) == (200, 30)
    assert (plain["answer_seconds"].value, plain["training_seconds"].value) == (3.6, 7200)
    assert math.isnan(plain["price"].value)
    assert math.isnan(plain["training_price"].value)
    # 3.6 s of an hour that costs 2, a thousand times: 2.0; two hours of training: 4
    hourly = by_name(Cost(per_hour=2.0).measure(rows))
    assert (hourly["price"].value, hourly["training_price"].value) == (pytest.approx(2.0), 4.0)
    assert by_name(Cost(per_hour=2.0, gpu=True).measure(rows))["answer_seconds"].value == 2.0
    # 1,000 answers: 100,000 and 300,000 tokens in at 5 a million, 20,000 and 40,000 out at 10
    tokens = by_name(Cost(per_million_in=5.0, per_million_out=10.0).measure(rows))["price"]
    assert tokens.values == pytest.approx([0.5 + 0.2, 1.5 + 0.4])
    with pytest.raises(RecipeError, match="per_hour is -1; a price is 0 or more"):
        Cost(per_hour=-1).measure([])


def test_a_composite_is_the_weighted_mean_of_what_ranges_bring_to_0_and_1() -> None:
    measures = {
        "rouge/rougeL": Measure("rougeL", [0.5, 1.0]),
        "errors/rate": Measure("rate", [0.25, math.nan], higher_is_better=False),
        "people/helpful": Measure("helpful", [4.0, 6.0]),
    }
    weights = {"rouge/rougeL": 2.0, "errors/rate": 1.0, "people/helpful": 1.0}
    (score,) = Composite(weights, {"people/helpful": [1.0, 5.0]}).combine(measures)
    assert score.values[0] == pytest.approx((2 * 0.5 + 0.75 + 0.75) / 4)
    assert math.isnan(score.values[1])
    # over all: 0.75, a rate of 0.25, and 5 of 5
    assert score.value == pytest.approx((2 * 0.75 + 0.75 + 1) / 4)
    assert score.at([0, 0]) == pytest.approx(score.values[0])
    (one,) = Composite({"people/helpful": 3.0}, {"people/helpful": [5.0, 1.0]}).combine(measures)
    assert one.values == [0.25, 0.0]


def test_a_composite_takes_a_number_about_a_model_as_a_whole() -> None:
    whole = Measure("helpful", [math.nan] * 3, corpus=lambda _: 4.0, single=True)
    measures = {"a/x": Measure("x", [0.0, 0.5, 1.0]), "people/helpful": whole}
    weights, ranges = {"a/x": 1.0, "people/helpful": 1.0}, {"people/helpful": [1.0, 5.0]}
    (score,) = Composite(weights, ranges).combine(measures)
    assert (score.values, score.value, score.single) == ([0.375, 0.625, 0.875], 0.625, False)
    (alone,) = Composite({"people/helpful": 1.0}, ranges).combine(measures)
    assert (alone.value, alone.single) == (0.75, True)


def test_a_composite_has_nothing_generated_of_its_own() -> None:
    assert needs_of({"all": Composite({"nll/perplexity": 1.0}), "nll": Perplexity()}, {}) == {"logprob"}


def test_a_composite_waits_where_a_part_does() -> None:
    measures = {"a/x": Measure("x", [0.5]), "p/y": Measure("y", [math.nan], pending=True, note="to rate")}
    (score,) = Composite({"a/x": 1.0, "p/y": 1.0}).combine(measures)
    assert (score.pending, score.note) == (True, "to rate")


@pytest.mark.parametrize(
    ("weights", "ranges", "message"),
    [
        ({}, {}, "weights is {}; give metrics with numbers above 0"),
        ({"a/x": 0.0}, {}, "give metrics with numbers above 0"),
        ({"a/x": 1.0}, {"a/y": [0, 1]}, "ranges names a/y, which has no weight; did you mean a/x?"),
        ({"a/x": 1.0}, {"a/x": [1, 1]}, r"ranges.a/x is \[1, 1\]; give the worst and the best value"),
    ],
)
def test_composites_that_cannot_be_are_refused(weights: Any, ranges: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Composite(weights, ranges).produces()


def test_a_composite_of_what_nobody_measures_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"names a/y, which is not measured here; did you mean a/x\?\nmetrics: a/x"):
        Composite({"a/y": 1.0}).combine({"a/x": Measure("x", [])})


def general(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_forgetting_reads_rows_of_its_own(tmp_path: Path) -> None:
    path = general(tmp_path / "g.jsonl", {"q": "2 + 2?", "a": "4"}, {"q": "Capital of France?", "a": "Paris"})
    evaluator = Forgetting(path, prompt="q", completion="a")
    rows = evaluator.own_rows()
    assert [(row.id, row.prompt[0].content, row.reference) for row in rows] == [
        ("g.jsonl:1", "2 + 2?", "4"),
        ("g.jsonl:2", "Capital of France?", "Paris"),
    ]
    assert evaluator.needs == {"output", "logprob"}
    samples = [
        Sample("1", ASKED, "4", " 4", logprob=-1.0, tokens=2),
        Sample("2", ASKED, "Paris", "paris", logprob=-3.0, tokens=2),
    ]
    perplexity, accuracy = evaluator.measure(samples)
    assert perplexity.value == pytest.approx(math.exp(4 / 4))
    assert accuracy.values == [1.0, 1.0]
    assert Forgetting(path, "q", "a", ignore_case=False).measure(samples)[1].values == [1.0, 0.0]


def test_plain_text_has_a_perplexity_alone(tmp_path: Path) -> None:
    evaluator = Forgetting(general(tmp_path / "g.jsonl", {"text": "It rains."}, {"text": "It pours."}))
    assert evaluator.needs == {"logprob"}
    assert [row.segments[0].text for row in evaluator.own_rows()] == ["It rains.", "It pours."]
    perplexity, accuracy = evaluator.measure([Sample("1", (), "", "", logprob=-2.0, tokens=2)])
    assert perplexity.value == pytest.approx(math.e)
    assert math.isnan(accuracy.value)


def test_general_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    mixed = general(tmp_path / "m.jsonl", {"text": "a"}, {"prompt": "a", "completion": "b"})
    with pytest.raises(DataError, match="holds questions and plain text; take two evaluators"):
        Forgetting(mixed).own_rows()
    bad = general(tmp_path / "b.jsonl", {"question": "a", "answer": "b"})
    with pytest.raises(DataError, match="neither prompt with completion nor text; its columns are question, answer"):
        Forgetting(bad).own_rows()
    with pytest.raises(DataError, match="did you mean"):
        Forgetting(tmp_path / "m.json").own_rows()
