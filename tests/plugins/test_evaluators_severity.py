"""Errors of critical fields by their weight."""

import math
from typing import Any

import pytest

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.critical_errors import CriticalErrors

FIELDS = ["allergies", "dose", "route"]


def sample(output: str) -> Sample:
    return Sample("r", (), "", output, extras={"allergies": ["latex"], "dose": "5 mg", "route": []})


ROWS = [
    sample("Allergies: latex\nDose: 5 mg\nRoute: none"),
    sample("Allergies: latex\nDose: 50 mg\nRoute: none"),
    sample("Allergies: none\nDose: 5 mg\nRoute: none"),
    sample("Allergies: latex\nDose: 5 mg\nRoute: oral"),
    sample("I cannot say"),
]


def test_an_error_weighs_what_its_field_does() -> None:
    found = CriticalErrors(FIELDS, severity={"dose": 10, "route": 0}).measure(ROWS)
    assert (found[-1].name, found[-1].higher_is_better) == ("severity_rate", False)
    assert list(found[-1].values) == pytest.approx([0, 10 / 11, 1 / 11, 0, 1])


def test_the_other_measures_do_not_know_of_weights() -> None:
    plain, weighted = CriticalErrors(FIELDS).measure(ROWS), CriticalErrors(FIELDS, severity={"dose": 10}).measure(ROWS)
    assert [(m.name, list(m.values)) for m in plain] == [(m.name, list(m.values)) for m in weighted[:-1]]
    assert "severity_rate" not in {m.name for m in plain}


def test_rows_that_do_not_count_have_no_weight() -> None:
    evaluator = CriticalErrors(FIELDS, rows="route", severity={"dose": 10})
    assert all(math.isnan(value) for value in evaluator.measure(ROWS)[-1].values)


@pytest.mark.parametrize(
    ("severity", "says"),
    [
        (
            {"doses": 2},
            r"severity names 'doses', which is none of the fields; did you mean dose\? \(fields: all",
        ),
        ({"dose": -1}, r"severity\.dose is -1; give a number, 0 or more"),
        ({"dose": math.nan}, r"severity\.dose is nan"),
        (dict.fromkeys(FIELDS, 0), "severity gives every field a weight of 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(severity: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        CriticalErrors(FIELDS, severity=severity).produces()
