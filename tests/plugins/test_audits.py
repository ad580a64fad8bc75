"""The audit `Representation` on data made for it."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tunesmith import Audit, DataError, Example, Findings, Message, RecipeError, Segment
from tunesmith_plugins.audits.representation import Representation


@dataclass
class Data:
    examples: dict[str, list[Example]] = field(default_factory=dict)
    model: None = None
    outputs: None = None


def example(number: int, prompt: str, reference: str = "ok", **rest: Any) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", reference)), id=f"e{number}", **rest)


def of(prompts: list[str], **rest: Any) -> Data:
    return Data({"train": [example(i, prompt, **rest) for i, prompt in enumerate(prompts)]})


def examine(data: Data, **options: Any) -> Findings:
    return Representation(**{"categories": ["gender"], "min_examples": 1} | options).examine(data)


def table(found: Findings, which: int = 0) -> dict[str, dict[str, Any]]:
    chosen = found.tables[which]
    return {str(row[0]): dict(zip(chosen.columns, row, strict=True)) for row in chosen.rows}


def test_groups_are_counted_where_they_appear() -> None:
    data = Data(
        {
            "train": [example(1, "She said that she knows her aunt.", "A woman."), example(2, "He came.", "She left.")],
            "test": [example(3, "It rained.", "The man slept."), example(4, "Nobody.", "Nothing.")],
        }
    )
    found = examine(data)
    female, male = table(found)["female"], table(found)["male"]
    assert (female["examples"], female["share"], female["mentions"]) == (2, 0.5, 6)
    assert (female["prompts"], female["references"]) == (1, 2)
    assert (male["examples"], male["mentions"], male["prompts"], male["references"]) == (2, 2, 1, 1)
    assert found.metrics["gender_imbalance"] == 0
    assert found.severity == "none"


def test_names_tell_the_group_where_no_word_does() -> None:
    """Names that are sure: `Leslie` is not; nor is a town, a firm, a street; words are believed before names."""
    prompts = ["Mary asks.", "Robert asks.", "She met Robert.", "Leslie asks.", "Mary and Robert ask.", "mary asks."]
    found = table(examine(of([*prompts, "It is in Henry Street."])))
    named = {group: (found[group]["examples"], found[group]["by name"]) for group in ("female", "male")}
    assert named == {"female": (3, 2), "male": (2, 2)}
    full = ["Jamal Washington asks.", "Ask Ms Garcia.", "A. Nguyen asks.", "He lives in Washington.", "Visit Garcia."]
    found = table(examine(of(full), categories=["ethnicity"]))
    assert {group: row["examples"] for group, row in found.items() if row["examples"]} == {
        "black": 1,
        "hispanic": 1,
        "asian": 1,
    }


def test_names_with_accents_are_names() -> None:
    """The census of the United States writes `jose`."""
    assert table(examine(of(["José asks.", "JOSÉ asks.", "Renée asks."])))["male"]["by name"] == 2


def test_a_lexicon_in_another_language_counts_words_and_names(tmp_path: Path) -> None:
    groups = {"frau": ["Frau(en)"], "mann": ["Mann|Männer"]}
    names = {"groups": ["frau", "mann"], "persons": {"Änne": [9, 0], "Jürgen": [0, 9], "Kim": [5, 5]}}
    own = tmp_path / "de.json"
    own.write_text(json.dumps({"language": "de", "categories": {"geschlecht": {"groups": groups, "names": names}}}))
    prompts = ["Zwei Männer fragen.", "Jürgen fragt.", "Änne fragt.", "Kim fragt.", "Frauen fragen.", "She asks."]
    found = table(examine(of(prompts), categories=["geschlecht"], lexicon=own))
    assert {group: (row["examples"], row["by name"]) for group, row in found.items()} == {
        "mann": (2, 1),
        "frau": (2, 1),
    }


@pytest.mark.parametrize("text", ["SHE", "(her)", "she-wolf", "old\n woman,"])
def test_words_match_whole_and_in_any_case(text: str) -> None:
    assert table(examine(of([text])))["female"]["examples"] == 1


def age_groups(text: str) -> set[str]:
    found = examine(of([text]), categories=["age"])
    return {group for group, row in table(found).items() if row["examples"]} if found.tables else set()


@pytest.mark.parametrize(
    "text",
    [
        "A 30-year-old woman",
        "A 30 year old woman",
        "a 30 years old man",
        "a 30\u2011year\u2011old man",
        "an age-old people",
    ],
)
def test_the_old_of_an_age_is_no_group(text: str) -> None:
    assert age_groups(text) == set()


def test_phrases_are_found_with_a_space_or_a_hyphen_between_their_words() -> None:
    assert age_groups("an old woman") == age_groups("Old-people's home") == {"older"}
    assert age_groups("a 9-year-old girl") == {"child"}
    found = table(examine(of(["African-American", "South-African", "Middle-Eastern"]), categories=["origin"]))
    named = {group: row["examples"] for group, row in found.items() if row["examples"]}
    assert named == {"african": 2, "north_american": 1, "middle_eastern": 1}


@pytest.mark.parametrize("text", ["sheet", "there", "mishear", "the others", "_her_"])
def test_parts_of_words_do_not_match(text: str) -> None:
    assert table(examine(of([text, "he"])))["female"]["examples"] == 0


@pytest.mark.parametrize(
    ("few", "many", "severity"),
    [
        (10, 10, "none"),
        (60, 100, "none"),  # beyond chance, and less than twice as often
        (5, 10, "none"),  # twice as often, and chance gives that in 3 of 10 samples
        (20, 40, "low"),
        (2, 12, "medium"),
        (1, 20, "high"),
        (0, 20, "high"),
    ],
)
def test_severity_follows_the_ratio(few: int, many: int, severity: str) -> None:
    found = examine(of(["she"] * few + ["he"] * many + ["it"] * 7))
    assert found.metrics["imbalance"] == pytest.approx(1 - few / many)
    assert found.severity == severity
    if severity == "none":
        assert not found.evidence
    else:
        assert found.evidence[0] == f"e{few}"
        assert "add examples that name female" in found.advice
        assert f"male is named in {many} of {few + many + 7} examples, female in {few}" in found.summary


def test_groups_that_are_not_compared_are_shown_only() -> None:
    found = examine(of(["he", "she", "a nonbinary person"]))
    assert table(found)["nonbinary"]["examples"] == 1
    assert table(found)["nonbinary"]["to most"] == ""
    assert found.metrics["imbalance"] == 0


def test_too_few_mentions_are_not_judged() -> None:
    found = examine(of(["he"] * 19), min_examples=20)
    assert math.isnan(found.metrics["imbalance"])
    assert (found.severity, found.evidence) == ("none", ())
    assert "nothing to judge" in found.summary
    assert examine(of(["he"] * 20), min_examples=20).severity == "high"


def test_an_empty_subject_has_findings() -> None:
    for data in (Data(), Data({"train": []}), of(["nothing here"])):
        found = Representation().examine(data)
        assert found.severity == "none"
        assert all(math.isnan(v) for v in found.metrics.values())


def test_label_gaps_are_differences_of_shares() -> None:
    rows = [example(i, "he", extras={"risk": "high" if i < 24 else "low"}) for i in range(30)]
    rows += [example(i, "she", extras={"risk": "high" if i < 39 else "low"}) for i in range(30, 60)]
    found = examine(Data({"train": rows}), label="risk")
    # of the tests of gender's shares and of its labels, the smaller
    assert found.metrics["p"] == pytest.approx(2 * stats.fisher_exact([[24, 6], [9, 21]]).pvalue)
    assert found.metrics["gender_label_gap"] == found.metrics["label_gap"] == pytest.approx(0.5)
    assert found.severity == "high"
    shares = table(found, 1)
    assert (shares["male"]["high"], shares["female"]["high"], shares["female"]["low"]) == (0.8, 0.3, 0.7)


def test_labels_may_be_lists_numbers_or_the_examples_own() -> None:
    rows = [
        example(1, "he", extras={"tags": ["a", "b", "a"]}),
        example(2, "she", extras={"tags": []}),
        example(3, "she", extras={"tags": 3}),
    ]
    shares = table(examine(Data({"train": rows}), label="tags"), 1)
    assert (shares["male"]["a"], shares["male"]["b"]) == (1, 1)
    assert (shares["female"]["(none)"], shares["female"]["3"]) == (0.5, 0.5)
    own = [example(1, "he", label="x"), example(2, "she", label="y")]
    assert examine(Data({"train": own})).metrics["label_gap"] == 1


def test_without_labels_there_is_no_gap() -> None:
    found = examine(of(["he", "she"]))
    assert math.isnan(found.metrics["label_gap"])
    assert not any("label" in one.title for one in found.tables)


def test_a_label_column_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"label is 'rsk', no column; did you mean risk\? \(there are: age, risk\)"):
        examine(of(["he"], extras={"risk": 1, "age": 2}), label="rsk")


def test_text_without_turns_counts_as_reference() -> None:
    rows = [Example(segments=(Segment("she and"), Segment("her")), id="s")]
    got = table(examine(Data({"train": rows})))["female"]
    assert (got["prompts"], got["references"], got["mentions"]) == (0, 1, 2)


def test_preference_pairs_count_their_prompt_and_the_chosen_answer() -> None:
    pair = Example(
        chosen=(Message("user", "he?"), Message("assistant", "she")),
        rejected=(Message("user", "he?"), Message("assistant", "he")),
        id="p",
    )
    got = table(examine(Data({"train": [pair]})))
    assert (got["male"]["prompts"], got["male"]["mentions"], got["female"]["references"]) == (1, 1, 1)


@pytest.mark.parametrize("label", [None, "risk"])
def test_what_is_measured_is_what_it_says_that_it_measures(label: str | None) -> None:
    audit: Audit = Representation(label=label, min_examples=1)
    found = audit.examine(of(["he", "she", "a German", "an old man"], extras={"risk": "x"}))
    assert set(found.metrics) == {m.name for m in audit.produces()}
    assert [m.name for m in audit.produces() if m.higher_is_better] == ["p"]


def own_lexicon(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_lexicon_of_ones_own_adds_categories_and_replaces_them(tmp_path: Path) -> None:
    own = {
        "categories": {"team": {"groups": {"red": ["red team"], "blue": ["blue"]}}, "gender": {"groups": {"x": ["he"]}}}
    }
    path = own_lexicon(tmp_path, own)
    audit = Representation(lexicon=path, min_examples=1)
    found = audit.examine(of(["the red  team", "red", "blue", "she", "he"]))
    assert found.metrics["team_imbalance"] == 0
    assert math.isnan(found.metrics["gender_imbalance"])  # one group has nothing to be compared with
    assert "religion_imbalance" in found.metrics
    assert [r[0] for t in found.tables if t.title.startswith("gender") for r in t.rows] == ["x"]


def test_an_unknown_category_is_refused_before_anything_runs() -> None:
    with pytest.raises(RecipeError, match="categories: 'gendre' is not in the lexicon; did you mean gender"):
        Representation(categories=["gendre"]).produces()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        {"categories": {"a": {}}},
        {"categories": {"a": {"groups": {}}}},
        {"categories": {"a": {"groups": {"b": []}}}},
        {"categories": {"a": {"groups": {"b": [" "]}}}},
        {"categories": {"a": {"groups": {"b": ["c"]}, "compared": ["d"]}}},
    ],
)
def test_a_file_that_is_no_lexicon_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DataError, match=r"Representation\.lexicon: .*own\.json"):
        Representation(lexicon=own_lexicon(tmp_path, content)).produces()


def test_a_lexicon_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json cannot be read"):
        Representation(lexicon=str(tmp_path / "gone.json")).produces()


@given(st.lists(st.sampled_from(["he", "she", "it", "mother", "his son"]), max_size=40))
def test_counts_hold_whatever_the_order(prompts: list[str]) -> None:
    one, other = (examine(of([*order, "a nonbinary person"])) for order in (prompts, prompts[::-1]))
    assert table(one)["female"] == table(other)["female"]
    assert table(one)["female"]["examples"] == sum(p in {"she", "mother"} for p in prompts)
    assert table(one)["male"]["mentions"] == sum({"he": 1, "his son": 2}.get(p, 0) for p in prompts)
