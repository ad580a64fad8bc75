"""Format: each rule by itself, all of them together, and what is said of those that are broken."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.format import Format

SCHEMA = {"type": "object", "required": ["dose"], "properties": {"dose": {"type": "number"}}}


def sample(output: str) -> Sample:
    return Sample("r", (), "", output)


def measured(rules: Format, *outputs: str) -> dict[str, list[float]]:
    return {m.name: list(m.values) for m in rules.measure([sample(output) for output in outputs])}


def schema(folder: Path, content: object) -> Path:
    path = folder / "schema.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("options", "rule", "kept", "broken"),
    [
        ({"json": True}, "json", ['{"a": 1}', " [1]\n", "3"], ['```json\n{"a": 1}\n```', "a", "", "NaN", "[" * 5000]),
        ({"min_words": 2}, "length", ["a b", "a-b c d"], ["a", "", " \n"]),
        ({"max_words": 2}, "length", ["a b", "", "a-b/c"], ["a b c"]),
        ({"min_words": 2, "max_words": 2}, "length", ["a b"], ["a", "a b c"]),
        (
            {"disclaimers": ["This isn't advice.", "No warranty"]},
            "disclaimers",
            ["Buy. THIS  isn\u2019t\nadvice.  No warranty!", "no\u00a0warranty: this isn't advice."],
            ["Buy. This isn't advice.", "No warranty", "this isn't advices. no warranty", ""],
        ),
        (
            {"forbidden": ["cure", "side-effect free"]},
            "forbidden",
            ["It helps.", "obscure", "procured", ""],
            ["A CURE.", "it is Side\u2013effect  free"],
        ),
        (
            {"forbidden_patterns": [r"\bguarante\w+", r"(?i)100 ?%"]},
            "forbidden",
            ["Guaranteed", "10 %"],
            ["we guarantee", "it is 100% safe"],
        ),
        ({"forbidden": ["cure"], "forbidden_patterns": ["^So"]}, "forbidden", ["It"], ["cure", "So it is"]),
        (
            {"sections": ["Plan", "Allergies"]},
            "sections",
            ["# Plan\nrest\n**Allergies:** none", "PLAN\nx\nAllergies: none"],
            ["Plan: rest", "the plan and allergies", ""],
        ),
    ],
)
def test_a_rule_is_kept_or_broken(options: dict[str, Any], rule: str, kept: list[str], broken: list[str]) -> None:
    found = measured(Format(**options), *kept, *broken)
    assert found == {"all": [1] * len(kept) + [0] * len(broken), rule: [1] * len(kept) + [0] * len(broken)}


def test_a_schema_is_kept_or_broken(tmp_path: Path) -> None:
    rules = Format(schema=schema(tmp_path, SCHEMA))
    found = measured(rules, '{"dose": 5}', '{"dose": "5"}', "{}", "dose: 5", "")
    assert found == {"all": [1, 0, 0, 0, 0], "schema": [1, 0, 0, 0, 0]}


def test_all_rules_are_kept_together_or_not() -> None:
    rules = Format(min_words=2, forbidden=["cure"], sections=["Plan"])
    found = measured(rules, "Plan: rest", "Plan: cure", "rest", "cure")
    assert found == {
        "all": [1, 0, 0, 0], "length": [1, 1, 0, 0], "forbidden": [1, 0, 1, 0], "sections": [1, 1, 0, 0],
    }  # fmt: skip
    assert [m.name for m in rules.produces()] == list(found)
    assert all(m.higher_is_better for m in rules.produces())


def test_a_note_says_what_is_at_fault_most_often() -> None:
    outputs = [sample("Plan: cure"), sample("a cure"), sample("a cure and a miracle")]
    notes = {m.name: m.note for m in Format(forbidden=["miracle", "cure"], sections=["Plan"]).measure(outputs)}
    assert notes == {
        "all": "", "forbidden": "at fault, in rows: 'cure' in 3, 'miracle' in 1",
        "sections": "at fault, in rows: 'Plan' in 2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "Format has no rule; give one of json"),
        ({"min_words": 5, "max_words": 4}, r"Format\.min_words is 5, max_words 4"),
        ({"min_words": -1}, r"Format\.min_words is -1"),
        ({"max_words": -1}, r"max_words -1"),
        ({"disclaimers": []}, r"Format\.disclaimers is \[\]; give one or more texts"),
        ({"forbidden": ["cure", " "]}, r"Format\.forbidden is \['cure', ' '\]"),
        ({"sections": []}, r"Format\.sections is \[\]"),
        ({"forbidden_patterns": ["("]}, r"Format\.forbidden_patterns holds '\(', which is no regular expression"),
        ({"forbidden_patterns": []}, r"Format\.forbidden_patterns is \[\]"),
        ({"schema": Path("no/such.json")}, r"Format\.schema: no/such\.json cannot be read"),
    ],
)
def test_rules_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Format(**options).produces()


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "is no JSON"), ({"type": "thing"}, "is no JSON Schema: 'thing'")],
)
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Format(schema=schema(tmp_path, content)).produces()


def test_a_schema_that_leads_elsewhere_is_refused_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *words, **_: asked.append(words))
    rules = Format(schema=schema(tmp_path, {"$ref": "http://127.0.0.1:9/other.json"}))
    with pytest.raises(RecipeError, match=r"refers to http://127\.0\.0\.1:9/other\.json, which is not in it"):
        rules.measure([sample("{}")])
    assert not asked


def test_what_is_no_json_keeps_no_schema(tmp_path: Path) -> None:
    assert measured(Format(schema=schema(tmp_path, {})), "null", "no JSON")["schema"] == [1, 0]
