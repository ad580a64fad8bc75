"""Rows that go on from others, through the command: split by their first row, checked, and answered."""

import json
from typing import Any

from tunesmith.testing.tiny import write_rows

CONFIG = ("--config", "tiny.yaml")


def test_conversations_stay_on_one_side_and_predict_knows_what_was_said_before(bench: Any) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(30):
        rows.append({"id": f"{number}b", "parent_id": f"{number}a", "instruction": f"And {number}?", "output": "Off."})
        rows.append({"id": f"{number}a", "parent_id": "", "instruction": f"Report {number}?", "output": "It is on."})
    write_rows(bench.folder / "rows.jsonl", rows)
    bench.recipe["data"]["sources"]["notes"]["formatter"] = "Auto"
    bench.write(data={"split": {"keep_together": "root_id", "near_duplicates": None}})
    bench.done("recipes", "check", "tiny.yaml")
    out = bench.done("fit", *CONFIG).out
    assert "notes: read as ParentChain (columns id, parent_id, instruction, output)" in out
    bench.done("prepare", *CONFIG)
    sides: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for line in (bench.folder / f"runs/tiny/data/{split}.jsonl").read_text().splitlines():
            row = json.loads(line)
            sides.setdefault(row["extras"]["root_id"], set()).add(split)
            assert len(row["messages"]) == (4 if row["extras"]["id"].endswith("b") else 2)
    assert len(sides) == 30
    assert all(len(found) == 1 for found in sides.values())
    write_rows(bench.folder / "asked.jsonl", [rows[1], {**rows[0], "output": ""}])
    bench.done("predict", *CONFIG, "--input", "asked.jsonl", "--output", "answers.jsonl")
    answers = [json.loads(line) for line in (bench.folder / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 2
    assert [turn["content"] for turn in answers[1]["prompt"]] == ["Report 0?", "It is on.", "And 0?"]
