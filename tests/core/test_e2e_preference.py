"""Preference pairs through the command: trained, watched, resumed, compared with the base."""

import json
from typing import Any

import pytest

from tunesmith.testing.tiny import write_rows

CONFIG = ("--config", "tiny.yaml")


def pairs(count: int) -> list[dict[str, Any]]:
    """Of two answers the one with the lamp is better."""
    return [
        {"prompt": f"Report {number}: what is it?", "chosen": f"the lamp {number}", "rejected": f"some door {number}"}
        for number in range(count)
    ]


BY_TOKEN = {"class_path": "PreferenceAccuracy", "init_args": {"by_token": True}}


def recipe(
    bench: Any, rows: list[dict[str, Any]], objective: Any = "Preference", evaluator: Any = BY_TOKEN, **changes: Any
) -> None:
    write_rows(bench.folder / "rows.jsonl", rows)
    bench.write(
        model={"objective": objective, "schedule": {"name": "constant"}},
        data={
            "sources": {"notes": {"formatter": "Preference"}},
            "split": {"train": 0.5, "validation": 0.1, "test": 0.4, "near_duplicates": None},
        },
        evaluators={"perplexity": None, "exact": None, "preference": evaluator},
        **changes,
    )


def test_pairs_train_validate_resume_and_are_told_apart_better_than_by_the_base(bench: Any) -> None:
    watched = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/rewards/accuracy", "mode": "max"}}
    recipe(
        bench,
        pairs(60),
        trainer={"callbacks": [watched], "val_check_interval": 2},
        success={"preference/accuracy": {"at_least": 0.95}, "preference/unwanted": {"at_least": 1.05, "of": "base"}},
    )
    run = bench.fit_whole_and_in_two_parts()
    steps = [row for row in bench.curve(run) if row["loss"]]
    assert len(steps) == 8
    assert float(steps[0]["loss"]) < 0.7
    assert float(steps[-1]["rewards/accuracy"]) == 1
    assert float(steps[-1]["rewards/margin"]) > float(steps[0]["rewards/margin"])
    validated = [row for row in bench.curve(run) if row["val/loss"]]
    assert float(validated[-1]["val/rewards/accuracy"]) == 1
    assert float(validated[-1]["val/loss"]) < float(validated[0]["val/loss"])
    ran = bench.done("test", *CONFIG, "--run", str(run))
    assert "preference/accuracy" in ran.out
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert found["preference/accuracy"]["tuned"] > 0.95


def test_options_of_another_method_are_refused_before_training(bench: Any) -> None:
    recipe(bench, pairs(20), {"class_path": "Preference", "init_args": {"method": "ipo", "gamma": 1.0}})
    ran = bench.done("fit", *CONFIG, code=2)
    said = (
        "tiny.yaml: model.objective.init_args.gamma is 1.0, which ipo does not read: it goes with simpo; leave it out"
    )
    assert said in ran.err
    assert said in bench.done("recipes", "check", "tiny.yaml", code=2).out
    recipe(bench, pairs(20), {"class_path": "Preference", "init_args": {"method": "dp"}})
    assert "model.objective.init_args.method" in bench.done("recipes", "check", "tiny.yaml", code=2).out


def test_unpaired_rows_train_alike_however_they_are_batched_and_resume(bench: Any) -> None:
    rows = [
        {
            "prompt": f"Report {n}: what is it?",
            "completion": f"{'the lamp' if n % 2 else 'some door'} {n}",
            "label": n % 2 > 0,
        }
        for n in range(60)
    ]
    write_rows(bench.folder / "rows.jsonl", rows)
    bench.write(
        trainer={"val_check_interval": 2},
        model={"objective": "KTO", "schedule": {"name": "constant"}},
        data={"sources": {"notes": {"formatter": "UnpairedPreference"}}, "split": {"near_duplicates": None}},
        evaluators={"perplexity": None, "preference": "PreferenceAccuracy"},
    )
    run = bench.fit_whole_and_in_two_parts()
    curve = [row for row in bench.curve(run) if row["loss"]]
    assert float(curve[0]["loss"]) == 0.5  # wanted and unwanted alike: s(0)
    assert any(float(row["rewards/drift"]) > 0 for row in curve[1:])
    assert float(curve[-1]["rewards/margin"]) > 0
    before = set(bench.runs())
    cut = ("--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2", "--trainer.max_steps", "8")
    bench.done("fit", *CONFIG, *cut, "--trainer.val_check_interval", "1.0")
    (other,) = set(bench.runs()) - before
    alike = [row for row in bench.curve(other) if row["loss"]]
    for name in ("loss", "rewards/drift"):
        values = [[float(row[name]) for row in rows] for rows in (curve, alike)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)
    said = " ".join(bench.done("test", *CONFIG, "--run", str(run)).err.split())
    assert "8 of 13 rows hold an answer that is not wanted, and exact compares with it as with any other" in said
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert found["preference/unwanted"]["tuned"] > found["preference/unwanted"]["base"] + 0.1
    assert found["preference/wanted"]["tuned"] < found["preference/wanted"]["base"] - 0.1


def test_negative_examples_get_unlikelier_and_wanted_ones_likelier_and_a_run_resumes(bench: Any) -> None:
    wanted = [{"prompt": f"Report {n}: what is it?", "completion": f"the lamp {n}", "label": True} for n in range(30)]
    unwanted = [
        {"prompt": f"Report {n}: what is it?", "completion": f"some door {n}", "label": False} for n in range(30)
    ]
    write_rows(bench.folder / "rows.jsonl", [row for pair in zip(wanted, unwanted, strict=True) for row in pair])
    bench.write(
        model={"objective": "Unlikelihood", "schedule": {"name": "constant"}},
        data={"sources": {"notes": {"formatter": "UnpairedPreference"}}, "split": {"near_duplicates": None}},
        evaluators={"perplexity": None, "exact": None, "preference": "PreferenceAccuracy"},
        trainer={"val_check_interval": 2},
    )
    run = bench.fit_whole_and_in_two_parts()
    steps = [row for row in bench.curve(run) if row["loss"]]
    for row in steps:
        parts = float(row["parts/wanted"]) + float(row["parts/unwanted"])
        assert parts == pytest.approx(float(row["loss"]), rel=1e-5)
    bench.done("test", *CONFIG, "--run", str(run))
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert found["preference/wanted"]["tuned"] < found["preference/wanted"]["base"] - 0.1
    gained = {
        name: found[f"preference/{name}"]["tuned"] - found[f"preference/{name}"]["base"]
        for name in ("wanted", "unwanted")
    }
    assert gained["wanted"] < gained["unwanted"] - 0.1
