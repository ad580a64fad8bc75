"""Regularizers and averages by way of a recipe: logged, resumed bit by bit, previewed, refused by name."""

import json
from typing import Any

import pytest
import torch

from tunesmith.testing.tiny import make_rows, write_rows

CONFIG = ("--config", "tiny.yaml")
REGULARIZERS: dict[str, Any] = {
    "near": {"class_path": "L2SP", "init_args": {"weight": 0.1}},
    "elastic": {"class_path": "EWC", "init_args": {"weight": 10.0, "file": "general.jsonl"}},
    "replay": {"class_path": "Replay", "init_args": {"file": "general.jsonl", "share": 0.25}},
    "soft": {"class_path": "LabelSmoothing", "init_args": {"weight": 0.05}},
    "agree": {"class_path": "RDrop", "init_args": {"weight": 0.1}},
    "noise": "NEFTune",
}


def write(bench: Any, **changes: Any) -> None:
    """The tiny recipe with all regularizers and an average."""
    general = [{"prompt": f"What is {n} + {n}?", "completion": f"{2 * n}"} for n in range(6)]
    write_rows(bench.folder / "general.jsonl", [*general, {"text": "A pump moves water from here to there."}])
    bench.recipe["model"]["regularizers"] = REGULARIZERS
    bench.recipe["model"]["adapter"]["init_args"]["dropout"] = 0.1
    bench.recipe["model"]["schedule"] = {"name": "constant"}
    bench.recipe["data"]["batch_size"] = 2
    average = {"callbacks": [{"class_path": "EMA"}]}
    bench.recipe["trainer"] |= {"accumulate_grad_batches": 2, "val_check_interval": 8, **average}
    bench.write(**changes)


def test_all_are_logged_and_a_resumed_run_is_the_same_bit_by_bit(bench: Any) -> None:
    write(bench)
    run = bench.fit_whole_and_in_two_parts()
    steps = [row for row in bench.curve(run) if row["loss"]]
    assert len(steps) == 8
    for row in steps:
        assert 0 < float(row["reg/replay"]) < 20
        assert 0 < float(row["reg/soft"]) < 1
    for name in ("near", "elastic", "agree"):  # updates are 0 at first
        values = [float(row[f"reg/{name}"]) for row in steps]
        assert values[0] == 0
        assert min(values[1:]) > 0
    assert "reg/noise" not in steps[0]
    said = bench.sent[0].out
    assert "replay 7 rows, " in said
    assert "elastic 7 rows, " in said
    assert "before the first step reg/elastic looks at 7 rows of its own" in said
    assert "EMA: validation, best checkpoint and adapter are of averaged weights" in said
    checkpoint = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert any(name.startswith("extras.reg-elastic.") for name in checkpoint["state_dict"])
    adapter = bench.adapter(run)
    for name, tensor in adapter.items():
        (held,) = (t for n, t in checkpoint["state_dict"].items() if n.replace(".default", "").endswith(name))
        assert torch.equal(held, tensor)
    files = json.loads((run / "lock.json").read_text())["files"]
    assert files.keys() == {"model.regularizers.elastic.file", "model.regularizers.replay.file"}
    # general rows are part of what a run is made from
    write_rows(bench.folder / "general.jsonl", [{"text": "Something else."}])
    found = bench.done("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps", "9", code=2)
    assert "file of model.regularizers.elastic.file is not what" in found.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": {"objective": {"class_path": "NextToken", "init_args": {"label_smoothing": 0.1}}}},
            "model.regularizers.soft: LabelSmoothing smooths what",
        ),
        (
            {"model": {"regularizers": {"near": {"init_args": {"weight": -1.0}}}}},
            "near: L2SP.weight is -1.0; it must be",
        ),
        ({"trainer": {"callbacks": ["EMA", "SWA"]}}, "EMA and SWA"),
        ({"trainer": {"callbacks": [{"class_path": "EMA", "init_args": {"decay": 2.0}}]}}, "EMA.decay is 2"),
    ],
)
def test_recipes_check_refuses_what_needs_no_base(bench: Any, changes: dict[str, Any], said: str) -> None:
    write(bench, **changes)
    assert said in bench.done("recipes", "check", "tiny.yaml", code=2).out


def test_a_good_recipe_is_checked_without_its_general_rows(bench: Any) -> None:
    write(bench)
    (bench.folder / "general.jsonl").unlink()
    bench.done("recipes", "check", "tiny.yaml")


def test_preview_counts_general_rows_second_passes_and_copies(bench: Any) -> None:
    write(bench)
    said = bench.done("preview", *CONFIG, "--gpu", "24").out
    assert "replay 7 rows, " in said
    assert "7 rows that model.regularizers.elastic looks at first are not in the time" in said
    assert "EMA: validation" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": {"regularizers": {"replay": {"init_args": {"file": "nowhere.jsonl"}}}}},
            ["nowhere.jsonl", "does not exist"],
        ),
        (
            {"evaluators": {"kept": {"class_path": "Forgetting", "init_args": {"file": "general.jsonl"}}}},
            ["model.regularizers.replay trains on 7 of the 7 rows that evaluators.kept measures"],
        ),
        (
            {"model": {"objective": {"class_path": "NextToken", "init_args": {"label_smoothing": 0.1}}}},
            ["model.regularizers.soft: LabelSmoothing smooths what"],
        ),
        ({"model": {"adapter": {"init_args": {"dropout": 0.0}}}}, ["RDrop compares two passes", "nothing drops out"]),
        (
            {"model": {"regularizers": {"near": {"init_args": {"new": ["scor"]}}}}},
            ["no trained weight's name has scor"],
        ),
        ({"trainer": {"callbacks": ["EMA", "SWA"]}}, ["EMA and SWA", "one average only"]),
        ({"trainer": {"callbacks": ["EMAWeightAveraging"]}}, ["EMAWeightAveraging", "use EMA"]),
    ],
    ids=["file", "measured", "smoothed twice", "no dropout", "no such weight", "two averages", "Lightning's"],
)
def test_what_cannot_be_is_refused_by_name(bench: Any, changes: dict[str, Any], said: list[str]) -> None:
    write(bench, **changes)
    if "evaluators" in changes:
        write_rows(
            bench.folder / "general.jsonl",
            [{"prompt": f"{row['prompt']} now", "completion": "yes"} for row in make_rows(7)],
        )
    found = bench.done("fit", *CONFIG, code=2)
    for part in said:
        assert part in found.err
    assert not bench.runs() or "nothing drops out" in said


def test_adversaries_are_in_checkpoints_and_not_beside_the_adapter(bench: Any) -> None:
    write_rows(bench.folder / "rows.jsonl", [{**row, "side": "ab"[at % 2]} for at, row in enumerate(make_rows(60))])
    options = {"group": "side", "groups": ["a", "b"], "schedule": "constant", "adversaries": 2, "width": 4}
    options |= {"steps": 5, "memory": 6}
    bench.write(
        model={
            "regularizers": {
                "hidden": {"class_path": "AdversarialDebiasing", "init_args": options},
                "same": "CounterfactualConsistency",
            },
            "schedule": {"name": "constant"},
        },
        data={"batch_size": 2},
        trainer={"accumulate_grad_batches": 2, "val_check_interval": 8},
    )
    run = bench.fit_whole_and_in_two_parts()
    for row in (row for row in bench.curve(run) if row["loss"]):
        assert float(row["reg/hidden"]) > 0
        assert 0.5 <= float(row["reg/hidden/chance"]) <= 1
        assert float(row["reg/same/compared"]) == 0  # lamps and pumps
    assert len({row["reg/hidden/accuracy"] for row in bench.curve(run) if row["loss"]}) > 1
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    held = {name for name in checkpoint["state_dict"] if name.startswith("extras.reg-hidden.adversaries.")}
    assert len(held) > 6
    # five before each step, but before the first and where all rows in memory are of one group
    assert int(checkpoint["state_dict"]["extras.reg-hidden.adversaries.steps"]) in (30, 35)
    assert not list((run / "adapter").glob("extras*"))
    bench.done("test", *CONFIG, "--run", str(run))
