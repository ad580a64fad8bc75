"""Classification against scikit-learn, on any rows that a resample may draw."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.classification import Classification

LABELS = ["refund", "bill", "not urgent", "urgent"]


def sample(output: str, reference: str = "", **extras: Any) -> Sample:
    return Sample("r", (), reference, output, extras=extras)


rows = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "who knows"])), min_size=1, max_size=30)


@given(pairs=rows, seed=st.integers(0, 9))
def test_any_rows_have_the_shares_that_scikit_learn_counts(pairs: list[tuple[str, str]], seed: int) -> None:
    found = {m.name: m for m in Classification(LABELS).measure([sample(said, gold) for gold, said in pairs])}
    for drawn in (np.arange(len(pairs)), np.random.default_rng(seed).integers(0, len(pairs), len(pairs))):
        gold, said = ([pairs[at][side] for at in drawn] for side in (0, 1))
        there = [label for label in LABELS if label in {*gold, *said}]
        options: dict[str, Any] = {"labels": there, "zero_division": 0.0}
        for average, prefix in (("macro", ""), ("weighted", "weighted_")):
            expected = precision_recall_fscore_support(gold, said, average=average, **options)
            for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
                if f"{prefix}{name}" in found:
                    assert found[f"{prefix}{name}"].at(drawn) == pytest.approx(value)
        expected = precision_recall_fscore_support(gold, said, average=None, **options)
        for at, label in enumerate(there):
            for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
                assert found[f"{name}/{label}"].at(drawn) == pytest.approx(values[at])
        for label in set(LABELS) - set(there):
            assert math.isnan(found[f"f1/{label}"].at(drawn))
        assert found["accuracy"].at(drawn) == pytest.approx(accuracy_score(gold, said))
        assert found["unread"].at(drawn) == pytest.approx(np.mean([one == "who knows" for one in said]))


@pytest.mark.parametrize(
    ("output", "whole", "first"),
    [
        ("Urgent.", "urgent", "urgent"),
        ("**not_urgent**", "not urgent", "not urgent"),
        ("This is not urgent, a bill", None, "not urgent"),
        ("It is a bill; urgent", None, "bill"),
        ("refunded", None, None),
        ("", None, None),
    ],
)
def test_an_output_names_a_class_or_none(output: str, whole: str | None, first: str | None) -> None:
    for find, expected in (("whole", whole), ("first", first)):
        for label in LABELS:
            found = Classification(LABELS, find=find).measure([sample(output, label)])  # type: ignore[arg-type]
            assert {m.name: m.value for m in found}["accuracy"] == float(label == expected)


def test_a_column_holds_the_class() -> None:
    evaluator = Classification(LABELS, of="kind")
    assert evaluator.columns() == ("kind",)
    assert evaluator.measure([sample("bill", "said otherwise", kind="BILL")])[0].value == 1
    with pytest.raises(RecipeError, match="of is kind, which is no column of row r; it has sort"):
        evaluator.measure([sample("bill", sort="bill")])


def test_rows_of_other_classes_are_left_out_and_counted() -> None:
    found = Classification(LABELS).measure([sample("bill", "bill"), sample("bill", "invoice"), sample("", "refund")])
    assert {m.name: m.value for m in found}["accuracy"] == 0.5
    assert {m.note for m in found} == {"1 rows are of none of the classes, and left out"}
    assert all(math.isnan(m.values[1]) and math.isnan(m.at([1])) for m in found)


@pytest.mark.parametrize("labels", [["one"], ["a", "A."], ["a", "..."], []])
def test_classes_that_cannot_be_told_apart_are_refused(labels: list[str]) -> None:
    with pytest.raises(RecipeError, match="labels is"):
        Classification(labels).produces()
