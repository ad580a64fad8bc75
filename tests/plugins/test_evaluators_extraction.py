"""Extraction against scikit-learn and counts by hand: which values are read, and which are the same."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.extraction import Extraction


def sample(output: str, reference: str = "", **extras: Any) -> Sample:
    return Sample("r", (), reference, output, extras=extras)


def measured(evaluator: Extraction, *rows: Sample) -> dict[str, float]:
    return {m.name: m.value for m in evaluator.measure(rows)}


WANTED = '{"drug": "warfarin", "dose": 5, "allergies": ["latex", "nuts"], "patient": {"name": "Anna Weber"}}'


@pytest.mark.parametrize(
    "output",
    [
        WANTED,
        f"Here it is:\n```json\n{WANTED}\n```",
        '{"Patient": {"Name": "anna  weber."}, "ALLERGIES": ["NUTS", "latex"], "dose": "5.0", "drug": ["Warfarin"]}',
        '{"drug": "warfarin"} {"dose": 5.00, "allergies": "nuts, latex", "patient": [{"name": "Anna Weber"}]}',
        "Drug: warfarin\nDose: 5\nAllergies: latex; nuts\nName: Anna Weber",
        "**Drug:** Warfarin\n## Allergies\n- nuts\n- latex\n- Dose: 5.0\n- Name: Anna Weber",
    ],
)
def test_forms_that_say_the_same_are_wholly_right(output: str) -> None:
    found = measured(Extraction(["drug", "dose", "allergies", "patient.name"]), sample(output, WANTED))
    assert {name: value for name, value in found.items() if value != 1} == {"unread": 0}


def test_values_are_counted_by_hand() -> None:
    rows = [
        # drug: 1 of 1 right; allergies: 2 right of 3 given, 3 wanted (latex twice); dose: none given
        sample('{"drug": "warfarin", "allergies": ["latex", "latex", "dust"]}',
               '{"drug": "Warfarin", "allergies": ["latex", "nuts", "latex"], "dose": 5}'),
        # drug: wrong; allergies: none on both sides; dose: invented
        sample('{"drug": "aspirin", "allergies": "none", "dose": 2}', '{"drug": "warfarin", "allergies": null}'),
        sample("I cannot say", '{"drug": "heparin"}'),
    ]  # fmt: skip
    found = measured(Extraction(["drug", "allergies", "dose"]), *rows)
    expected = {
        "precision": 3 / 6, "recall": 3 / 7, "f1": 6 / 13, "exact": 0, "unread": 1 / 3,
        "precision/drug": 1 / 2, "recall/drug": 1 / 3, "f1/drug": 2 / 5,
        "precision/allergies": 2 / 3, "recall/allergies": 2 / 3, "f1/allergies": 2 / 3,
        "precision/dose": 0, "recall/dose": 0, "f1/dose": 0,
    }  # fmt: skip
    assert found == pytest.approx(expected)


def test_rows_have_values_of_their_own_and_resamples_are_sums() -> None:
    rows = [sample('{"a": [1, 2]}', '{"a": [1, 2]}'), sample('{"a": [3]}', '{"a": [4, 5, 6]}'), sample("{}", "{}")]
    f1 = {m.name: m for m in Extraction(["a"]).measure(rows)}["f1"]
    assert list(f1.values[:2]) == [1, 0]
    assert math.isnan(f1.values[2])
    assert f1.value == pytest.approx(4 / 8)
    assert f1.at([0, 0, 1]) == pytest.approx(8 / 12)
    assert math.isnan(f1.at([2]))


values = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)
rows_of_two = st.lists(st.tuples(values, values, values, values), min_size=1, max_size=8)


@given(rows_of_two)
def test_micro_averages_are_those_of_scikit_learn(rows: list[tuple[list[str], ...]]) -> None:
    given, wanted = ([[("x", one) for one in row[at]] + [("y", one) for one in row[at + 2]] for row in rows]
                     for at in (0, 1))  # fmt: skip
    known = [(field, value) for field in "xy" for value in "abcd"]
    said, gold = (np.array([[one in row for one in known] for row in side]) for side in (given, wanted))
    samples = [sample(json.dumps({"x": a, "y": c}), json.dumps({"x": b, "y": d})) for a, b, c, d in rows]
    found = measured(Extraction(["x", "y"]), *samples)
    for fields, ending in ((known, ""), (known[:4], "/x"), (known[4:], "/y")):
        places = [known.index(field) for field in fields]
        expected = precision_recall_fscore_support(gold[:, places], said[:, places], average="micro", zero_division=0.0)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            got = found[f"{name}{ending}"]
            empty = not (gold[:, places].any() or said[:, places].any())
            assert math.isnan(got) if empty else got == pytest.approx(value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('"1,000"', "1000.0", True),
        ("1234567890123456789", "1234567890123456788", False),
        ('"(Latex)."', '"latex"', True),
        ("true", '"True"', True),
        ('{"n": 1, "m": "A"}', '{"M": "a ", "N": 1.0}', True),
        ('{"n": 1}', '{"n": 2}', False),
        ('["a", "a"]', '["a"]', False),
        ('["a, b"]', '["b", "a"]', False),
        ('"a, b"', '["b", "a"]', True),
        ('"n/a"', "null", True),
        ('""', "[]", True),
        ('"5 mg"', '"5 g"', False),
    ],
)
def test_values_are_the_same_or_not(one: str, other: str, same: bool) -> None:
    found = measured(Extraction(["x"]), sample(f'{{"x": {one}}}', f'{{"x": {other}}}'))
    assert found["exact"] == float(same)


def test_paths_go_through_lists_and_text_is_divided_where_it_is_asked_for() -> None:
    wanted = '{"order": {"items": [{"name": "Box, red"}, {"name": "Key"}]}}'
    evaluator = Extraction(["order.items.name"], divide=";")
    found = measured(evaluator, sample('[{"Order": {"Items": {"Name": "key"}}}]', wanted))
    assert (found["precision"], found["recall"]) == (1, 0.5)
    assert measured(evaluator, sample("Name: key; box, red", wanted))["exact"] == 1


def test_a_column_may_hold_what_is_right() -> None:
    evaluator = Extraction(["drug", "patient.age"], of="facts")
    assert evaluator.columns() == ("facts",)
    right = '{"drug": "x", "patient": {"age": 5}}'
    for facts in ({"drug": "x", "patient": {"age": 5}}, right, "Drug: x\nAge: 5"):
        assert measured(evaluator, sample(right, facts=facts))["exact"] == 1
    with pytest.raises(RecipeError, match=r"Extraction\.of is facts, which is no column of row r; did you mean fact\?"):
        evaluator.measure([sample(right, fact={})])


def test_references_without_the_fields_are_told() -> None:
    rows = [sample('{"a": 1}', "a is 1"), sample('{"a": 1}', '{"a": 1}')]
    assert {m.note for m in Extraction(["a"]).measure(rows)} == {"1 of 2 references hold none of these fields"}
    assert {m.note for m in Extraction(["a"]).measure(rows[1:])} == {""}


@pytest.mark.parametrize("fields", [[], [""], ["a."], ["drug dose", "Drug_Dose"]])
def test_fields_that_cannot_be_are_refused(fields: list[str]) -> None:
    with pytest.raises(RecipeError, match=r"Extraction\.fields is"):
        Extraction(fields).produces()
