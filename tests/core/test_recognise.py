"""Auto: the first rows say what reads a source, in every process alike; what is ambiguous is refused with columns."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import Columns, DataError, Example, Formatter, Message, RecipeError, Recognised, RowError, recognise
from tunesmith.data.intake import read_sources
from tunesmith.data.read_as import ReadAs, formatters_of
from tunesmith.data.sources import Source
from tunesmith.plugins.catalog import Catalog
from tunesmith_plugins.formatters.auto import Auto

ALL = formatters_of(Catalog.load(allow=()))
ASK, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
PAIR, CHAT, ALPACA = (
    {"prompt": "a", "completion": "b"},
    {"messages": [ASK, ANSWER]},
    {"instruction": "a", "output": "b"},
)


def chosen(*rows: dict[str, Any]) -> list[str]:
    found = recognise(rows, ALL)
    assert isinstance(found, ReadAs)
    return [choice.name for choice in found.choices]


def refused(*rows: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        Auto().settle(rows, ALL)
    return str(caught.value)


def test_mixed_sets_are_read_row_by_row() -> None:
    rows = [CHAT, PAIR, CHAT, {**PAIR, "more": 1}, CHAT]
    assert chosen(*rows) == ["Messages", "PromptCompletion"]
    found = recognise(rows, ALL)
    assert [len(found.format(row).messages) for row in rows] == [2] * 5
    assert found.format({**PAIR, "more": 1}).extras == {"more": 1}
    for row, which in (({"prompt": "a"}, "none"), ({"text": "a"}, "none"), ({**PAIR, **CHAT}, "")):
        if which:
            with pytest.raises(RowError, match=f"has those of {which} of Messages, PromptCompletion"):
                found.format(row)
        else:  # it has more columns of the pair
            assert found.format(row).extras.keys() == {"messages"}
    # null is no value: as tables of mixed sets are written
    holes = [{**dict.fromkeys(CHAT), **PAIR}, {**dict.fromkeys(PAIR), **CHAT}]
    assert sorted(chosen(*holes)) == ["Messages", "PromptCompletion"]
    assert recognise(holes, ALL).format(holes[0]).messages[0].content == "a"


def test_questions_alone_are_read_as_the_rows_were() -> None:
    found = recognise([CHAT, CHAT, ALPACA], ALL)
    assert [m.content for m in found.question({"instruction": "c"}).messages] == ["c"]
    assert [m.content for m in found.question({"messages": [ASK]}).messages] == ["a"]
    with pytest.raises(RowError, match="has those of none of Messages, Instruction"):
        found.question({"text": "a"})


def test_incomplete_rows_are_no_schema_of_their_own() -> None:
    rows = [*[PAIR] * 3, {"prompt": "a"}, {**PAIR, "label": True}]
    assert chosen(*rows) == ["PromptCompletion"]
    with pytest.raises(RowError, match="completion: is not a column"):
        recognise(rows, ALL).format({"prompt": "a"})
    assert chosen({"prompt": "a"}, {"prompt": "b"}, PAIR) == ["PromptOnly"]
    assert chosen(*[{"text": "a"}] * 3, {"text": "a", "label": "b"}) == ["RawText"]


def test_what_is_ambiguous_is_refused_with_candidates_and_columns() -> None:
    said = refused(CHAT, {**PAIR, **CHAT, "n": 1})
    assert said.startswith("the columns fit 2 formatters; name the one that is meant (formatter: ...):")
    assert "  PromptCompletion: columns prompt and completion\n" in said
    assert "  Messages: column messages, turns of role and content\n" in said
    assert said.endswith("columns: prompt (text), completion (text), messages (lists or maps), n (numbers)")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"a": "x", "b": "y"}, "no formatter recognises the columns: a (text), b (text)\nname a formatter"),
        ({"anchor": "x", "positive": "y"}, "anchor and positive are an embedding pair"),
        ({"input_ids": [1], "labels": [1]}, "input_ids holds token ids"),
        ({}, "no formatter recognises the columns: none"),
    ],
)
def test_what_nobody_recognises_is_refused(row: dict[str, Any], says: str) -> None:
    assert refused(row).startswith(says)


class Haiku(Formatter):
    """Reads haiku; a package's own schema."""

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        if columns.can_be_said("haiku", "season"):
            yield Recognised(("haiku", "season"), why="a haiku has its season")

    def format(self, row: Any) -> Example:
        return Example(messages=(Message("user", row["season"]), Message("assistant", row["haiku"])))


def test_formatters_of_packages_take_part() -> None:
    row = {"haiku": "old pond", "season": "spring"}
    found = recognise([row], [*ALL, Haiku])
    assert isinstance(found, ReadAs)
    (told,) = found.describe()
    assert told == {
        "formatter": "Haiku",
        "options": {},
        "columns": ["haiku", "season"],
        "why": "a haiku has its season",
    }
    again = ReadAs.of(json.loads(json.dumps(found.describe())), [*ALL, Haiku])
    assert again.format(row) == found.format(row)
    with pytest.raises(RecipeError, match="by the formatter Haiku, which is not installed any more"):
        ReadAs.of(found.describe(), ALL)


def test_sources_say_what_they_were_read_as(tmp_path: Path) -> None:
    lines = [{"q": "a", "completion": "b"}] * 3 + [{"q": "a"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (tmp_path / "b.jsonl").write_text(json.dumps(CHAT) + "\n")
    source = Source([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")], Auto())
    with pytest.raises(DataError, match="4 of 5 rows"):
        read_sources({"rows": source})  # q is no name that tells
    (tmp_path / "b.jsonl").write_text("")
    source.map = {"prompt": "q"}
    counts = read_sources({"rows": source}, reject_limit=0.5, formatters=ALL).counts["rows"]
    assert (counts["read"], counts["rejected"], counts["reasons"]) == (4, 1, {"completion: is not a column": 1})
    assert [read["formatter"] for read in counts["read as"]] == ["PromptCompletion"]
    assert isinstance(source.formatter, Auto), "the source itself stays as the recipe says"


NAMES = st.sampled_from(
    """prompt completion messages text label output instruction question answer chosen rejected query""".split()  # noqa: SIM905
)
VALUES = st.sampled_from(["a", "", None, 3, True, [ASK, ANSWER], [ASK], ["a"], {"a": 1}])
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=6)


@settings(max_examples=60)
@given(rows=ROWS)
def test_any_rows_are_recognised_or_refused_and_always_alike(rows: list[dict[str, Any]]) -> None:
    def outcome(given: list[dict[str, Any]]) -> Any:
        try:
            found = recognise(given, ALL)
        except DataError as error:
            return str(error)
        assert isinstance(found, ReadAs)
        for row in given:
            for read in (found.format, found.question):
                try:
                    read(row)
                except RowError as error:
                    assert error.field  # noqa: PT017
        return found.describe()

    said = outcome(rows)
    assert outcome(rows) == said
    assert outcome([dict(row) for row in rows]) == said
