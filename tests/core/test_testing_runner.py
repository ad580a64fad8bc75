"""The fixtures for authors of plugins: they run the real command, read what it left, and leave nothing themselves."""

import csv
import importlib
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.testing import RecipeRunner
from tunesmith.testing.runner import isolated
from tunesmith.testing.tiny import merged

pytest_plugins = ["tunesmith.testing.pytest"]

METRIC = "perplexity/perplexity"


def test_fit_and_test_are_read_back(recipe_runner: RecipeRunner) -> None:
    fitted = recipe_runner.done("fit")
    assert fitted.run is not None
    assert fitted.run.parent == recipe_runner.folder / "runs/recipe"
    with (fitted.run / "metrics.csv").open(newline="") as file:
        assert fitted.losses == [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(fitted.losses) == len(fitted.logged["lr"]) == 4
    assert "adapter saved in" in fitted.out
    tested = recipe_runner.done("test")
    assert (tested.run, tested.verdict) == (fitted.run, None)
    assert tested.measures[METRIC]["tuned"] < tested.measures[METRIC]["base"]
    validated = recipe_runner.done("validate")
    assert validated.measures.keys() == tested.measures.keys()
    assert validated.measures[METRIC] != tested.measures[METRIC]
    bound = f"--success.{METRIC}.at_most"
    assert recipe_runner.done("test", f"{bound}=1e9").verdict is True
    assert recipe_runner.run("test", f"{bound}=1").code == 3
    missed = recipe_runner.done("test", f"{bound}=1", code=3)
    assert missed.verdict is False


def test_each_fit_has_its_own_run_and_test_says_which_it_used(recipe_runner: RecipeRunner) -> None:
    first = recipe_runner.done("fit")
    recipe_runner.recipe(seed_everything=2)
    second = recipe_runner.done("fit")
    assert first.run != second.run
    assert first.losses != second.losses
    recipe_runner.recipe()
    assert recipe_runner.done("test").run == first.run


def test_rows_and_audits_are_read_back_without_a_run(recipe_runner: RecipeRunner) -> None:
    rows = [{"prompt": f"Is {n} the old man's?", "completion": f"{n} is"} for n in range(30)]
    recipe_runner.rows([*rows, rows[3], {"prompt": "Who?"}])
    recipe_runner.recipe(
        data={"curators": {"twins": "ExactDuplicates"}, "reject_limit": 0.5},
        audits={"balance": "Representation"},
        success={"balance/imbalance": {"at_most": 0.5}},
    )
    prepared = recipe_runner.done("prepare")
    assert prepared.counts["curators"]["twins"]["drops"] == {"exact duplicate": 1}
    assert sum(map(len, prepared.examples.values())) == 30
    assert prepared.examples["train"][0]["messages"][0]["role"] == "user"
    audited = recipe_runner.done("audit", code=3)
    assert audited.findings["balance"]["metrics"]["imbalance"] == 1
    assert (audited.run, audited.measures) == (None, {})


def test_a_metric_without_a_value_is_nan(recipe_runner: RecipeRunner) -> None:
    recipe_runner.rows({"prompt": f"Say {n}.", "completion": "..."} for n in range(30))
    recipe_runner.recipe(evaluators={"rouge": "ROUGE"})
    recipe_runner.done("fit")
    assert math.isnan(recipe_runner.done("test").measures["rouge/rouge1"]["tuned"])


def test_a_wrong_exit_code_shows_what_was_said(recipe_runner: RecipeRunner) -> None:
    recipe_runner.recipe(evaluators={"exact": "ExactMach"})
    with pytest.raises(AssertionError, match=r"exit 2, not 0\n(.|\n)*did you mean ExactMatch\?"):
        recipe_runner.done("fit")
    refused = recipe_runner.done("fit", code=2)
    assert (refused.run, refused.losses) == (None, [])


def test_what_an_earlier_command_left_is_not_read_as_a_failed_ones(recipe_runner: RecipeRunner) -> None:
    recipe_runner.done("prepare")
    recipe_runner.recipe(data={"batch_sise": 4})
    assert recipe_runner.done("prepare", code=2).counts == {}


@pytest.mark.parametrize("config", [["--config", "other.yaml"], ["--config=other.yaml"]])
def test_another_recipe_is_read_back_as_well(config: list[str], recipe_runner: RecipeRunner) -> None:
    recipe_runner.recipe().rename(recipe_runner.folder / "other.yaml")
    prepared = recipe_runner.done("prepare", *config)
    assert prepared.out.startswith("prepare other\n")
    assert len(prepared.examples["train"]) == prepared.counts["encoded"]["train"]["rows"]


def test_verbs_without_a_recipe_and_help_run_as_well(recipe_runner: RecipeRunner) -> None:
    assert "NextToken" in recipe_runner.done("plugins", "list").out
    for verb in ("fit", "test", "prepare", "audit"):
        assert "lightning-cli" in recipe_runner.done(verb, "--help").out


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"c": {"class_path": "A", "init_args": {"y": 2}}}, {"class_path": "A", "init_args": {"x": 1, "y": 2}}),
        ({"c": {"init_args": {"x": 3}}}, {"class_path": "A", "init_args": {"x": 3}}),
        ({"c": {"class_path": "B"}}, {"class_path": "B"}),
        ({"c": "B"}, "B"),
        ({"c": None}, None),
    ],
)
def test_changes_are_merged_as_an_overlay_is(change: dict[str, object], result: object) -> None:
    below = {"c": {"class_path": "A", "init_args": {"x": 1}}, "d": [1]}
    assert merged(below, change) == {"d": [1]} | ({"c": result} if result is not None else {})
    assert below == {"c": {"class_path": "A", "init_args": {"x": 1}}, "d": [1]}


def test_the_process_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = importlib.import_module("jsonargparse._common").parsing_settings
    monkeypatch.delenv("LRU_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("COLUMNS", "33")
    before = dict(os.environ), Path.cwd(), dict(settings["import_path_verdicts"])
    with pytest.MonkeyPatch.context() as patch, isolated(tmp_path, patch):
        assert (Path.cwd(), os.environ["COLUMNS"]) == (tmp_path, "80")
        assert main(["plugins", "list"]) == 0
        assert "LRU_CACHE_CAPACITY" in os.environ
        os.environ["PL_GLOBAL_SEED"] = "3"
        settings["import_path_verdicts"]["made_up"] = False
    assert (dict(os.environ), Path.cwd(), dict(settings["import_path_verdicts"])) == before


def test_importing_the_fixtures_loads_no_torch() -> None:
    code = "import sys, tunesmith.testing.pytest; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    without = "import sys, tunesmith.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", without]).returncode == 0
