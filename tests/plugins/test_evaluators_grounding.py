"""Grounding: what is a fact, which spellings are the same fact, and what an output invents and misses."""

import math
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith import Message, RecipeError, Sample
from tunesmith_plugins.evaluators.facts.number_words import number_words
from tunesmith_plugins.evaluators.facts.source import Source, facts_of
from tunesmith_plugins.evaluators.grounding import Grounding

ONES = [
    "",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
]
ONES += ["fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def sample(prompt: str, output: str, reference: str = "") -> Sample:
    return Sample("r", (Message("user", prompt),), reference, output)


def found(text: str) -> list[tuple[str, str]]:
    return [(fact.kind, text[fact.start : fact.end]) for fact in facts_of(text)]


def supported(source: str, said: str) -> bool:
    facts = facts_of(said)
    assert facts, f"{said} states nothing"
    return all(Source([source]).supports(fact) for fact in facts)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Take 5mg of warfarin.", [("numbers", "5mg"), ("drugs", "warfarin")]),
        ("1. Rest.\n2. One of the two pumps", [("numbers", "two")]),
        ("a 48-year-old man", [("numbers", "48-year-old")]),
        ("from 5 to 10 mg/kg/day", [("numbers", "5"), ("numbers", "10 mg/kg/day")]),
        ("Dr. Anna Weber saw him on 14 March 2020.", [("names", "Anna Weber"), ("dates", "14 March 2020")]),
        ("The pump is hot. Stop it.", []),
        ("Anna's pump came from Zorvik Pumps GmbH.", [("names", "Anna"), ("names", "Zorvik Pumps GmbH")]),
        ("ECG and MRI were normal", []),
        ("COVID-19, 316S steel, v2.1.3", [("codes", "COVID-19"), ("codes", "316S"), ("codes", "v2.1.3")]),
        ("See Brown v. Board of Education, 347 U.S. 483", [("citations", "Brown v. Board of Education"),
                                                           ("citations", "347 U.S. 483")]),
        ("42 U.S.C. § 1983(a), Section 12(b)(6), Art. 5", [("citations", "42 U.S.C. § 1983(a)"),
                                                           ("citations", "Section 12(b)(6)"), ("citations", "Art. 5")]),
        ("[2019] UKSC 12; Case C-131/12; In re Gault.", [("citations", "[2019] UKSC 12"), ("citations", "C-131/12"),
                                                         ("citations", "In re Gault")]),
        ("$1.2 million, 5 per cent, -5 °C", [("numbers", "$1.2 million"), ("numbers", "5 per cent"),
                                             ("numbers", "-5 °C")]),
    ],
)  # fmt: skip
def test_facts_are_found_where_they_stand(text: str, facts: list[tuple[str, str]]) -> None:
    assert found(text) == facts


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1,000 mg", "1 g"),
        ("0.5 g", "500 mg"),
        ("5 mg", "5mg"),
        ("two tablets", "2 tablets"),
        ("two hundred and five days", "205 days"),
        ("2 weeks", "14 days"),
        ("1 l", "1000 cm³"),
        ("5 mg/dl", "0.05 g/l"),
        ("10 mg per day", "10 mg/day"),
        ("1 inch", "25.4 mm"),
        ("5-10 mg", "5 mg"),
        ("five percent", "5 %"),
        ("$1,200,000", "1.2 million dollars"),
        ("USD 5", "$5"),
        ("1.2k USD", "$1,200"),
        ("$3,000", "3k dollars"),
        ("temp 38.5 C", "38.5 °C"),
        ("38.5 °C", "38.5 C"),
        ("two C-sections", "2 sections"),
        ("8:30 pm", "20:30"),
        ("5 mg", "the number 5"),
        ("aged 48", "a 48-year-old"),
        ("81F, chest pain", "woman 81"),
        ("on 14.03.2020", "March 14, 2020"),
        ("2020-03-14", "in March 2020"),
        ("2020-03-14", "year 2020"),
        ("03/04/2020", "4 March 2020"),
        ("03/04/2020", "3 April 2020"),
        ("since TUESDAY", "on Tuesday"),
        ("weber, anna", "by Anna Weber"),
        ("Anna's pump", "by Anna"),
        ("WARFARIN", "warfarin"),
        ("Brown v. Board of Education of Topeka", "see Brown vs. Board of Education"),
        ("§ 12(b)(6)", "Section 12(b)"),
        ("42 USC § 1983", "42 U.S.C. § 1983"),
        ("42 U.S.C. § 1983", "section 1983"),
        ("347 U. S. 483", "347 U.S. 483"),
        ("covid-19", "COVID19"),
    ],
)
def test_another_spelling_is_the_same_fact(source: str, said: str) -> None:
    assert supported(source, said)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("5 mg", "5 g"),
        ("5 mg", "50 mg"),
        ("5", "5 mg"),
        ("5 tablets", "5 mg"),
        ("5 mg/kg", "5 mg"),
        ("5 mg/kg", "5 mg/l"),
        ("5 °C", "5 °F"),
        ("5 %", "5 percentage points"),
        ("$5", "€5"),
        ("$1,000", "1k EUR"),
        ("1 USD", "1.2k USD"),
        ("38.5 °F", "38.5 C"),
        ("8:30 pm", "8:30 am"),
        ("14 March", "14 March 2020"),
        ("14 March 2020", "15 March 2020"),
        ("13/04/2020", "4 January 2020"),
        ("Monday", "Tuesday"),
        ("Anna Weber", "by Anna Schmidt"),
        ("metformin", "warfarin"),
        ("Brown v. Board", "Brown v. Allen"),
        ("Brown v. Board", "Board v. Brown"),
        ("§ 12", "§ 12(b)"),
        ("42 U.S.C. § 1983", "18 U.S.C. § 1983"),
        ("347 U.S. 483", "347 U.S. 484"),
        ("Article 5", "Section 5"),
        ("B12", "B6"),
    ],
)
def test_what_looks_alike_is_another_fact(source: str, said: str) -> None:
    assert not supported(source, said)


def spelt(number: int) -> str:
    if number < 20:
        return ONES[number] or "zero"
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    for size, name in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return f"{spelt(number // size)} {name}" + (f" {'and ' * (rest < 100)}{spelt(rest)}" if rest else "")
    raise AssertionError


@given(st.one_of(st.integers(0, 10**9 - 1), st.integers(0, 2000)))
def test_numbers_as_words_are_read(number: int) -> None:
    text = f"so {spelt(number)}."
    assert list(number_words(text)) == [(3, len(text) - 1, number)]


def test_words_that_make_no_number_together_are_several() -> None:
    assert [value for _, _, value in number_words("one two three, twenty thirty, five million two")] == [
        1, 2, 3, 20, 30, 5_000_002,
    ]  # fmt: skip
    assert not list(number_words("hundreds of a million"))


masses = {"kg": 1000, "g": 1, "mg": Fraction(1, 1000), "mcg": Fraction(1, 10**6), "µg": Fraction(1, 10**6)}


@given(st.integers(1, 10**7), st.sampled_from(sorted(masses)), st.integers(1, 10**7), st.sampled_from(sorted(masses)))
def test_amounts_are_the_same_where_their_masses_are(one: int, unit: str, other: int, its: str) -> None:
    assert supported(f"{one:,} {unit}", f"{other}{its}") == (one * masses[unit] == other * masses[its])


def test_invented_and_missed_facts_are_counted_by_kind() -> None:
    prompt = "Anna Weber, 48, takes 5 mg of warfarin. She is allergic to latex since 2019."
    reference = "Anna Weber, 48: 5 mg of warfarin; seen by Dr. Lopez"
    output = "Anna Weber takes 500 mg of ibuprofen and 500 mg of warfarin, after Dr. Kovac's advice of 48."
    measured = {m.name: m.values[0] for m in Grounding().measure([sample(prompt, output, reference)])}
    # stated: Weber, 500 mg (once), ibuprofen, warfarin, Kovac, 48; of the reference the input supports Weber, 48, 5 mg,
    # warfarin, and not Lopez
    some = {key: value for key, value in measured.items() if value}
    assert some == {
        "invented": 3, "missed": 1, "invented_rate": 0.5, "any_invented_rate": 1, "missed_rate": 0.25,
        "invented/numbers": 1, "invented/drugs": 1, "invented/names": 1, "missed/numbers": 1,
    }  # fmt: skip
    assert not any(m.higher_is_better for m in Grounding().produces())


def test_marks_say_where_facts_stand() -> None:
    rows = [sample("Take 5 mg.", "Take 50 mg, then 50 mg.", "Take 5 mg."), sample("5 mg", "5 mg", "5 mg")]
    [marks, none] = Grounding().marks(rows)
    texts = {"invented": rows[0].output, "missed": rows[0].reference}
    assert [(m.what, m.kind, texts[m.what][m.start : m.end]) for m in marks] == [
        ("invented", "numbers", "50 mg"), ("invented", "numbers", "50 mg"), ("missed", "numbers", "5 mg"),
    ]  # fmt: skip
    assert none == []


def test_an_output_without_facts_has_no_rate_and_invents_nothing() -> None:
    measured = {m.name: m.values[0] for m in Grounding().measure([sample("Take 5 mg.", "rest well", "drink")])}
    assert math.isnan(measured["invented_rate"])
    assert math.isnan(measured["missed_rate"])
    assert (measured["invented"], measured["any_invented_rate"], measured["missed"]) == (0, 0, 0)


def test_files_hold_further_facts_and_drugs(tmp_path: Path) -> None:
    row = sample("Is the clause valid?", "Yes: Smith v. Jones, 5 F.3d 12, and zorvikum.")
    known, drugs = tmp_path / "precedents.txt", tmp_path / "drugs.txt"
    known.write_text("Smith v. Jones, 5 F.3d 12 (1993)\n", encoding="utf-8")
    drugs.write_text("\ufeffZorvikum\n\n", encoding="utf-8")

    def invented(**files: Path) -> list[str]:
        [marks] = Grounding(**files).marks([row])
        return [row.output[mark.start : mark.end] for mark in marks]

    assert invented() == ["Smith v. Jones", "5 F.3d 12"]
    assert invented(known=known) == []
    assert invented(known=known, drugs=drugs) == ["zorvikum"]


def test_only_the_named_kinds_count() -> None:
    row = sample("", "Take 5 mg of warfarin.")
    assert {m.name: m.value for m in Grounding(kinds=["drugs"]).measure([row])} == {
        "invented": 1, "missed": 0, "invented_rate": 1, "any_invented_rate": 1,
        "missed_rate": pytest.approx(math.nan, nan_ok=True), "invented/drugs": 1, "missed/drugs": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kinds": []}, "Grounding.kinds is empty; name some of numbers"),
        ({"known": Path("no/such.txt")}, "Grounding.known is no/such.txt, which cannot be read as text"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Grounding(**options).produces()


@example("", "g'Ag")
@given(st.text(max_size=80), st.text("Aa v.§$1,0/-:mgMar \n'", max_size=80))
def test_every_text_supports_its_own_facts(text: str, other: str) -> None:
    for one in (text, other):
        facts = facts_of(one)
        assert all(Source([one]).supports(fact) for fact in facts)
        assert all(0 <= fact.start < fact.end <= len(one) for fact in facts)
        assert all(before.end <= after.start for before, after in pairwise(facts))


@pytest.mark.parametrize("loop", ["A", "A ", "Ab. ", "1", "1 ", "one ", "§", "A & ", "[2019] A", "5 mg/", "A v. "])
def test_loops_take_no_time(loop: str) -> None:
    before = time.process_time()
    facts_of(loop * 4000)
    assert time.process_time() - before < 5
