"""Synthesise through the command: asked for by an override, decided in a file, used by the next run."""

import json
from typing import Any

NEW = [{"prompt": "Which valve leaks after the last shift?", "completion": "The red one."}]


def test_rows_are_proposed_approved_and_used(bench: Any, chat_server: Any) -> None:
    options = {"class_path": "Synthesise", "init_args": {"review": "queue.jsonl"}}
    bench.write(data={"curators": {"more": options}})
    chat_server.say = lambda question: NEW
    here = f"--data.curators.more.endpoint={chat_server.address}"
    asked = bench.done("prepare", "--config", "tiny.yaml", here, "--data.curators.more.propose=1")
    assert "synthetic" not in asked.out
    queue = bench.folder / "queue.jsonl"
    proposal = json.loads(queue.read_text())
    assert proposal["prompt"] == NEW[0]["prompt"]
    queue.write_text(json.dumps(proposal | {"status": "approved"}) + "\n")
    assert "more: 1 additions (synthetic, approved)" in bench.done("prepare", "--config", "tiny.yaml").out
    rows = [json.loads(line) for line in (bench.folder / "runs/tiny/data/train.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows if row["messages"][-1]["content"] == "The red one."] == [proposal["id"]]
    away = bench.done(
        "prepare",
        "--config",
        "tiny.yaml",
        "--data.curators.more.propose=1",
        "--data.curators.more.endpoint=https://api.example.com/v1",
        code=2,
    )
    assert "data.curators.more.endpoint: rows would be sent to api.example.com" in away.err
