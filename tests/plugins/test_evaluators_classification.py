"""Classification against scikit-learn, on any rows that a resample may draw."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from tunesmith import Measure, RecipeError, Sample
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


def sure(reference: str, *shares: float) -> Sample:
    return Sample("r", (), reference, "", probabilities=dict(zip(LABELS, shares, strict=False)))


def calibrated(samples: list[Sample], labels: list[str] = LABELS) -> dict[str, Measure]:
    measures = Classification(labels, calibration=True).measure(samples)
    return {m.name: m for m in measures if m.name in ("calibration_error", "brier")}


@given(seed=st.integers(0, 999), count=st.integers(1, 60), sharp=st.floats(0.1, 8))
def test_the_calibration_error_is_that_of_torchmetrics(seed: int, count: int, sharp: float) -> None:
    draw = np.random.default_rng(seed)
    shares = draw.dirichlet([1 / sharp] * len(LABELS), count) * 0.999 + 0.00025  # 1.0 is outside of its last bin there
    gold = draw.integers(0, len(LABELS), count)
    rows = [sure(LABELS[right], *row) for right, row in zip(gold, shares, strict=True)]
    found = calibrated(rows)["calibration_error"]
    for drawn in (np.arange(count), draw.integers(0, count, count)):
        expected = multiclass_calibration_error(
            torch.from_numpy(shares[drawn]), torch.from_numpy(gold[drawn]), len(LABELS), n_bins=15, norm="l1"
        )
        assert found.at(drawn) == pytest.approx(float(expected), abs=1e-6)


def test_calibration_by_hand() -> None:
    found = calibrated([sure("refund", 0.7, 0.1, 0.1, 0.1), sure("refund", 0.68, 0.32, 0, 0), sure("bill", 1, 0, 0, 0)])
    # two rows in (10/15, 11/15], both right, 0.69 sure; one certain and wrong
    assert found["calibration_error"].value == pytest.approx((2 * (1 - 0.69) + 1) / 3)
    assert found["brier"].values == pytest.approx([0.3**2 + 3 * 0.1**2, 2 * 0.32**2, 2.0])
    assert not any(measure.higher_is_better for measure in found.values())


def test_probabilities_are_of_the_labels_alone_and_rows_without_are_left_out() -> None:
    half = Sample("r", (), "bill", "", probabilities={"bill": 0.3, "refund": 0.1, "of another evaluator": 0.6})
    found = calibrated([half, sure("invoice", 0.7, 0.3), sample("bill", "bill")], LABELS[:2])
    assert found["brier"].values[0] == pytest.approx(2 * 0.25**2)
    assert all(math.isnan(v) for measure in found.values() for v in measure.values[1:])
    assert math.isnan(found["calibration_error"].at([1, 2]))


def test_calibration_costs_nothing_where_it_is_not_asked_for() -> None:
    plain, asking = Classification(LABELS), Classification(LABELS, calibration=True)
    assert plain.needs == {"output"}
    assert {m.name for m in asking.produces()} - {m.name for m in plain.produces()} == {"calibration_error", "brier"}
    assert (asking.needs, asking.classes()) == ({"output", "classes"}, LABELS)
