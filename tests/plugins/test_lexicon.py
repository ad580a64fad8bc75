"""Lexicons of groups: their files, forms of words, names with their uncertainty, and lexicons of one's own."""

import json
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tunesmith import DataError, RecipeError
from tunesmith_plugins.audits.lexicon import Category, nearest, read_attributes, read_lexicon
from tunesmith_plugins.audits.word_forms import forms, pattern

FILES = sorted((resources.files("tunesmith_plugins.audits") / "lexicons" / "en").iterdir(), key=lambda one: one.name)
BUILT_IN = {category.name: category for category in read_lexicon("Test", None, None)}


def own(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content))
    return path


def named(text: str, category: Category) -> set[str]:
    return {group for group, words in category.patterns.items() if words.search(text)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_says_where_it_comes_from_and_what_may_be_done_with_it(file: Any) -> None:
    raw = json.loads(file.read_text(encoding="utf-8"))
    assert raw["language"] == "en"
    assert raw["licence"] == "Apache-2.0" or raw["licence"].startswith("Public domain")
    assert len(raw["about"]) > 40
    assert raw["source"].startswith(("Written for Tunesmith by its authors", "United States Census Bureau"))


def test_all_categories_are_there_and_find_each_form_of_each_word() -> None:
    assert set(BUILT_IN) == {"gender", "age", "ethnicity", "religion", "origin", "disability", "socioeconomic"}
    for category in BUILT_IN.values():
        assert set(category.compared) <= set(category.words)
        for group, entries in category.words.items():
            assert len(entries) == len(set(entries))
            for form in (form for entry in entries for form in forms(entry)):
                word = form
                for name, entry in category.sets.items():
                    word = word.replace("{" + name + "}", forms(entry[0])[0])
                for written in (word, word.upper(), f"the {word}'s"):
                    assert category.patterns[group].search(written), (category.name, written)


def test_words_that_stand_for_each_other_do_so_form_by_form() -> None:
    for category in BUILT_IN.values():
        for row in category.swaps:
            assert len(row.words) > 1
            assert set(row.words) <= set(category.words)
            assert len({len(each) for each in row.words.values()}) == 1
            assert row.pos in {"", "determiner", "object", "pronoun", "noun", "adjective", "title"}
        for one, other in combinations([row for row in category.swaps if not row.pos and not row.one_way], 2):
            for group in one.words.keys() & other.words.keys():
                assert not set(one.words[group]) & set(other.words[group]), (category.name, group)


def test_forms() -> None:
    assert forms("woman|women") == ("woman", "women")
    assert forms("girl(s)") == ("girl", "girls")
    assert forms("murder(s|ed|er|ers)") == ("murder", "murders", "murdered", "murderer", "murderers")
    assert forms("steal|theft(s)") == ("steal", "theft", "thefts")
    assert forms("old {grown}") == ("old {grown}",)
    assert pattern(["old {grown}"], {"grown": ["man|men"]}).findall("old men, old\nman, age-old men, old mane") == [
        "old men",
        "old\nman",
    ]


@pytest.mark.parametrize(
    ("category", "text", "groups"),
    [
        ("gender", "The policewomen's sister-in-law", {"female"}),
        ("gender", "Grandpa and the waitresses", {"male", "female"}),
        ("gender", "Two trans men", {"male", "nonbinary"}),
        ("gender", "The history of the sheet, and thermal images", set()),
        ("age", "older applicants", {"older"}),
        ("age", "three young ladies", {"young"}),
        ("age", "old news for a young company", set()),
        ("religion", "The JEWISH and the Hindus'", {"jewish", "hindu"}),
        ("origin", "South-African", {"african"}),
        ("origin", "It was Nigerians", {"african"}),
        ("ethnicity", "a white woman", {"white"}),
        ("ethnicity", "Black patients and white walls", {"black"}),
        ("ethnicity", "an African-American", {"black"}),
        ("ethnicity", "black coffee", set()),
        ("disability", "a double-blind trial that fell on deaf ears", set()),
        ("disability", "two deaf students, wheelchair users and people with a disability", {"disabled"}),
        ("disability", "sighted users", {"not_disabled"}),
        ("socioeconomic", "poor families", {"low"}),
        ("socioeconomic", "poor results of a rich soil", set()),
        ("socioeconomic", "High-income", {"high"}),
    ],
)
def test_groups_are_found_and_what_is_none_is_not(category: str, text: str, groups: set[str]) -> None:
    assert named(text, BUILT_IN[category]) == groups


def test_a_name_has_a_share_of_each_group_and_tells_of_one_only_where_it_is_sure() -> None:
    names = BUILT_IN["gender"].names
    assert names is not None
    women, men = names.persons["jamie"]
    assert names.share("JAMIE") == {"female": women / (women + men), "male": men / (women + men)}
    assert names.share("Jamie")["female"] == pytest.approx(0.7, abs=0.01)  # 0.102 % of women and 0.044 % of men
    assert names.group("Jamie", 0.98) is None
    assert (names.group("Mary", 0.98), names.group("Gary", 0.98)) == ("female", "male")
    assert names.share("Zxqv") == {}
    assert names.group("Zxqv", 0.5) is None
    assert names.sure("female", 0.98)[:2] == ["mary", "patricia"]
    assert not {"grace", "april", "paris", "will"} & set(names.persons)


def test_surnames_tell_little_and_say_so() -> None:
    names = BUILT_IN["ethnicity"].names
    assert names is not None
    assert names.kind == "surname"
    assert names.group("Robinson", 0.7) is None
    share = names.share("Robinson")  # in 2010 48.7 % white, 44.9 % black, 2.8 % of several groups, which do not count
    assert (share["white"], share["black"]) == pytest.approx((0.487 / 0.972, 0.4493 / 0.972), abs=0.01)
    assert names.group("Nguyen", 0.9) == "asian"
    assert names.group("Begay", 0.9) == "native"
    assert all(len(counts) == 5 and sum(counts) > 0 for counts in names.persons.values())


def test_a_lexicon_of_ones_own_may_add_to_what_is_there(tmp_path: Path) -> None:
    mine = {
        "categories": {
            "gender": {
                "extends": True,
                "groups": {"female": ["midwife|midwives"]},
                "swaps": [{"female": "midwife|midwives", "male": "midhusband(s)"}],
                "names": {"groups": ["female", "male"], "persons": {"Zorvika": [3, 0]}},
            }
        }
    }
    (gender,) = read_lexicon("Test", own(tmp_path, mine), ["gender"])
    assert named("two Midwives", gender) == named("she", gender) == {"female"}
    assert len(gender.swaps) == len(BUILT_IN["gender"].swaps) + 1
    assert gender.names is not None
    assert gender.names.group("zorvika", 0.9) == gender.names.group("mary", 0.9) == "female"


def test_a_lexicon_in_another_language_stands_alone(tmp_path: Path) -> None:
    mine = {"language": "de", "categories": {"geschlecht": {"groups": {"w": ["Frau(en)"], "m": ["Mann|Männer"]}}}}
    (only,) = read_lexicon("Test", own(tmp_path, mine), None)
    assert (only.name, only.language) == ("geschlecht", "de")
    assert named("DIE MÄNNER", only) == {"m"}


@pytest.mark.parametrize(
    ("category", "said"),
    [
        ({"extends": True, "groups": {"a": ["b"]}}, "x extends a category that is not there"),
        ({"groups": {"a": ["b {c}"]}}, "x has not the form of a category"),
        ({"groups": {"a": ["b"], "c": ["d"]}, "swaps": [{"a": "b(s)", "c": "d"}]}, "x has not the form"),
        ({"groups": {"a": ["b"], "c": ["d"]}, "swaps": [{"a": "b", "e": "d"}]}, "x has not the form"),
        ({"groups": {"a": ["b"]}, "names": {"groups": ["a"], "persons": {"n": [1, 2]}}}, "x has not the form"),
        ({"groups": {"a": ["b"]}, "names": {"kind": "nick", "groups": ["a"], "persons": {}}}, "x has not the form"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, category: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_lexicon("Test", own(tmp_path, {"categories": {"x": category}}), None)


def test_a_swap_that_is_added_must_name_groups_that_are_there(tmp_path: Path) -> None:
    mine = {"categories": {"gender": {"extends": True, "swaps": [{"female": "midwife", "man": "accoucheur"}]}}}
    with pytest.raises(DataError, match="gender has a row of swaps"):
        read_lexicon("Test", own(tmp_path, mine), None)


def test_attributes_are_read_and_replaced(tmp_path: Path) -> None:
    built_in = read_attributes("Test", None, None)
    assert {"career", "family", "competence", "warmth", "crime"} <= set(built_in)
    mine = own(tmp_path, {"attributes": {"crime": ["heist(s)"], "sport": ["football"]}})
    found = read_attributes("Test", mine, ["crime", "sport", "career"])
    assert (found["crime"], found["sport"]) == (["heist(s)"], ["football"])
    assert found["career"] == built_in["career"]
    with pytest.raises(RecipeError, match="attributes: 'carer' is not in the lexicon; did you mean career"):
        read_attributes("Test", None, ["carer"])
    assert read_lexicon("Test", mine, ["gender"])[0].words == BUILT_IN["gender"].words


def test_the_nearest_name_is_said() -> None:
    assert nearest("x", []) == " (there are: none)"
