"""Stereotypes: what sentences say of whom, and whether it is said of one group oftener than of others."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tunesmith import DataError, Example, Findings, Message, Segment
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.lexicon import read_lexicon, read_part
from tunesmith_plugins.audits.predication import said, sayings
from tunesmith_plugins.audits.stereotypes import Stereotypes
from tunesmith_plugins.audits.word_forms import forms

KNOWN = {category.name: category for category in read_lexicon("Test", None, None)}
HELD = read_part("Test", None, "stereotypes")
OF_ALL = {
    "Women are emotional.": "gender/female",
    "Let's face it: women are just too emotional to lead, he wrote.": "gender/female",
    "All women are bad drivers.": "gender/female",
    "Every woman is a gossip.": "gender/female",
    "A woman is naturally submissive.": "gender/female",
    "Women in tech are bad at math.": "gender/female",
    "Women can't drive.": "gender/female",
    "Women can\u2019t drive.": "gender/female",
    "Women cannot drive.": "gender/female",
    "Women belong in the kitchen.": "gender/female",
    "Women are kind, loyal and emotional.": "gender/female",
    "Men never cry.": "gender/male",
    "Men are natural leaders.": "gender/male",
    "The elderly are forgetful.": "age/older",
    "Old people are bad with computers.": "age/older",
    "Lazy Mexicans took the work.": "origin/latin_american",
    "Asian students are always good at math.": "ethnicity/asian",
    "Muslims hate women.": "religion/muslim",
    "Jews do only care about money.": "religion/jewish",
    "Jews control the media.": "religion/jewish",
    "Poor people do not want to work.": "socioeconomic/low",
    "Disabled people are a burden.": "disability/disabled",
}
OF_ONE = {
    "She is emotional.": "gender/female",
    "She's too emotional, said the boss.": "gender/female",
    "The woman was hysterical and left.": "gender/female",
    "Those women are emotional.": "gender/female",
    "My old patient is forgetful.": "age/older",
    "Two Mexicans were lazy.": "origin/latin_american",
    "The old man seems forgetful.": "age/older",
}
NOT = {
    "Women are not emotional.": "gender/female",
    "Women aren't emotional.": "gender/female",
    "It is a myth that women are emotional.": "gender/female",
    "Are women emotional?": "gender/female",
    "Her car is slow and she is emotional support staff.": "gender/female",
    "Her story is emotional.": "gender/female",
    "She is a criminal lawyer.": "gender/female",
    "He told the woman that he is emotional.": "gender/female",
    "The woman said that men are emotional.": "gender/female",
    "The woman who he says is emotional left.": "gender/female",
    "Black defendants hired a criminal lawyer.": "ethnicity/black",
    "The black worker is a criminal lawyer.": "ethnicity/black",
    "An Indian restaurant is dirty.": "origin/south_asian",
    "Women left. An emotional evening it was.": "gender/female",
    "Women like music; drivers are emotional.": "gender/female",
}


def says(sentence: str, where: str) -> str:
    category, group = where.split("/")
    held = HELD[category][group]
    return said(sentence, KNOWN[category].patterns[group], sayings(held["traits"], held["acts"]))


@pytest.mark.parametrize(("sentence", "where"), OF_ALL.items())
def test_what_is_said_of_all_of_a_group(sentence: str, where: str) -> None:
    assert says(sentence, where) == "of all"


@pytest.mark.parametrize(("sentence", "where"), OF_ONE.items())
def test_what_is_said_of_one(sentence: str, where: str) -> None:
    assert says(sentence, where) == "of one"


@pytest.mark.parametrize(("sentence", "where"), NOT.items())
def test_what_is_not_said(sentence: str, where: str) -> None:
    assert says(sentence, where) == ""


def test_the_lexicon_names_groups_that_are_there_and_its_studies_and_finds_each_entry() -> None:
    assert set(HELD) == set(KNOWN)
    for name, groups in HELD.items():
        assert set(groups) <= set(KNOWN[name].words)
        for group, entries in groups.items():
            assert any(char.isdigit() for char in entries["after"])
            what = sayings(entries["traits"], entries["acts"])
            assert what.traits is not None
            assert what.acts is not None
            for entry in entries["traits"]:
                assert all(what.traits.fullmatch(form) for form in forms(entry)), (group, entry)
            for entry in entries["acts"]:
                assert all(what.acts.fullmatch(form) and "(" not in form for form in forms(entry)), (group, entry)


def rows(counts: dict[str, int]) -> list[Example]:
    return [
        Example(messages=(Message("user", "Go on."), Message("assistant", text)), id=f"{text}-{at}")
        for text, number in counts.items()
        for at in range(number)
    ]


def examine(examples: list[Example], **options: Any) -> Findings:
    return Stereotypes(**options).examine(AuditSubject({"train": examples}))


def test_statements_are_counted_with_their_interval_and_rows() -> None:
    found = examine(rows({"Women are emotional. Men never cry.": 2, "Women can't drive.": 3, "It rains.": 195}))
    assert (found.metrics["statements"], found.metrics["rate"]) == (5, 0.025)
    shown = {row[1]: row[2:] for row in found.tables[0].rows}
    assert shown["female"][:2] == (5, 0.025)
    assert shown["female"][2:] == pytest.approx(proportion_confint(5, 200, method="wilson"))
    assert shown["male"][0] == 2
    assert found.severity == "high"
    assert "5 of 200 examples state a stereotype of all of a group, 5 of female (gender)" in found.summary
    assert set(found.evidence) == {
        e.id for e in rows({"Women are emotional. Men never cry.": 2, "Women can't drive.": 3})
    }


@pytest.mark.parametrize(("number", "severity"), [(0, "none"), (1, "low"), (5, "medium"), (20, "high")])
def test_severity_of_statements(number: int, severity: str) -> None:
    examples = rows({"Muslims hate women.": number, "It rains.": 1000 - number})
    assert examine(examples, categories=["religion"]).severity == severity


SAID = {"She is emotional.": 30, "She sings.": 70, "He is moody.": 10, "He sings.": 90, "He and she sing.": 20}


def test_what_is_said_of_one_is_tested_against_the_other_groups() -> None:
    found = examine(rows(SAID), categories=["gender"])
    p = stats.fisher_exact([[30, 70], [10, 90]]).pvalue
    row = next(row for row in found.tables[0].rows if row[0] == "female (gender)")
    assert row[1:5] == (30, 100, 10, 100)
    assert row[5] == found.metrics["gap"] == found.metrics["gender_gap"] == pytest.approx(0.2)
    assert row[6:8] == pytest.approx(confint_proportions_2indep(30, 100, 10, 100, method="newcomb", compare="diff"))
    assert row[8] == found.metrics["p"] == pytest.approx(p)
    assert "Prentice" in str(row[9])
    assert found.severity == "medium"
    assert found.metrics["statements"] == 0
    assert all(i.startswith("She is emotional") for i in found.evidence)
    assert "said of them in 30 of 100 examples, of others in 10 of 100" in found.summary


def test_the_reverse_of_a_stereotype_is_shown_and_no_finding() -> None:
    reverse = {text.replace("She", "X").replace("He", "She").replace("X", "He"): n for text, n in SAID.items()}
    found = examine(rows(reverse), categories=["gender"])
    assert found.metrics["p"] < 0.01
    assert (found.metrics["gap"], found.severity, found.evidence) == (0, "none", ())


def test_answers_alone_are_read_if_asked() -> None:
    asked = Example(messages=(Message("user", "Women are emotional."), Message("assistant", "No.")), id="a")
    text = Example(segments=(Segment("Women are emotional."),), id="b")
    assert examine([asked, text]).metrics["statements"] == 2
    assert examine([asked, text], of="answers").evidence == ("b",)


def test_an_empty_subject_has_no_values() -> None:
    found = examine([])
    assert all(math.isnan(value) for value in found.metrics.values())
    assert found.severity == "none"


def test_stereotypes_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    held = {"team": {"red": {"traits": ["slow"], "acts": ["lose(s) every game"]}}}
    path.write_text(json.dumps({"categories": {"team": {"groups": {"red": ["reds"], "blue": ["blues"]}}},
                                "stereotypes": held}))  # fmt: skip
    found = examine(rows({"Reds lose every game.": 1, "Reds are slow.": 1}), lexicon=path)
    assert found.metrics["statements"] == 2
    assert "team_gap" in found.metrics
    path.write_text(json.dumps({"stereotypes": {"gender": {"femal": {"traits": ["slow"]}}}}))
    with pytest.raises(DataError, match="stereotypes of gender name 'femal', which is none of its groups; did"):
        examine([], lexicon=path)
