"""Consistency: outputs of another format go or are reported, by the rule that they break; what is inferred is said."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.consistency import Consistency
from tunesmith_plugins.curators.shapes import has_section, headings, read_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def says(answer: str, **fields: Any) -> Example:
    return Example(messages=(Message("user", "q"), Message("assistant", answer)), **fields)


def curate(*given: Example | str, **options: Any) -> tuple[list[int], dict[str, Any]]:
    examples = [says(one) if isinstance(one, str) else one for one in given]
    named = [example.with_(id=str(at)) for at, example in enumerate(examples)]
    check_curators({"format": Consistency(**options)})
    kept, counts = apply_curator("format", Consistency(**options), named, seed=7)
    return [int(example.id) for example in kept], counts


@given(JSON)
def test_what_is_json_is_kept_and_a_cut_one_is_not(value: Any) -> None:
    text = json.dumps([value])
    assert curate(text, text[:-1], f"Sure: {text}", json=True)[0] == [0]


@pytest.mark.parametrize("text", ["", "NaN", '{"a": Infinity}', "{'a': 1}", '```json\n{"a": 1}\n```', "[" * 100000])
def test_what_is_nearly_json_is_none(text: str) -> None:
    assert read_json(text) == (False, None)
    assert curate(text, json=True)[1]["drops"] == {"not JSON": 1}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object", "required": ["dose"], "properties": {"dose": {"type": "number"}}}')
    return path


def test_outputs_follow_a_schema(schema: Path) -> None:
    kept, counts = curate('{"dose": 2}', '{"dose": "2"}', "{}", "2 mg", schema=schema)
    assert kept == [0]
    assert counts["drops"] == {"not JSON": 1, "not as the schema says": 2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"data\.curators\.format\.schema: .*schema\.json cannot be read"),
        ("{", r"data\.curators\.format\.schema: .*schema\.json is no JSON"),
        ('{"type": "thing"}', r"data\.curators\.format\.schema: .*schema\.json is no JSON Schema: 'thing'"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Path, content: str | None, said: str) -> None:
    schema.unlink()
    if content is not None:
        schema.write_text(content)
    with pytest.raises(RecipeError, match=said):
        curate("{}", schema=schema)


def test_the_package_for_schemas_is_named_where_it_is_absent(schema: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(
        RecipeError,
        match=r"data\.curators\.format\.schema needs the package jsonschema: pip install 'tunesmith\[schema\]'",
    ):
        curate("{}", schema=schema)


@pytest.mark.parametrize(
    "text",
    [
        "# Care Plan\nx",
        "### Care plan:\nx",
        "## **Care Plan**",
        "**Care Plan**\nx",
        "**Care Plan:** x",
        "**Care Plan**: x",
        "__Care plan__: x",
        "Care Plan: x",
        "a\n\n2. Care plan:\nx",
        "- Care plan: x",
        "CARE PLAN\nx",
        "Care  plan\n=========\nx",
        "Care plan\n---\nx",
        "[Care Plan]\nx",
    ],
)
def test_headings_are_read_in_the_notations_that_people_use(text: str) -> None:
    assert "care plan" in headings(text)
    assert has_section(text, "Care Plan")
    assert not has_section(text, "Plan")


def test_a_line_of_its_own_is_a_section_where_it_is_asked_for() -> None:
    assert has_section("x\nCare plan\ny", "Care Plan")
    assert headings("x\nCare plan\ny") == set()


@pytest.mark.parametrize(
    "text", ["The plan: is it good, she asks of the man at the old mill: none", "see https://x", "a plan"]
)
def test_sentences_are_no_headings(text: str) -> None:
    assert not has_section(text, "plan")


def test_sections_that_are_missing_are_named_as_the_recipe_does() -> None:
    kept, counts = curate("Assessment: a\nPlan: b", "Assessment: a", "plan", sections=["Assessment", "Plan"])
    assert kept == [0]
    assert counts["drops"] == {"no section Assessment": 1, "no section Plan": 1}


def test_outputs_match_a_pattern_or_are_one_of_the_labels() -> None:
    assert curate("12 mg", "12 mg now", "x", matches=r"^\d+ mg$")[0] == [0]
    given = [says("warm"), says(" cold\n"), says("hot"), says("", label="warm"), says("x", label=("warm", "hot"))]
    given.append(Example(messages=(Message("user", "q"),), label=2))
    kept, counts = curate(*given, labels=["warm", "cold", "2"])
    assert kept == [0, 1, 3, 5]
    assert counts["drops"] == {"not one of the labels": 2}


def test_only_outputs_are_looked_at() -> None:
    pair = Example(chosen=says("1").messages, rejected=says("no").messages)
    turns = Example(messages=(*says("no").messages, *says("1").messages))
    text = Example(segments=(Segment("q", 0.0), Segment("[1,"), Segment("2]")))
    label = Example(messages=(Message("user", "q"),), label="warm")
    assert curate(pair, turns, text, label, json=True)[0] == [0, 1, 2, 3]


def test_a_report_keeps_all_and_says_how_many_break_what() -> None:
    kept, counts = curate("1", "x", "y: 1", json=True, action="report")
    assert kept == [0, 1, 2]
    assert counts["drops"] == counts["changes"] == {}
    assert counts["remarks"] == ["2 of 3 outputs: not JSON"]


def test_auto_finds_json_with_the_same_keys() -> None:
    texts = ['{"a": 1, "b": 2}'] * 57 + ['{"a": 1}', "none", '{"a": 1, "b": 2, "c": 3}']
    kept, counts = curate(*texts, auto=True)
    assert kept == list(range(57))
    assert counts["drops"] == {"unlike most: not JSON": 1, "unlike most: other JSON keys": 2}
    assert counts["remarks"] == ["at least 95 % of 60 outputs are JSON objects with the keys a, b"]
    _, counts = curate(*texts, auto=True, share=0.96)
    assert counts["remarks"] == ["at least 96 % of 60 outputs are JSON"]
    assert counts["drops"] == {"unlike most: not JSON": 1}


def test_auto_finds_headings() -> None:
    texts = [f"**Plan:** {at}\nNote: x" for at in range(20)] + [f"## Plan\n{at}" for at in range(19)] + ["rest"]
    kept, counts = curate(*texts, auto=True)
    assert kept == list(range(39))
    assert counts["drops"] == {"unlike most: without a section": 1}
    assert counts["remarks"] == ["at least 95 % of 40 outputs have the sections plan"]


def test_auto_looks_at_each_task_and_drops_nothing_where_there_is_no_format() -> None:
    given = [says(f'{{"n": {at}}}', task="facts") for at in range(25)] + [says("free", task="chat")] * 25
    given += [says("x", task="facts"), says("[1]", task="few")]
    kept, counts = curate(*given, auto=True)
    assert kept == [*range(50), 51]
    assert counts["remarks"] == [
        "task facts: at least 95 % of 26 outputs are JSON objects with the keys n",
        "task chat: at least 95 % of 25 outputs share neither JSON nor headings",
        "task few: 1 outputs are too few to find a format (20 are needed)",
    ]


def test_rows_are_independent_where_nothing_is_inferred_or_added_up() -> None:
    assert Consistency(json=True).by_row
    assert not Consistency(auto=True).by_row
    assert not Consistency(json=True, action="report").by_row


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"data\.curators\.format\.json, schema, .* are not set; nothing is asked for: set one"),
        ({"matches": "(a"}, r"data\.curators\.format\.matches is '\(a', which is no regular expression"),
        ({"auto": True, "share": 0.5}, r"data\.curators\.format\.share is 0\.5; a share above 0\.5"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        curate("x", **options)
