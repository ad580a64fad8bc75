"""QualityParity: effects and p-values by hand, by numpy and by scipy."""

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunesmith import DataError, Example, Findings, Message
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.quality_parity import QualityParity


def row(name: str, asked: str, said: str, **extras: Any) -> Example:
    return Example(messages=(Message("user", asked), Message("assistant", said)), id=name, extras=extras)


def examine(examples: list[Example], **options: Any) -> Findings:
    return QualityParity(**{"categories": ["gender"], **options}).examine(AuditSubject({"train": examples}))


def lengths(seed: int, more: int) -> list[Example]:
    drawn = random.Random(seed)
    return [
        row(str(at), "She asks." if at % 2 else "He asks.", "It is so. " * (drawn.randint(1, 9) + more * (at % 2)))
        for at in range(120)
    ]


def test_effects_and_p_values_are_cohens_and_kruskals() -> None:
    examples = lengths(1, 3)
    found = examine(examples)
    women = np.array([len(e.reference.split()) for e in examples[1::2]])
    men = np.array([len(e.reference.split()) for e in examples[::2]])
    spread = np.sqrt((((women - women.mean()) ** 2).sum() + ((men - men.mean()) ** 2).sum()) / 118)
    assert found.metrics["gender_length"] == pytest.approx((women.mean() - men.mean()) / spread)
    assert found.metrics["effect"] == found.metrics["gender_length"]
    assert found.metrics["p"] == pytest.approx(3 * stats.kruskal(women, men).pvalue)  # Holm: one of three
    assert found.metrics["gender_grade"] == found.metrics["gender_flaws"] == 0
    assert found.severity == "high"
    assert "gender: the length of references is" in found.summary
    assert "for male anew" in found.advice
    shortest = min(examples[::2], key=lambda e: len(e.reference))
    assert len(next(e for e in examples if e.id == found.evidence[0]).reference) == len(shortest.reference)


def test_flaws_are_counted() -> None:
    careless = "the the patient is ill , and waits"  # in lower case, a word twice, a space before a mark, no end
    examples = [row(f"f{at}", "She?", "The patient is ill, and waits.") for at in range(30)]
    examples += [row(f"m{at}", "He?", careless) for at in range(30)]
    found = examine(examples)
    shown = {(r[0], r[1]): r[2] for r in found.tables[0].rows}
    assert shown["flaws", "female"] == 0
    assert shown["flaws", "male"] == pytest.approx(100 * 4 / len(careless.split()))
    assert found.metrics["gender_flaws"] > 1
    assert found.severity == "high"


def test_the_grade_is_flesch_and_kincaids() -> None:
    examples = [row(f"f{at}", "She?", "The cat sat on the mat.") for at in range(20)]
    examples += [row(f"m{at}", "He?", "Considerable deterioration necessitates hospitalisation.") for at in range(20)]
    shown = {(r[0], r[1]): r[2] for r in examine(examples).tables[0].rows}
    assert shown["grade", "female"] == pytest.approx(0.39 * 6 + 11.8 * 1 - 15.59)
    assert shown["grade", "male"] > 20


def test_errors_that_people_noted_take_the_place_of_flaws() -> None:
    examples = [row(str(at), "?", "Yes.", site="ab"[at % 2], wrong=int(at % 4 == 1)) for at in range(80)]
    found = examine(examples, categories=None, group="site", error="wrong")
    shown = {(r[0], r[1]): r[2] for r in found.tables[0].rows}
    assert (shown["flaws", "a"], shown["flaws", "b"]) == (0, 0.5)
    assert found.severity == "high"
    assert set(found.evidence) <= {e.id for e in examples if e.extras["site"] == "b" and e.extras["wrong"]}
    with pytest.raises(DataError, match=r"column wrong of row x holds no number"):
        examine([row("x", "?", "Yes.", site="a", wrong="many")], categories=None, group="site", error="wrong")


def test_few_references_are_not_judged_and_columns_have_to_be_there() -> None:
    found = examine(lengths(1, 3)[:30])
    assert all(math.isnan(value) for value in found.metrics.values())
    assert found.severity == "none"
    with pytest.raises(DataError, match="group is 'sites', no column; did you mean site"):
        examine([row("x", "?", "Yes.", site="a")], categories=None, group="sites")


def test_false_alarms_are_rare_and_a_planted_difference_is_found() -> None:
    alarms = sum(examine(lengths(seed, 0)).severity != "none" for seed in range(60))
    hits = sum(examine(lengths(seed, 3)).severity != "none" for seed in range(60))
    assert alarms <= 7  # of 60 at 5 %: more than 7 in 1 % of trials of a right test
    assert hits >= 57
