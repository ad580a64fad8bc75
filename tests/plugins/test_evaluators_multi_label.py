"""MultiLabel by hand and beside torchmetrics."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multilabel_f1_score, multilabel_precision, multilabel_recall

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.multi_label import MultiLabel

LABELS = ["hot", "too loud", "wet"]


def sample(output: str, label: Any = None, **more: Any) -> Sample:
    return Sample("x", (), more.pop("reference", ""), output, label=label, **more)


def values(samples: list[Sample], **options: Any) -> dict[str, Any]:
    return {measure.name: measure for measure in MultiLabel(LABELS, **options).measure(samples)}


def test_outputs_and_labels_are_sets_of_classes() -> None:
    found = values(
        [
            sample("hot, too loud", ("too loud", "hot")),
            sample("HOT; wet", ("hot",)),
            sample("", ()),
            sample("Too_Loud\n", ("wet",)),
            sample("hot, burning", reference="hot"),
        ]
    )
    assert found["exact"].values == [1, 0, 1, 0, 1]
    assert found["unknown"].values == [0, 0, 0, 0, 1]
    assert found["precision"].value == pytest.approx(4 / 6)
    assert found["recall"].value == pytest.approx(4 / 5)
    assert found["f1"].value == pytest.approx(8 / 11)
    assert math.isnan(found["f1"].values[2])
    assert found["f1/hot"].value == 1
    assert found["f1/wet"].value == 0
    assert found["macro_f1"].value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert not found["unknown"].higher_is_better


def test_shares_of_any_rows_are_torchmetrics() -> None:
    draw = np.random.default_rng(0)
    gold, said = draw.random((40, 3)) < 0.4, draw.random((40, 3)) < 0.5
    named = [[name for name, is_it in zip(LABELS, row, strict=True) if is_it] for row in said]
    samples = [
        sample(", ".join(names), tuple(name for name, is_it in zip(LABELS, row, strict=True) if is_it))
        for names, row in zip(named, gold, strict=True)
    ]
    found = values(samples)
    chosen = draw.integers(0, 40, 60)
    preds, target = torch.tensor(said[chosen]).long(), torch.tensor(gold[chosen]).long()
    for name, theirs in (
        ("precision", multilabel_precision),
        ("recall", multilabel_recall),
        ("f1", multilabel_f1_score),
    ):
        expected = float(theirs(preds, target, num_labels=3, average="micro"))
        assert found[name].at(chosen.tolist()) == pytest.approx(expected)
    expected = float(multilabel_f1_score(preds, target, num_labels=3, average="macro"))
    assert found["macro_f1"].at(chosen.tolist()) == pytest.approx(expected)


def test_a_column_may_hold_the_classes_as_a_list_or_as_text() -> None:
    rows = [sample("wet", extras={"gold": ["wet"]}), sample("wet", extras={"gold": "wet, hot"})]
    assert values(rows, of="gold")["exact"].values == [1, 0]
    with pytest.raises(RecipeError, match=r"MultiLabel\.of is gold, which is no column of row x; it has none"):
        values([sample("wet")], of="gold")


@pytest.mark.parametrize("labels", [[], ["a", "A"], ["a", " "]])
def test_classes_that_cannot_be_told_apart_are_refused(labels: list[str]) -> None:
    with pytest.raises(RecipeError, match="give one or more, different in more than case and spaces"):
        MultiLabel(labels).measure([])
