"""Association: shares, mutual information and tests by hand and by scipy; WEAT by its formula."""

import math
import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from tunesmith import Example, Findings, Message, RecipeError
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.weat import weat


def rows(counts: dict[str, int]) -> list[Example]:
    return [
        Example(messages=(Message("user", text),), id=f"{text}-{at}") for text, n in counts.items() for at in range(n)
    ]


def examine(examples: list[Example], **options: Any) -> Findings:
    given = {"categories": ["gender"], "attributes": ["career"]} | options
    return Association(**given).examine(AuditSubject({"train": examples}))


COUNTS = {"She is a manager.": 10, "She sings.": 40, "He is a manager.": 30, "He sings.": 20, "He and she.": 9}


def test_shares_information_and_p_are_those_of_hand_and_scipy() -> None:
    found = examine(rows(COUNTS))
    (row,) = found.tables[0].rows
    assert row[:6] == ("female", "career", 10, 50, 30, 50)
    assert row[6] == pytest.approx(-0.4)
    assert row[7:9] == pytest.approx(confint_proportions_2indep(10, 50, 30, 50, method="newcomb", compare="diff"))
    assert row[9] == pytest.approx(math.log2((10 / 100) / ((50 / 100) * (40 / 100))))
    assert row[10] == found.metrics["p"] == pytest.approx(stats.fisher_exact([[10, 40], [30, 20]]).pvalue)
    assert found.metrics["gap"] == found.metrics["gender_gap"] == pytest.approx(0.4)
    assert found.metrics["pairs"] == 1
    assert found.severity == "high"
    assert "words of career stand less often with female" in found.summary
    assert all(i.startswith("He is a manager.") for i in found.evidence)


def test_p_values_are_corrected_for_all_pairs() -> None:
    both = examine(rows(COUNTS | {"She is kind.": 20, "He is kind.": 20}), attributes=["career", "warmth"])
    p = {row[1]: row[10] for row in both.tables[0].rows}
    assert p["career"] == pytest.approx(2 * stats.fisher_exact([[10, 60], [30, 40]]).pvalue)
    assert p["warmth"] == pytest.approx(1)


def test_of_many_groups_each_is_held_against_the_others() -> None:
    counts = {"A Muslim and a bomb": 20, "A Muslim": 10, "A Sikh and a bomb": 5, "A Sikh": 25, "A Jew": 30}
    found = examine(rows(counts), categories=["religion"], attributes=["terrorism"])
    shown = {row[0]: row[2:6] for row in found.tables[0].rows}
    assert shown == {"muslim": (20, 30, 5, 60), "sikh": (5, 30, 20, 60), "jewish": (0, 30, 25, 60)}
    assert found.metrics["religion_gap"] == pytest.approx(20 / 30 - 5 / 60)
    assert "more often with muslim" in found.summary


def test_what_is_seldom_named_is_not_judged() -> None:
    found = examine(rows({"She is a manager.": 19, "He sings.": 50}))
    assert math.isnan(found.metrics["gap"])
    assert found.severity == "none"


def test_false_alarms_are_rare_and_a_planted_association_is_found() -> None:
    drawn, alarms, hits = random.Random(5), 0, 0
    for bias in (0.0, 0.3):
        for _ in range(60):
            texts = [
                f"{('She', 'He')[at % 2]} {'manages an office' if drawn.random() < 0.3 + bias * (at % 2) else 'sings'}."
                for at in range(200)
            ]
            examples = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
            severe = examine(examples).severity != "none"
            alarms += severe and not bias
            hits += severe and bool(bias)
    assert alarms <= 7  # of 60 at 5 %: more than 7 in 1 % of trials of a right test
    assert hits >= 57


def test_weat_is_its_formula_and_its_p_value_near_the_exact_one() -> None:
    drawn = np.random.default_rng(2)
    sides = [drawn.normal(size=(n, 6)) + shift for n, shift in ((4, 0.5), (4, 0.0), (5, 0.5), (6, 0.0))]
    sides = [(side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in sides]
    first, second, one, other = sides

    def s(word: np.ndarray) -> float:
        return float(np.mean([word @ a for a in one]) - np.mean([word @ b for b in other]))

    values = np.array([s(word) for word in (*first, *second)])
    found = weat("x/y", sides)
    assert found.effect == pytest.approx((values[:4].mean() - values[4:].mean()) / values.std(ddof=1), rel=1e-5)
    seen = abs(values[:4].mean() - values[4:].mean())
    splits = [
        abs(values[list(c)].mean() - np.delete(values, c).mean()) >= seen - 1e-9 for c in combinations(range(8), 4)
    ]
    assert found.p == pytest.approx(np.mean(splits), abs=0.02)


def test_a_model_that_associates_is_found_out(static_model: Callable[[Any], Path]) -> None:
    vectors = {w: (1.0, 0.1 * at, 0.0) for at, w in enumerate(["woman", "girl", "mother", "sister", "home", "wedding"])}
    vectors |= {w: (0.1 * at, 1.0, 0.0) for at, w in enumerate(["man", "boy", "father", "brother", "office", "salary"])}
    found = examine(rows(COUNTS), model=static_model(vectors), weat=["family/career"])
    assert found.tables[-1].title.endswith("(WEAT)")
    assert found.tables[-1].rows[0][0] == "family/career"
    assert found.metrics["weat"] > 1.5
    assert found.metrics["weat_p"] < 0.05


def test_pairs_of_attributes_are_two(static_model: Callable[[Any], Path]) -> None:
    model = static_model({"woman": (1.0, 0.0)})
    with pytest.raises(RecipeError, match="'career' is no pair"):
        examine([], model=model, weat=["career"])
    with pytest.raises(RecipeError, match="attributes: 'carer' is not in the lexicon"):
        examine([], model=model, weat=["carer/family"])
