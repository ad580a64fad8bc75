"""The verb `search`: over options of a recipe, and over the number of training rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.optimize import curve_fit

from tunesmith.data.example import Example
from tunesmith.data.pipeline import Curated, part_of
from tunesmith.data.rejected import Rejected
from tunesmith.data.split import Split
from tunesmith.errors import RecipeError
from tunesmith.report.search_page import data_page, search_page
from tunesmith.search.power_law import learning_curve
from tunesmith.search.space import Range, Search, overlay, overrides
from tunesmith.testing.tiny import make_rows, write_rows

CONFIG = ("--config", "tiny.yaml")
SPACE = {
    "model.optimizer.lr": {"low": 0.001, "high": 0.1, "log": True},
    "model.adapter.rank": {"choices": [2, 4]},
}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "takes low and high, or choices"),
        ({"low": 1, "high": 2, "choices": [1, 2]}, "takes low and high, or choices"),
        ({"low": 1}, "goes from 1 to None"),
        ({"low": 2, "high": 1}, "goes from 2 to 1"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log takes a low above 0"),
        ({"low": 1, "high": 9, "step": 9}, "step is 9; above 0, and at most 8"),
        ({"choices": [1]}, "choices names 1"),
        ({"choices": [1, 2], "log": True}, "log and step belong to a range"),
    ],
)
def test_what_is_no_range_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=f"search.space.data.batch_size.*{said}"):
        Search(space={"data.batch_size": Range(**values)}).check()


@pytest.mark.parametrize(
    "key", ["data.max_length", "model.base", "data.split.train", "evaluators.rouge", "data.batch_siz"]
)
def test_what_would_change_what_losses_are_of_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match="cannot be searched: its trials would have validation"):
        Search(space={key: Range(low=1, high=2)}).check()
    Search(space={"data.sources.notes.weight": Range(low=1, high=2)}).check()


def test_what_decides_is_logged_or_refused() -> None:
    space, logged = {"data.batch_size": Range(low=1, high=2)}, ("val/loss", "val/rewards/margin")
    Search(space=space, by="val/rewards/margin", mode="max").check(logged)
    with pytest.raises(RecipeError, match=r"search.by is val/reward/margin, .*; did you mean val/rewards/margin"):
        Search(space=space, by="val/reward/margin").check(logged)
    with pytest.raises(RecipeError, match=r"search.by is loss, which no validation logs"):
        Search(space=space, by="loss").check()
    with pytest.raises(RecipeError, match=r"search.mode is max, but search.by is val/loss"):
        Search(space=space, mode="max").check(logged)


def test_values_become_overrides_and_an_overlay() -> None:
    values = {"model.optimizer.lr": 1e-05, "data.batch_size": 4, "model.adapter": "LoRA", "a.flag": True}
    assert overrides(values) == [
        "--model.optimizer.lr=1e-05",
        "--data.batch_size=4",
        "--model.adapter=LoRA",
        "--a.flag=true",
    ]
    assert overlay({"a.b.c": 1, "a.b.d": 2, "e": 3}) == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


def test_a_range_knows_its_values() -> None:
    assert [Range(low=2, high=8, step=2).holds(value) for value in (2, 4, 5, 8, 10, True, "4")] == [
        *(True, True, False, True),
        *(False, False, False),
    ]
    assert Range(low=0.5, high=2.0).holds(1)
    assert Range(choices=["a", "b"]).holds("a")
    assert not Range(choices=["a", "b"]).holds(None)


def test_a_learning_curve_is_the_one_of_least_squares() -> None:
    sizes = np.repeat([100.0, 200.0, 400.0, 800.0], 3)
    losses = 1.2 + 5 * sizes**-0.5 + np.random.default_rng(1).normal(0, 0.01, len(sizes))
    curve = learning_curve(sizes, losses)
    (limit, factor, exponent), _ = curve_fit(lambda n, a, b, c: a + b * n**-c, sizes, losses, (1, 3, 0.4))
    for rows in (100, 800, 3200):
        assert curve.at(rows) == pytest.approx(limit + factor * rows**-exponent, rel=2e-3)
    errors = ((curve.limit + curve.factor * sizes**-curve.exponent - losses) ** 2).sum()
    assert errors == pytest.approx(((limit + factor * sizes**-exponent - losses) ** 2).sum(), rel=1e-2)
    # of losses that rise nothing is expected, and nothing below 0
    flat = learning_curve([10, 20, 40], [1.0, 1.1, 1.2])
    assert flat.at(1000) == pytest.approx(1.1)
    assert learning_curve([10, 20, 40], [4.0, 2.0, 1.0]).limit == pytest.approx(0, abs=0.02)
    with pytest.raises(ValueError, match="three sizes"):
        learning_curve([10, 20, 20], [1, 2, 3])


def test_the_interval_of_a_learning_curve_holds_what_is_true_nearly_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(3), 0
    sizes = np.repeat([100.0, 200.0, 400.0, 800.0], 2)
    for trial in range(60):
        losses = 1.2 + 5 * sizes**-0.5 + generator.normal(0, 0.02, len(sizes))
        low, high = learning_curve(sizes, losses, trial).interval(1600)
        held += low <= 1.2 + 5 * 1600**-0.5 <= high
    assert held >= 51  # 57 are expected, fewer than 51 once in 300 times


def test_parts_of_the_rows_lie_within_larger_ones_and_keep_their_order() -> None:
    rows = [Example(id=f"row {at}") for at in range(200)]
    whole = Curated({"train": rows, "validation": [], "test": []}, {}, {}, Rejected(), Split(), key="k")
    tenth, half, other = part_of(whole, 0.1, 0), part_of(whole, 0.5, 0), part_of(whole, 0.1, 1)
    ids = [[row.id for row in part.splits["train"]] for part in (tenth, half, other)]
    assert [len(one) for one in ids] == [20, 100, 20]
    assert set(ids[0]) < set(ids[1])
    assert ids[0] != ids[2]
    assert ids[1] == [row.id for row in rows if row.id in set(ids[1])]
    assert len({whole.key, tenth.key, half.key, other.key}) == 4


def searching(bench: Any, **search: Any) -> None:
    trainer = {"max_steps": 6, "val_check_interval": 3}
    bench.write(search={"space": SPACE, "trials": 4, "startup": 2, **search}, trainer=trainer)


def test_the_best_options_are_an_overlay_that_trains_as_the_trial_did(bench: Any) -> None:
    searching(bench, prune=False)
    out = bench.done("search", *CONFIG).out
    (folder,) = bench.folder.glob("runs/tiny/search/*")
    told = json.loads((folder / "search.json").read_text())
    assert [one["state"] for one in told["trials"]] == ["complete"] * 4
    # the recipe's own options come first
    assert told["trials"][0]["values"] == {"model.optimizer.lr": 0.01, "model.adapter.rank": 4}
    best = min(told["trials"], key=lambda one: one["loss"])
    found = yaml.safe_load((folder / "best.yaml").read_text())
    assert found["model"]["optimizer"]["lr"] == best["values"]["model.optimizer.lr"]
    assert f"best: val/loss {best['loss']:.4f}, trial {best['number']}" in out
    kept = [one["number"] for one in told["trials"] if (Path(one["run"]) / "adapter").exists()]
    assert kept == [best["number"]]
    bench.done("fit", *CONFIG, "--config", str(folder / "best.yaml"))
    (run,) = bench.runs()
    losses = [loss for step, loss in json.loads((run / "result.json").read_text())["validation_loss"] if step]
    assert min(losses) == pytest.approx(best["loss"], rel=1e-6)

    # it goes on where it was, and not with another space
    out = bench.done("search", *CONFIG, "--ckpt_path", "last", "--search.trials=5").out
    assert "trial 5/5" in out
    assert "trial 4/5" not in out
    told = json.loads((folder / "search.json").read_text())
    assert len(told["trials"]) == 5
    assert set(told["importance"]) == set(SPACE)
    other = "--search.space.model.optimizer.lr.high=0.2"
    ran = bench.run("search", *CONFIG, "--ckpt_path", "last", other)
    assert (ran.code, "searched another recipe or space" in ran.err) == (2, True)


def test_trials_that_fail_or_are_worse_than_the_median_are_told_apart(bench: Any, monkeypatch: Any) -> None:
    from tunesmith.cli import trials

    real = trials.fit

    def failing(session: Any) -> int:
        if session.model.adapter.rank == 2:
            raise RuntimeError("out of memory")
        return real(session)

    monkeypatch.setattr(trials, "fit", failing)
    searching(bench, trials=14, startup=14)
    out = bench.done("search", *CONFIG, "--model.optimizer.lr=0.05").out
    (folder,) = bench.folder.glob("runs/tiny/search/*")
    told = json.loads((folder / "search.json").read_text())["trials"]
    assert {one["failed"] for one in told if one["state"] == "fail"} == {"RuntimeError: out of memory"}
    assert "failed: RuntimeError: out of memory" in out
    ended = [one for one in told if one["state"] == "pruned"]
    assert ended
    assert all(json.loads((Path(one["run"]) / "result.json").read_text())["steps"] == 3 for one in ended)
    page = (folder / "search.html").read_text()
    assert page.count("ended early") == len(ended)
    assert "failed: RuntimeError: out of memory" in page


def test_what_an_objective_logs_of_a_task_decides_by_its_largest_value(bench: Any) -> None:
    rows = [
        {"prompt": one["prompt"], "chosen": one["completion"], "rejected": f"no {at} {one['completion']}"}
        for at, one in enumerate(make_rows(60))
    ]
    for name, part in {"rows": rows[:40], "notes": rows[40:48], "letters": rows[48:]}.items():
        write_rows(bench.folder / f"{name}.jsonl", part)
    splits = {"rows": "train", "notes": "validation", "letters": "validation"}
    sources = {name: {"path": f"{name}.jsonl", "formatter": "Preference", "split": s} for name, s in splits.items()}
    bench.recipe["data"]["sources"] = sources
    bench.recipe["evaluators"] = {"preference": "PreferenceAccuracy"}
    search = {"space": {"model.optimizer.lr": {"choices": [1.0e-7, 0.02]}}, "trials": 2, "startup": 2, "prune": False}
    search |= {"by": "val/rewards/margin/letters", "mode": "max"}
    trainer = {"max_steps": 3, "val_check_interval": 1}
    bench.write(
        model={"objective": "Preference", "optimizer": {"init_args": {"lr": 0.02}}}, search=search, trainer=trainer
    )
    out = bench.done("search", *CONFIG).out
    (folder,) = bench.folder.glob("runs/tiny/search/*")
    told = json.loads((folder / "search.json").read_text())
    for one in told["trials"]:
        run = Path(one["run"])
        kept = json.loads((run / "result.json").read_text())["kept_step"]
        logged = {int(row["step"]) + 1: row for row in bench.curve(run) if row["val/loss"]}
        assert one["value"] == pytest.approx(float(logged[kept]["val/rewards/margin/letters"]))
        assert one["loss"] == pytest.approx(float(logged[kept]["val/loss"]))
    first, second = (one["value"] for one in told["trials"])
    best = max(first, second)
    assert f"best: val/rewards/margin/letters {best:.4f}, trial {1 if first == best else 2}" in out
    ran = bench.done("search", *CONFIG, "--search.by=val/rewards/margin/leters", code=2)
    assert "did you mean val/rewards/margin/letters?" in ran.err


def test_what_cannot_be_searched_is_said_before_the_first_trial(bench: Any, monkeypatch: Any) -> None:
    bench.write()
    assert "the recipe has no search.space" in bench.run("search", *CONFIG).err
    searching(bench)
    ran = bench.run("search", *CONFIG, "--search.space.model.adapter.rank.choices=[2, -1.5]")
    assert ran.code == 2
    assert "search.space.model.adapter.rank, -1.5: " in ran.err
    searching(bench, space={"model.adapter.rnak": {"choices": [2, 3]}})
    ran = bench.run("search", *CONFIG)
    assert "search.space.model.adapter.rnak, 2: " in ran.err
    assert "did you mean rank?" in ran.err
    searching(bench)
    ran = bench.run("search", *CONFIG, "--trainer.devices=2", "--trainer.strategy=ddp")
    assert "search trains in one process" in ran.err
    assert "--over dat is nothing" in bench.run("search", *CONFIG, "--over", "dat").err
    assert "--shares is '1,2'" in bench.run("search", *CONFIG, "--over", "data", "--shares", "1,2").err
    assert "is no search that can be gone on with" in bench.run("search", *CONFIG, "--ckpt_path=last").err
    monkeypatch.setattr("tunesmith.cli.search.find_spec", lambda name: None)
    assert "pip install 'tunesmith[search]'" in bench.run("search", *CONFIG).err
    assert not list(bench.folder.glob("runs/tiny/search/*/journal.log"))


def test_parts_of_the_data_say_what_more_would_bring(bench: Any) -> None:
    searching(bench)
    shares = ("--over", "data", "--shares", "0.2,0.5,1.0", "--repeats", "2")
    out = bench.done("search", *CONFIG, *shares).out
    (folder,) = bench.folder.glob("runs/tiny/search/data_*")
    told = json.loads((folder / "search.json").read_text())
    rows = told["rows"]
    assert [one["rows"] for one in told["trained"]] == [round(s * rows) for s in (0.2, 0.5, 1.0) for _ in range(2)]
    trained = [json.loads((Path(one["run"]) / "data.json").read_text())["encoded"]["train"] for one in told["trained"]]
    assert [one["rows"] for one in trained] == [one["rows"] for one in told["trained"]]
    for one in told["trained"]:
        result = json.loads((Path(one["run"]) / "result.json").read_text())
        assert one["loss"] == min(loss for step, loss in result["validation_loss"] if step)
    curve = learning_curve([one["rows"] for one in told["trained"]], [one["loss"] for one in told["trained"]], 1)
    assert f"twice as many: {curve.at(2 * rows):.4f}" in out
    assert told["curve"]["limit"] == pytest.approx(curve.limit)
    assert "<polygon" in (folder / "search.html").read_text()


def test_pages_show_what_data_says_and_never_obey_it() -> None:
    trials = [
        {
            "number": at + 1,
            "state": "complete",
            "values": {"a.<b>": at, "c.name": "<i>"},
            "loss": 1.0 + at,
            "value": 5.0 - at,
            "seconds": 2.0,
        }
        for at in range(3)
    ]
    failed = {
        "number": 4,
        "state": "fail",
        "values": {},
        "loss": None,
        "value": None,
        "failed": "<script>alert(1)</script>",
    }
    found = {
        "recipe": "<script>",
        "by": "val/<u>",
        "mode": "min",
        "space": {"a.<b>": "0 to 2", "c.name": "one of <i>"},
        "log": [],
        "own": {"a.<b>": None, "c.name": "<i>"},
        "trials": [*trials, failed],
        "importance": {"a.<b>": 0.8, "c.name": 0.2},
    }
    page = search_page(found)
    assert "<script" not in page
    assert "<u>" not in page
    assert "lowest <code>val/&lt;u&gt;</code> of 4 trials is 3.0000, of trial 3" in page
    assert "is 5.0000, of trial 1" in search_page({**found, "mode": "max"})
    assert "a.<b>" not in page
    assert "80%" in page
    assert "<script" not in search_page({**found, "trials": [failed], "importance": {}})
    point = {"rows": 10, "loss": 1.0, "interval": [0.9, 1.1]}
    told = {
        "recipe": "<script>",
        "rows": 10,
        "trained": [{"rows": 10, "share": 0.5, "repeat": 0, "loss": 1.0}],
        "curve": {"limit": 1.0, "factor": 0.0, "exponent": 0.5},
        "points": [point, {**point, "rows": 40}],
        "said": ["<script>"],
    }
    assert "<script" not in data_page(told)
