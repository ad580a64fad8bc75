"""`formatter: Auto` through the command: it says what it found, and `predict` reads questions alone as it trained."""

import json
from typing import Any

import pytest

from tunesmith.testing.tiny import make_rows, write_rows

AUTO = {"data": {"sources": {"notes": {"formatter": "Auto"}}}}
CONFIG = ("--config", "tiny.yaml")


def test_auto_says_which_and_why_and_predict_reads_questions_as_it_did(bench: Any) -> None:
    pairs = make_rows(60)
    chats = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]}
        for row in pairs[40:]
    ]
    write_rows(bench.folder / "rows.jsonl", [*pairs[:40], *chats])
    bench.write(**AUTO)
    said = bench.done("fit", *CONFIG).out
    assert "notes: read as PromptCompletion (columns prompt and completion)\n" in said
    assert "notes: read as Messages (column messages, turns of role and content)\n" in said
    (run,) = bench.runs()
    counted = json.loads((run / "data.json").read_text())["sources"]["notes"]
    assert (counted["read"], counted["examples"]) == (60, 60)
    assert [read["formatter"] for read in counted["read as"]] == ["PromptCompletion", "Messages"]
    # questions alone, which would be read as something else, and rows of now that differ from those of then
    asked = [{"prompt": "Report 5: the door is on."}, {"messages": [{"role": "user", "content": "And?"}]}]
    write_rows(bench.folder / "asked.jsonl", asked)
    (bench.folder / "rows.jsonl").write_text('{"text": "a"}\n')
    words = ("predict", *CONFIG, "--input", "asked.jsonl", "--output", "answers.jsonl")
    out = bench.done(*words, "--tasks", "label-studio").out
    answers = [json.loads(line) for line in (bench.folder / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 2
    # and what was answered becomes tasks for annotators
    assert "answers.label-studio.json (2 tasks)" in " ".join(out.split())
    made = json.loads((bench.folder / "answers.label-studio.json").read_text())
    assert [task["data"]["text"] for task in made] == ["Report 5: the door is on.", "And?"]
    for task, answer in zip(made, answers, strict=True):
        said = {p["model_version"]: p["result"][0]["value"]["text"] for p in task["predictions"]}
        assert said == {name: [answer[name]["output"]] for name in ("tuned", "base")}
    assert "<TextArea" in (bench.folder / "answers.label-studio.xml").read_text()
    assert bench.run(*words, "--tasks", "prodgy").err == (
        "--tasks prodgy: prodgy is none of label-studio, prodigy; did you mean prodigy?\n"
    )


def test_curated_rows_become_tasks(bench: Any) -> None:
    bench.write()
    bench.done("prepare", *CONFIG, "--tasks", "prodigy")
    folder = bench.folder / "runs/tiny/data"
    for split in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        made = [json.loads(line) for line in (folder / f"{split}.prodigy.jsonl").read_text().splitlines()]
        assert [task["meta"]["id"] for task in made] == [row["id"] for row in rows]
        assert [task["user_input"] for task in made] == [row["messages"][-1]["content"] for row in rows]


def test_auto_refuses_what_is_ambiguous_before_a_base_is_loaded(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tunesmith.training.specialist.Specialist.load", lambda self: pytest.fail("loaded"))
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    write_rows(bench.folder / "rows.jsonl", [{**row, "messages": chat} for row in make_rows(20)])
    bench.write(**AUTO)
    ran = bench.run("fit", *CONFIG)
    assert ran.code == 2
    first, *rest = ran.err.splitlines()
    assert first.startswith("data.sources.notes.formatter: Auto looked at 20 rows: the columns fit 2 formatters; ")
    assert rest == [
        "  PromptCompletion: columns prompt and completion",
        "  Messages: column messages, turns of role and content",
        "columns: prompt (text), completion (text), messages (lists or maps)",
    ]
    assert bench.run("recipes", "check", "tiny.yaml").code == 2
    write_rows(bench.folder / "rows.jsonl", [{"anchor": "a", "positive": "b"}])
    assert "anchor and positive are an embedding pair" in bench.run("recipes", "check", "tiny.yaml").out


NONE = "data.sources.notes.path: of the first {} rows none can be read\n  rows.jsonl:1: "


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "data.sources.notes.path: no rows in rows.jsonl\n"),
        ("\n \n", "data.sources.notes.path: no rows in rows.jsonl\n"),
        (
            '[\n{"prompt": "a"\n}\n]\n',
            f"{NONE.format(4)}the line is not JSON: Expecting value; a file that is one document",
        ),
        ('{"prompt": NaN}\n', f"{NONE.format(1)}prompt: is not a finite number"),
    ],
)
def test_where_no_row_can_be_read_the_reason_of_the_first_is_said(bench: Any, content: str, says: str) -> None:
    (bench.folder / "rows.jsonl").write_text(content)
    bench.write(**AUTO)
    for verb in ("prepare", "preview"):
        assert bench.done(verb, *CONFIG, code=2).err.replace(f"{bench.folder}/", "").startswith(says)
    (bench.folder / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    bench.write(data={"sources": {"notes": {"formatter": "Auto", "map": {"prompt": "question"}}}})
    said = bench.done("prepare", *CONFIG, code=2).err.replace(f"{bench.folder}/", "")
    assert said.startswith(f"{NONE.format(1)}question: map names it, but it is not a column")
