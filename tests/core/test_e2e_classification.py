"""Texts with classes through the command: by a head, and by generation; several labels; and what is refused."""

import json
from typing import Any

import pytest

from tunesmith.testing.tiny import write_rows

CONFIG = ("--config", "tiny.yaml")
STATES = {"is hot": "warm", "is cold": "cold", "is loud": "other"}
THINGS = ("lamp", "door", "pump", "fan", "gate", "belt", "valve", "bell")


def rows(count: int) -> list[dict[str, Any]]:
    """Half of them are warm."""
    states = ["is hot", "is cold", "is hot", "is loud"]
    made = [(number, THINGS[number % 8], states[number % 4]) for number in range(count)]
    return [{"text": f"Report {n}: the {thing} {state}.", "label": STATES[state]} for n, thing, state in made]


def recipe(bench: Any, objective: Any = None, **changes: Any) -> None:
    options = {"labels": ["cold", "warm", "other"], "class_weights": "balanced"}
    bench.write(
        model={
            "objective": objective or {"class_path": "Classification", "init_args": options},
            "schedule": {"name": "constant"},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.02}},
        },
        data={
            "sources": {"notes": {"formatter": "TextLabel"}},
            "split": {"train": 0.5, "validation": 0.1, "test": 0.4, "near_duplicates": None},
        },
        **{
            "evaluators": {
                "perplexity": None,
                "exact": None,
                "of": {
                    "class_path": "Classification",
                    "init_args": {"labels": ["cold", "warm", "other"], "calibration": True},
                },
            },
            **changes,
        },
    )


def test_a_head_trains_resumes_is_judged_beside_the_most_frequent_class_and_predicts(bench: Any) -> None:
    write_rows(bench.folder / "rows.jsonl", rows(120))
    recipe(
        bench,
        trainer={"val_check_interval": 4},
        success={"of/f1": {"at_least": 0.6}, "of/accuracy": {"improves_by": 0.1}},
    )
    run = bench.fit_whole_and_in_two_parts()
    validated = [row for row in bench.curve(run) if row["val/loss"]]
    assert float(validated[0]["val/loss"]) > float(validated[-1]["val/loss"])
    bench.done("fit", *CONFIG, "--trainer.max_steps", "45")
    run = bench.runs()[-1]
    validated = [row for row in bench.curve(run) if row["val/loss"]]
    assert float(validated[-1]["val/accuracy"]) > 0.9
    config = json.loads((run / "adapter/config.json").read_text())
    assert config["id2label"] == {"0": "cold", "1": "warm", "2": "other"}
    ran = bench.done("test", *CONFIG, "--run", str(run))
    assert "the most frequent class of the training rows (warm)" in " ".join(ran.out.split())
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    assert found["of/f1"]["tuned"] > 0.6
    assert found["of/unread"]["tuned"] == found["of/unread"]["base"] == 0
    train = json.loads((run / "data.json").read_text())
    assert train["encoded"]["train"]["rows"] > 40
    said = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
    share = sum(one["reference"] == "warm" for one in said) / len(said)
    assert found["of/accuracy"]["base"] == pytest.approx(share)
    assert {one["base"]["output"] for one in said} == {"warm"}
    for one in said:
        shares = one["tuned"]["probabilities"]
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert max(shares, key=shares.get) == one["tuned"]["output"]
    known = bench.done("test", *CONFIG, "--run", str(run))
    assert "were known from before" in known.out
    again = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
    assert again == said
    ran = bench.done("predict", *CONFIG, "--run", str(run), "--prompt", "Report 7: the pump is cold.")
    line = next(line for line in ran.out.splitlines() if line.strip().startswith("tuned"))
    assert line.split()[1] == "cold"
    assert 0.3 < float(line.split()[2].strip("()")) <= 1
    assert "base  " not in ran.out
    write_rows(bench.folder / "asked.jsonl", [{"text": "Report 9: the fan is hot."}])
    bench.done("predict", *CONFIG, "--run", str(run), "--input", "asked.jsonl", "--output", "answers.jsonl")
    (answer,) = [json.loads(line) for line in (bench.folder / "answers.jsonl").read_text().splitlines()]
    assert answer["tuned"]["output"] == "warm"
    assert set(answer["tuned"]["probabilities"]) == {"cold", "warm", "other"}


def test_rows_of_unknown_classes_are_counted_and_what_needs_tokens_is_refused_by_name(bench: Any) -> None:
    made = [*rows(40), {"text": "Report 99: the lamp is on fire.", "label": "hot"}]
    write_rows(bench.folder / "rows.jsonl", made)
    recipe(bench, evaluators={"exact": None, "perplexity": None, "surprise": "Perplexity"})
    for verb, place in ((("fit", *CONFIG), "err"), (("recipes", "check", "tiny.yaml"), "out")):
        ran = bench.done(*verb, code=2)
        told = (
            "tiny.yaml: evaluators.surprise: Perplexity reads the probabilities of texts (logprob), and Classification"
        )
        assert told in " ".join(getattr(ran, place).split())
    recipe(bench)
    anchor = ("--model.regularizers.anchor", "KLToBase", "--model.regularizers.anchor.weight", "0.1")
    err = bench.done("fit", *CONFIG, *anchor, code=2).err
    assert "model.regularizers.anchor: KLToBase is for causal and masked models, and Classification" in err
    recipe(bench, evaluators={"perplexity": None}, baselines={"few": {"shots": 2}})
    err = bench.done("fit", *CONFIG, code=2).err
    assert "baselines.few asks the base, whose head for classes is random; give run, checkpoint or endpoint" in err
    recipe(bench, evaluators={"perplexity": None})
    bench.done("fit", *CONFIG)
    encoded = json.loads((bench.runs()[-1] / "data.json").read_text())["encoded"]
    reasons = {reason for split in encoded.values() for reason in split["dropped"]}
    assert reasons <= {"label: 'hot' is none of model.objective.init_args.labels"}


def test_several_labels_are_measured_each_by_itself(bench: Any) -> None:
    made = [
        {
            "text": f"Report {n}: the {THINGS[n % 8]} {'is hot' if n % 2 else 'is off'}{' and loud' if n % 3 else ''}.",
            "label": [*(["hot"] if n % 2 else []), *(["loud"] if n % 3 else [])],
        }
        for n in range(60)
    ]
    write_rows(bench.folder / "rows.jsonl", made)
    recipe(
        bench,
        {"class_path": "Classification", "init_args": {"labels": ["hot", "loud"], "multi_label": True}},
        evaluators={"perplexity": None, "of": {"class_path": "MultiLabel", "init_args": {"labels": ["hot", "loud"]}}},
        trainer={"max_steps": 30},
    )
    bench.done("fit", *CONFIG)
    run = bench.runs()[-1]
    bench.done("test", *CONFIG)
    said = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
    assert {one["reference"] for one in said} == {"", "hot", "loud", "hot, loud"}
    found = json.loads((run / "test/metrics.json").read_text())["metrics"]
    for name in ("exact/exact_match", "of/exact"):
        assert found[name]["tuned"] > found[name]["base"] + 0.1
    assert found["of/f1/hot"]["tuned"] > 0.6


def test_classes_can_be_generated_instead(bench: Any) -> None:
    made = [{"prompt": row["text"], "completion": row["label"]} for row in rows(60)]
    write_rows(bench.folder / "rows.jsonl", made)
    bench.write(
        data={"split": {"train": 0.5, "validation": 0.1, "test": 0.4, "near_duplicates": None}},
        evaluators={
            "exact": None,
            "of": {
                "class_path": "Classification",
                "init_args": {"labels": ["cold", "warm", "other"], "calibration": True},
            },
        },
        trainer={"max_steps": 30},
    )
    bench.done("fit", *CONFIG)
    bench.done("test", *CONFIG)
    found = json.loads((bench.runs()[-1] / "test/metrics.json").read_text())["metrics"]
    assert found["of/accuracy"]["tuned"] > 0.4 > found["of/accuracy"]["base"]
    assert found["of/calibration_error"]["tuned"] >= 0
