"""Curators as a recipe names them: they run, and the opening says what they did."""

from typing import Any

from tunesmith.testing.tiny import make_rows, write_rows


def test_curators_of_a_recipe_run_and_the_opening_says_what_they_did(bench: Any) -> None:
    rows = make_rows(60)
    rows[0]["prompt"] += "<br>see &amp; hear\u200b"
    rows[1]["completion"] = "word " * 30
    rows[2]["completion"] = "CafÃ© is open"
    inner = bench.folder / "inner"
    inner.mkdir()
    (inner / "schema.json").write_text('{"type": "object"}')
    write_rows(inner / "rows.jsonl", rows)
    curators = {
        "clean": {"class_path": "Clean", "init_args": {"patterns": {"report": r"^Report \d+: "}, "blank_lines": 1}},
        "size": {"class_path": "Length", "init_args": {"answer_at_most": 20}},
        "facts": {"class_path": "Consistency", "init_args": {"schema": "schema.json", "action": "report"}},
    }
    bench.write("inner/tiny.yaml", data={"curators": curators})
    ran = bench.done("fit", "--config", "inner/tiny.yaml", "--trainer.max_steps=1")
    said = " ".join(ran.out.split())
    assert "clean: 1 changes (characters), 1 changes (encoding), 60 changes (pattern report), 1 changes (tags)" in said
    assert "size: 1 drops (answer longer than 20 words)" in said
    assert "facts: 59 of 59 outputs: not JSON" in said


def test_an_option_that_a_curator_cannot_use_ends_with_one_message(bench: Any) -> None:
    bench.write(data={"curators": {"clean": {"class_path": "Clean", "init_args": {"tags": "everywhere"}}}})
    ran = bench.done("fit", "--config", "tiny.yaml", code=2)
    assert "data.curators.clean.init_args.tags" in ran.err
    bench.write(data={"curators": {"clean": {"class_path": "Clean", "init_args": {"patterns": {"odd": "(a"}}}}})
    ran = bench.done("fit", "--config", "tiny.yaml", code=2)
    assert "data.curators.clean.patterns.odd is '(a', which is no regular expression" in " ".join(ran.err.split())
