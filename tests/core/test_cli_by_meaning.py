"""Curators that compare meanings, through the command: a model beside the recipe, lists beside it, remarks printed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunesmith_plugins

LETTERS = Path(tunesmith_plugins.__path__[0]) / "curators" / "embedding" / "letters"


def test_a_model_beside_the_recipe_is_used_and_lists_land_there(bench: Any) -> None:
    pytest.importorskip("model2vec", exc_type=ImportError)
    shutil.copytree(LETTERS, bench.folder / "letters")
    rows = [json.loads(line) for line in (bench.folder / "rows.jsonl").read_text().splitlines()]
    # the same letters in another order, which are the same to this model
    again = rows[0] | {"prompt": " ".join(reversed(rows[0]["prompt"].split()))}
    with (bench.folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps(again) + "\n")
    same = {"model": "letters", "threshold": 0.9999, "ranked": "lists/same.jsonl"}
    curators = {
        "same": {"class_path": "SemanticDuplicates", "init_args": same},
        "odd": {
            "class_path": "Outliers",
            "init_args": {"model": "letters", "threshold": 1, "ranked": "lists/odd.jsonl"},
        },
        "even": {"class_path": "Diversity", "init_args": {"model": "letters", "clusters": 3, "ratio": 1.5}},
    }
    bench.write(data={"curators": curators})
    said = bench.done("prepare", "--config", "tiny.yaml").out
    listed = [json.loads(line) for line in (bench.folder / "lists/same.jsonl").read_text().splitlines()]
    assert f"rows.jsonl:{len(rows) + 1}" in {Path(line["origin"]).name for line in listed}
    assert f"same: {len(listed)} drops (semantic duplicate)" in said
    odd = (bench.folder / "lists/odd.jsonl").read_text().splitlines()
    assert f"odd: {len(odd)} of " in said
    assert " rows in 3 clusters: as diverse as " in said


def test_what_a_model_holds_is_locked(bench: Any) -> None:
    shutil.copytree(LETTERS, bench.folder / "letters")
    even = {"class_path": "Diversity", "init_args": {"model": "letters", "clusters": 3}}
    bench.write(data={"curators": {"even": even}})
    bench.done("recipes", "lock", "tiny.yaml")
    assert str(bench.folder) not in (bench.folder / "tiny.lock").read_text()
    (bench.folder / "letters/README.md").write_text("other")
    said = bench.done("recipes", "lock", "--check", "tiny.yaml", code=2)
    assert "file of data.curators.even.init_args.model: " in said.out + said.err


def test_keys_and_what_curators_write_are_not_locked(bench: Any) -> None:
    pytest.importorskip("model2vec", exc_type=ImportError)
    pytest.importorskip("cryptography")
    shutil.copytree(LETTERS, bench.folder / "letters")
    (bench.folder / "key").write_text("a key that somebody could guess")
    hidden = {"key_file": "key", "vault": "vault"}
    listed = {"model": "letters", "ranked": "same.jsonl"}
    curators = {
        "hide": {"class_path": "Anonymise", "init_args": hidden},
        "same": {"class_path": "SemanticDuplicates", "init_args": listed},
    }
    bench.write(data={"curators": curators})
    bench.done("recipes", "lock", "tiny.yaml")
    assert (bench.folder / "vault").exists()
    assert (bench.folder / "same.jsonl").exists()
    lock = (bench.folder / "tiny.lock").read_text()
    names = ("key_file", "vault", "ranked")
    assert [line.split(": ")[1] for line in lock.splitlines() if line.strip().startswith(names)] == ["(a file)"] * 3
    assert "init_args.model: sha256:" in lock
    bench.done("prepare", "--config", "tiny.yaml")
    bench.done("recipes", "lock", "--check", "tiny.yaml")


def test_a_run_with_another_model_is_not_gone_on_with(bench: Any) -> None:
    pytest.importorskip("model2vec", exc_type=ImportError)
    shutil.copytree(LETTERS, bench.folder / "letters")
    even = {"class_path": "Diversity", "init_args": {"model": "letters", "clusters": 3}}
    bench.write(data={"curators": {"even": even}})
    bench.done("fit", "--config", "tiny.yaml")
    (run,) = bench.folder.glob("runs/tiny/*/lock.json")
    locked = json.loads(run.read_text())["folders"]
    assert locked.keys() == {"data.curators.even.model"}
    (bench.folder / "letters/README.md").write_text("other")
    said = bench.done("fit", "--config", "tiny.yaml", "--ckpt_path", "last", code=2)
    assert "folder of data.curators.even.model is not what " in said.out + said.err


def test_a_model_that_is_none_stops_before_rows_are_read(bench: Any) -> None:
    bench.write(data={"curators": {"same": {"class_path": "SemanticDuplicates", "init_args": {"model": "MiniLM"}}}})
    for verb in (("prepare", "--config", "tiny.yaml"), ("recipes", "check", "tiny.yaml")):
        ran = bench.done(*verb, code=2)
        said = ran.out + ran.err
        assert "data.curators.same.model is " in said
        assert "/MiniLM, which is no folder; name a folder with a static model of model2vec" in said
