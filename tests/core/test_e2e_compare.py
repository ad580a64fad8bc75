"""`compare`: runs beside each other, through the command."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tunesmith.testing.runner import isolated

CONFIG = ("--config", "tiny.yaml")
RATE = "--model.optimizer.init_args.lr"


@pytest.fixture(scope="module")
def folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tested runs of one recipe: the tiny one, one that learns less, and one that learned on other rows."""
    import yaml

    from tunesmith.cli.main import main
    from tunesmith.testing.tiny import make_rows, tiny_recipe, write_rows

    folder = tmp_path_factory.mktemp("compared")
    write_rows(folder / "rows.jsonl", make_rows(150))
    recipe = tiny_recipe(tiny_base) | {"success": {"perplexity/perplexity": {"at_most": 1e9}}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch, isolated(folder, patch):
        for words in ([], [f"{RATE}=0.001"]):
            assert main(["fit", *CONFIG, *words]) == 0
            assert main(["test", *CONFIG, *words]) == 0
    return folder


@pytest.fixture
def runs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Copies of the runs, oldest first, in the working directory."""
    shutil.copytree(folder, tmp_path / "work")
    with isolated(tmp_path / "work", monkeypatch):
        yield sorted(path.parent for path in Path("runs/tiny").glob("*/lock.json"))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    from tunesmith.cli.main import main

    assert main(["compare", *words]) == code
    read = capsys.readouterr()
    return read.out if code == 0 else read.err


def test_a_folder_of_runs_is_a_leaderboard(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "runs/tiny", "--output", "numbers.json")
    better, worse = (path.name for path in runs)
    assert f"34 test rows, by perplexity/perplexity: {better} is best" in out
    rows = [line.split() for line in out.splitlines() if line.split()[:1] in ([better], [worse])]
    assert [row[:2] for row in rows[:2]] == [[better, "1/1"], [worse, "1/1"]]
    assert f"{worse} differs from {better}:\n  model.optimizer.init_args.lr: 0.01 there, 0.001 here\n" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    record = json.loads(Path("numbers.json").read_text())
    values = [json.loads((run / "test/metrics.json").read_text())["metrics"] for run in runs]
    for run, metrics in zip(runs, values, strict=True):
        for name, found in record["runs"][str(run)].items():
            assert found == pytest.approx(metrics[name]["tuned"]), name
    beside = record["beside the best"][worse]["perplexity/perplexity"]
    gap = values[1]["perplexity/perplexity"]["tuned"] - values[0]["perplexity/perplexity"]["tuned"]
    assert beside["difference"] == pytest.approx(gap)
    assert beside["interval"][0] > 0


def test_runs_that_differ_in_their_seed_alone_are_summed_up(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = runs
    lock = json.loads((first / "lock.json").read_text())
    assert "seeds" not in said(capsys, "runs/tiny")
    method = lock["method"] | {"seed_everything": lock["seed"] + 1}
    (other / "lock.json").write_text(json.dumps(lock | {"method": method, "seed": lock["seed"] + 1}))
    out = " ".join(said(capsys, "runs/tiny", "--output", "numbers.json").split())
    name = "perplexity/perplexity"
    values = [json.loads((run / "test/metrics.json").read_text())["metrics"][name]["tuned"] for run in runs]
    mean, sd = np.mean(values), np.std(values, ddof=1)
    assert f"2 runs of one recipe with other seeds ({first.name}, {other.name}): {name} {mean:.4g} on average" in out
    assert f"standard deviation {sd:.4g}, {min(values):.4g} to {max(values):.4g}" in out
    assert f"{other.name} differs from {first.name}: seed_everything: 1 there, 2 here" in out
    (seeds,) = json.loads(Path("numbers.json").read_text())["seeds"]
    assert seeds["runs"] == [str(run) for run in runs]
    wanted = {"mean": mean, "sd": sd, "low": min(values), "high": max(values)}
    assert seeds["metrics"][name] == pytest.approx(wanted)


def test_two_runs_are_compared_metric_by_metric_in_any_order(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, str(runs[1]), str(runs[0]), "--by", "exact/exact_match")
    assert "34 test rows, by exact/exact_match: " in out
    (line,) = [line for line in out.splitlines() if line.split()[:1] == ["perplexity/perplexity"]]
    assert "▲" in line or "▼" in line


def test_other_rows_are_refused(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = runs[1] / "test/predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["reference"] = "something else"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    err = said(capsys, "runs/tiny", code=2)
    assert f"{runs[1]} was tested on other rows than {runs[0]}: 1 are not there, 0 are new, 1 read otherwise" in err
    rows[0]["id"] = "new"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "1 are not there, 1 are new, 0 read otherwise" in said(capsys, "runs/tiny", code=2)


def test_other_gold_columns_are_refused(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for run, gold in zip(runs, ("lamp", "door"), strict=True):
        path = run / "test/predictions.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[3]["columns"] = {"thing": gold, run.name: "read by one of the runs alone"}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "0 are not there, 0 are new, 1 read otherwise" in said(capsys, "runs/tiny", code=2)


def test_runs_in_folders_of_one_name_are_told_apart(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for folder, run in (("mine/best", runs[0]), ("yours/best", runs[1]), ("others/best", runs[0])):
        shutil.copytree(run, folder)
    out = said(capsys, "mine/best", "yours/best", "others/best", "--output", "numbers.json")
    assert "by perplexity/perplexity: mine/best is best" in out
    shown = {line.split()[0]: line.split()[3] for line in out.splitlines() if "/best  " in line}
    assert shown == {"mine/best": ".", "others/best": "+0", "yours/best": shown["yours/best"]}
    assert "yours/best differs from mine/best:\n  model.optimizer.init_args.lr: 0.01 there, 0.001 here\n" in out
    record = json.loads(Path("numbers.json").read_text())
    gaps = {name: one["perplexity/perplexity"]["difference"] for name, one in record["beside the best"].items()}
    assert gaps.keys() == {"yours/best", "others/best"}
    assert gaps["others/best"] == 0 < gaps["yours/best"]


def test_the_order_of_rows_does_not_matter(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = said(capsys, "runs/tiny")
    path = runs[1] / "test/predictions.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert said(capsys, "runs/tiny") == first


def test_runs_that_decoded_otherwise_are_warned_of(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = runs[1] / "test/metrics.json"
    record = json.loads(path.read_text())
    assert record["generation"] == [4, 0.0, []]
    path.write_text(json.dumps(record | {"generation": [8, 0.0, []]}))
    from tunesmith.cli.main import main

    assert main(["compare", "runs/tiny"]) == 0
    assert "did not decode alike" in capsys.readouterr().err


def test_a_test_of_weights_of_before_is_warned_of(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    path = runs[1] / "test/metrics.json"
    record = json.loads(path.read_text())
    assert record["step"] == json.loads((runs[1] / "result.json").read_text())["kept_step"]
    path.write_text(json.dumps(record | {"step": 1}))
    assert main(["compare", "runs/tiny"]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert f"{runs[1]} was tested at step 1 and trained further since: test it again" in err
    assert f"{runs[0]} was tested at step" not in err


def test_runs_with_other_tokens_are_warned_of(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    assert main(["compare", "runs/tiny"]) == 0
    assert "other tokens" not in capsys.readouterr().err
    path = runs[1] / "test/predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["tuned"]["tokens"] += 1
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["compare", "runs/tiny"]) == 0
    told = f"what perplexity measures cannot be compared: {runs[1].name} has other tokens than {runs[0].name}"
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_recipe_with_other_evaluators_measures_answers_that_are_there(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Path("tiny.yaml").read_text()
    assert "rouge/rougeL" not in said(capsys, *map(str, runs))
    Path("later.yaml").write_text(recipe.replace("evaluators:\n", "evaluators:\n  rouge: ROUGE\n"))
    out = said(capsys, *map(str, runs), "--config", "later.yaml", "--by", "rouge/rougeL")
    assert "34 test rows, by rouge/rougeL: " in out
    Path("later.yaml").write_text(recipe[: recipe.index("evaluators:")])
    assert "later.yaml names no evaluators" in said(capsys, "runs/tiny", "--config", "later.yaml", code=2)


def test_a_checkpoint_that_was_tested_is_named(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    from tunesmith.cli.main import main

    path = runs[1] / "test/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"checkpoint": "best"}))
    assert main(["compare", "runs/tiny"]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert f"{runs[1].name} was tested by its checkpoint best" in err
    assert f"{runs[0].name} was tested by" not in err


def test_what_cannot_be_compared_is_said(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert "1 tested run is there; a comparison takes two or more" in said(capsys, str(runs[0]), code=2)
    assert "there is no" not in said(capsys, "nowhere", code=2)
    assert "nowhere is no run directory and holds none" in said(capsys, "nowhere", code=2)
    err = said(capsys, "runs/tiny", "--by", "perplexity/perplexty", code=2)
    assert "--by perplexity/perplexty is not measured; did you mean perplexity/perplexity?" in err
    shutil.rmtree(runs[1] / "test")
    assert f"{runs[1]} was not tested: lightning-cli test --config {runs[1]}/config.yaml" in said(
        capsys, *map(str, runs), code=2
    )
    assert "1 tested run is there" in said(capsys, "runs/tiny", code=2)
