"""Evaluators with rows of their own, of others' metrics, of time, and of probabilities, through the command."""

import json
import math
import shutil
from typing import Any

import pytest
import yaml

from tunesmith.testing.tiny import merged
from tunesmith_plugins.evaluators import canaries

CONFIG = ("--config", "own.yaml")


def test_general_rows_are_asked_besides_and_paired_by_themselves(trained: Any) -> None:
    rows = [{"prompt": f"Say {n}.", "completion": str(n)} for n in range(23)]
    (trained.folder / "general.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluators = {
        "kept": {"class_path": "Forgetting", "init_args": {"file": "general.jsonl"}},
        "time": "Latency",
        "cost": {"class_path": "Cost", "init_args": {"per_hour": 3.6}},
        "all": {"class_path": "Composite", "init_args": {"weights": {"exact/exact_match": 1.0, "words/f1": 1.0}}},
        "words": "TokenF1",
    }
    success = {
        "kept/perplexity": {"at_most": 2.0, "of": "base"},
        "kept/accuracy": {"not_worse_than": "base"},
        "all/score": {"at_least": 0.0},
        "time/first_token": {"at_most": 60},
    }
    trained.write("own.yaml", evaluators=evaluators, success=success)
    run = trained.runs()[0]
    words = (*CONFIG, "--run", str(run))
    ran = trained.done("test", *words, "--comparison.slices=[source]", "--baselines.one.shots=1")
    assert "success: all 4 met" in ran.out
    record = json.loads((run / "test/metrics.json").read_text())
    assert record["metrics"]["kept/perplexity"]["n"] == 23
    assert record["metrics"]["exact/exact_match"]["n"] == 34
    assert record["metrics"]["time/first_token"]["n"] == 20
    assert record["metrics"]["time/tokens_per_second"]["tuned"] > 0
    result = json.loads((run / "result.json").read_text())
    assert record["metrics"]["cost/training_seconds"]["tuned"] == result["processor_seconds"]
    assert record["metrics"]["cost/training_seconds"]["base"] == 0
    score, parts = record["metrics"]["all/score"], record["metrics"]
    assert score["tuned"] == (parts["exact/exact_match"]["tuned"] + parts["words/f1"]["tuned"]) / 2
    assert record["baselines"]["one"]["kept/perplexity"]["n"] == 23
    (part,) = record["slices"]
    assert "kept/perplexity" not in part["metrics"]
    assert "all/score" in part["metrics"]
    said = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
    assert "kept/accuracy" not in said[0]["tuned"]["measures"]
    assert said[0]["tuned"]["prompt_tokens"] > 5
    assert said[0]["tuned"]["timing"]["seconds"] >= said[0]["tuned"]["timing"]["first"] > 0
    own = [json.loads(line) for line in (run / "test/predictions-kept.jsonl").read_text().splitlines()]
    assert [row["reference"] for row in own] == [str(n) for n in range(23)]
    assert own[0]["tuned"]["measures"].keys() == {"kept/perplexity", "kept/accuracy"}
    assert own[0].keys() >= {"base", "tuned", "one"}
    refused = trained.done("test", *words, "--success.kept/accuracy@source.at_least=0", code=2)
    assert "kept brings rows of its own, which are in none" in refused.err
    lost = trained.done("test", *words, "--evaluators.all.init_args.weights={words/f2: 1.0}", code=2)
    assert "weights names words/f2, which is not measured here; did you mean words/f1?" in lost.err


def test_probabilities_of_classes_are_asked_for_written_and_known_the_next_time(trained: Any) -> None:
    labels = ["lamp is on", "lamp is off", "door is hot", "fan is loud"]
    options = {"labels": labels, "calibration": True}
    trained.write("own.yaml", evaluators={"kind": {"class_path": "Classification", "init_args": options}})
    run = trained.runs()[0]
    # no answers or scores of other tests of this run
    shutil.rmtree(run.parent / "answers", ignore_errors=True)
    trained.done("test", *CONFIG, "--run", str(run))
    said = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
    for row in said:
        for model in ("base", "tuned"):
            assert list(row[model]["probabilities"]) == labels
            assert math.fsum(row[model]["probabilities"].values()) == pytest.approx(1)
    assert said[0]["base"]["probabilities"] != said[0]["tuned"]["probabilities"]
    metrics = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert 0 <= metrics["kind/brier"]["tuned"] <= 2
    assert metrics["kind/calibration_error"]["n"] == metrics["kind/accuracy"]["n"] > 0
    again = trained.done("test", *CONFIG, "--run", str(run))
    # perplexity's scores, answers, and one score a class, of two models
    known = 2 * len(said) * (1 + 1 + len(labels))
    assert f"{known} answers and scores of these weights were known" in " ".join(again.out.split())


def planted(bench: Any, *words: str) -> dict[str, Any]:
    """Files of canaries in the bench's folder, and what the command says for the recipe."""
    assert canaries.main(["20", "--alternatives", "44", "--seed", "2", *words]) == 0
    said: dict[str, Any] = yaml.safe_load(bench.read().out)
    return said


def test_canaries_that_were_not_planted_are_not_recited(trained: Any) -> None:
    said = planted(trained)
    del said["data"]
    trained.write("own.yaml", **said)
    run = trained.runs()[0]
    ran = trained.done("test", *CONFIG, "--run", str(run))
    assert "success: all 1 met" in ran.out
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    for name in ("recited", "guessed", "exposure"):
        assert found[f"heart/{name}"]["n"] == 20
    assert (found["heart/recited"]["tuned"], found["heart/guessed"]["tuned"]) == (0, 0)
    # by chance 1.4 bits, with a standard error of 0.3
    assert found["heart/exposure"]["tuned"] < 2.5
    rows = [json.loads(line) for line in (run / "test/predictions-heart.jsonl").read_text().splitlines()]
    assert [row["id"].split()[0] for row in rows] == ["planted"] * 20 + ["unseen"] * 20 + ["scored"] * 24
    assert all(row["tuned"]["output"] == "" and row["tuned"]["logprob"] < 0 for row in rows[40:])


def test_what_can_be_drawn_out_of_training_rows_stands_beside_rows_that_were_held_out(trained: Any) -> None:
    trained.done("prepare", "--config", "tiny.yaml")
    folder, run = trained.folder / "runs/tiny/data", trained.runs()[0]
    train, held = (len((folder / f"{split}.jsonl").read_text().splitlines()) for split in ("train", "test"))
    files = {"file": "runs/tiny/data/train.jsonl", "alternatives": "runs/tiny/data/test.jsonl", "rows": 60}
    trained.write("own.yaml", evaluators={"heart": {"class_path": "Memorisation", "init_args": files}})
    trained.done("test", *CONFIG, "--run", str(run))
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert (train > 60, held) == (True, 34)
    assert [found[f"heart/{name}"]["n"] for name in ("recited", "guessed", "exposure")] == [60, 34, 60]
    rows = [json.loads(line) for line in (run / "test/predictions-heart.jsonl").read_text().splitlines()]
    for name, which in (("recited", "planted"), ("guessed", "unseen")):
        # these rows' answers are words without marks
        said = [f" {row['reference']} " in f" {row['tuned']['output']} " for row in rows if row["id"].startswith(which)]
        assert found[f"heart/{name}"]["tuned"] == pytest.approx(sum(said) / len(said))
    assert found["heart/exposure"]["tuned"] < 2.5


@pytest.mark.slow
@pytest.mark.parametrize(("text", "epochs"), [(False, 50), (True, 25)])
def test_canaries_that_a_model_learnt_by_heart_fail_the_test(bench: Any, text: bool, epochs: int) -> None:
    said = planted(bench, "--copies", "4", *(["--text"] if text else []))
    model = {"adapter": "Full", "optimizer": {"init_args": {"lr": 0.005}}}
    # validated at the end alone, so that no earlier step is kept
    trainer = {"max_steps": 6 * epochs, "check_val_every_n_epoch": epochs}
    changes = {"model": model, "data": {"batch_size": 20}, "trainer": trainer, "generation": {"max_new_tokens": 16}}
    bench.write("own.yaml", **merged(changes, said))
    bench.done("fit", *CONFIG)
    ran = bench.done("test", *CONFIG, code=3)
    (run,) = bench.runs("own")
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert found["heart/recited"]["tuned"] >= 0.9
    assert (found["heart/recited"]["base"], found["heart/guessed"]["tuned"]) == (0, 0)
    # 45 candidates: the most that can be seen
    assert found["heart/exposure"]["tuned"] == pytest.approx(math.log2(45), abs=0.1)
    assert found["heart/exposure"]["base"] < 2.5
    assert "heart/recited" in ran.out
    rows = [json.loads(line) for line in (run / "test/predictions-heart.jsonl").read_text().splitlines()]
    assert rows[0]["prompt"][0]["content"].startswith("The access" if text else "What is the access code")
    assert rows[0]["reference"].split() == rows[0]["tuned"]["output"].split()
