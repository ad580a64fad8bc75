"""Rows that go on from others: each is an example of its own answer, with the turns before it as context."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Example, Formatter, RowError, TunesmithError
from tunesmith.data.gather import gathered
from tunesmith.data.intake import Intake, read_sources
from tunesmith.data.rows import Row
from tunesmith.data.sources import Source
from tunesmith_plugins.formatters.auto import Auto
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.parent_chain import ParentChain
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion

# A tree, and its rows in no order.
ROWS: list[dict[str, Any]] = [
    {"id": "3", "parent_id": "2", "instruction": "Sure?", "output": "I am.", "system": ""},
    {"id": "1", "parent_id": "", "instruction": "Hot?", "output": "Yes.", "system": "Be brief."},
    {"id": "2", "parent_id": "1", "instruction": "Why?", "output": "It glows.", "system": ""},
    {"id": "4", "parent_id": "1", "instruction": "Cold?", "output": "No.", "system": "Be brief."},
    {"id": "9", "parent_id": "", "instruction": "On?", "output": "Off.", "system": ""},
]


def said(example: Example) -> list[tuple[str, str, float | None]]:
    return [(m.role[0], m.content, m.weight) for m in example.messages or example.chosen]


def intake(folder: Path, rows: list[dict[str, Any]], formatter: Formatter | None = None, **more: Any) -> Intake:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(str(folder / "rows.jsonl"), formatter or ParentChain(), **more)
    return read_sources({"rows": source}, reject_limit=0.9)


def test_a_row_has_the_turns_before_it_wherever_they_stand(tmp_path: Path) -> None:
    examples = {example.extras["id"]: example for example in intake(tmp_path, ROWS).examples}
    first = [("s", "Be brief.", None), ("u", "Hot?", None)]
    assert said(examples["1"]) == [*first, ("a", "Yes.", None)]
    assert said(examples["3"]) == [
        *first,
        ("a", "Yes.", 0.0),
        ("u", "Why?", None),
        ("a", "It glows.", 0.0),
        ("u", "Sure?", None),
        ("a", "I am.", None),
    ]
    assert said(examples["4"]) == [*first, ("a", "Yes.", 0.0), ("u", "Cold?", None), ("a", "No.", None)]
    assert said(examples["9"]) == [("u", "On?", None), ("a", "Off.", None)]
    assert {key: example.extras["root_id"] for key, example in examples.items()} == dict(
        zip("12349", "11119", strict=True)
    )


def test_a_table_with_other_names_is_read_as_its_rows_are(tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "before", "instruction", "output", "system"])
        table.writerows(row.values() for row in ROWS)
    source = Source(str(tmp_path / "rows.csv"), Auto(), {"id": "key", "parent_id": "before"})
    read = read_sources({"rows": source})
    assert [each["formatter"] for each in read.counts["rows"]["read as"]] == ["ParentChain"]
    assert [said(example) for example in read.examples] == [said(e) for e in intake(tmp_path, ROWS).examples]


def test_two_answers_are_a_pair_behind_the_turns_before_them(tmp_path: Path) -> None:
    rows = [{**row, "rejected_response": "Hm."} for row in ROWS]
    example = next(iter(intake(tmp_path, rows).examples))
    assert said(example)[-1] == ("a", "I am.", None)
    assert len(example.chosen) == len(example.rejected) == 7
    assert (example.chosen[:-1], example.rejected[-1].content) == (example.rejected[:-1], "Hm.")
    with pytest.raises(RowError, match="rejected_response: is the same as the better answer"):
        ParentChain().format({**ROWS[1], "rejected_response": "Yes."})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_id": "7"}, "parent_id: is the id of no row of the source, or of several"),
        ({"parent_id": "4"}, "parent_id: leads back to where it began"),
        ({"parent_id": "5"}, "parent_id: leads back to where it began"),
        ({"id": "9"}, "id: is that of another row too"),
        ({"system": "Be long."}, "system: differs from that of a row before it"),
        ({"output": ""}, "parent_id: leads to a row that cannot be read: output is empty"),
        ({"root_id": "1"}, "root_id: is a column of its own, and this formatter makes one of that name; rename it"),
        ({"images": ["a.png"]}, "parent_id: leads to a row that cannot be read: images holds images"),
    ],
)
def test_chains_that_lead_nowhere_cost_their_rows_alone(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    at = 0 if next(iter(changes)) == "system" else 3
    rows[at].update(changes)
    if at == 3:
        rows.append({"id": "5", "parent_id": "4", "instruction": "So?", "output": "So.", "system": ""})
    read = intake(tmp_path, rows)
    counts = read.counts["rows"]
    assert counts["read"] == len(rows) == counts["examples"] + counts["rejected"]
    assert any(told.startswith(reason) for told in counts["reasons"]), counts["reasons"]
    assert {"1", "2"} <= {example.extras["id"] for example in read.examples}
    assert all(entry.row is None for entry in read.rejected.of("rows"))


def test_a_row_alone_is_refused_and_a_question_is_read() -> None:
    with pytest.raises(RowError, match="the row that it goes on from is not known: all rows are read together"):
        ParentChain().format(ROWS[0])
    asked = [{**ROWS[0], "output": None}, *ROWS[1:]]
    gains = list(ParentChain().gather(asked))
    assert not isinstance(gains[0], RowError)
    question = ParentChain().question({**asked[0], **gains[0]})
    assert said(question)[-2:] == [("a", "It glows.", 0.0), ("u", "Sure?", None)]


def test_a_formatter_that_gathers_for_some_rows_only_is_a_fault_of_the_plugin(tmp_path: Path) -> None:
    class Forgets(Instruction):
        def gather(self, rows: Any) -> Any:
            return [{}]

    with pytest.raises(TunesmithError, match="gather answers for 1 of 5 rows"):
        intake(tmp_path, ROWS, Forgets())


def test_rows_are_held_where_a_formatter_gathers_and_nowhere_else() -> None:
    def read(rows: list[dict[str, Any]]) -> tuple[bool, int]:
        settled = Auto().settle(rows, [ParentChain, Instruction, PromptCompletion])
        given = iter([Row("rows.jsonl", line, row) for line, row in enumerate(rows, 1)])
        return gathered(given, Source("rows.jsonl", settled)) is given, len(list(given))

    plain = [{"prompt": "On?", "completion": "Yes."}, {"instruction": "On?", "output": "Yes."}]
    assert read(plain) == (True, 2)
    assert read([*plain, *ROWS]) == (False, 0)


def test_rows_of_a_mixed_source_are_gathered_by_their_own_formatter(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "On?", "completion": "Yes."}, {"other": "x"}]
    read = intake(tmp_path, rows, Auto())
    assert {each["formatter"] for each in read.counts["rows"]["read as"]} == {"ParentChain", "PromptCompletion"}
    assert (read.counts["rows"]["examples"], read.counts["rows"]["rejected"]) == (6, 1)
    assert said(next(iter(read.examples)))[0] == ("s", "Be brief.", None)
