"""Proxy: held-out areas by scikit-learn, permutations by scipy, and features that were planted."""

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tunesmith import DataError, Example, Findings, Message, RecipeError
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.probe import area, probe
from tunesmith_plugins.audits.proxy import Proxy
from tunesmith_plugins.fairness.planted import planted


def examine(examples: list[Example], **options: Any) -> Findings:
    return Proxy(**{"categories": ["gender"], **options}).examine(AuditSubject({"train": examples}))


@pytest.mark.parametrize("number", [2, 3])
def test_the_area_is_sklearns_and_p_near_the_rank_tests(number: int) -> None:
    drawn = np.random.default_rng(number)
    places = np.array([at % number for at in range(90)])
    scores = np.round(drawn.normal(size=(90, number)) + 0.3 * np.eye(number)[places], 1)  # with ties
    auc, p = area(scores, places, seed=0)
    if number == 2:
        assert auc == pytest.approx(roc_auc_score(places, scores[:, 1]))
        expected = stats.mannwhitneyu(scores[places == 1, 1], scores[places == 0, 1], alternative="greater").pvalue
        assert p == pytest.approx(expected, abs=0.015)
    else:
        each = [roc_auc_score(places == g, scores[:, g]) for g in range(3)]
        assert auc == pytest.approx(np.mean(each))
        assert 0 < p < 0.2


def test_permutations_of_nothing_are_uniform() -> None:
    drawn = np.random.default_rng(1)
    ps = [area(drawn.normal(size=(40, 2)), drawn.permutation(np.arange(40) % 2), seed)[1] for seed in range(60)]
    assert stats.kstest(ps, "uniform").pvalue > 0.01


def test_names_of_persons_are_no_words_that_tell() -> None:
    """Given names go with surnames, by which the group is told: what is left is the same in all rows."""
    people = {"white": ["Emily Walsh", "Anne Walsh"], "black": ["Jamal Washington", "Tyrone Alston"]}
    drawn = random.Random(4)
    examples = [
        Example(
            messages=(Message("user", f"{drawn.choice(people[drawn.choice([*people])])} asks for {thing}."),),
            id=str(at),
        )
        for at, thing in enumerate(["bread", "milk", "rice"] * 100)
    ]
    found = examine(examples, categories=["ethnicity"], columns=[])
    assert found.metrics["ethnicity_words_auc"] < 0.6
    assert found.severity == "none"
    told = {row[0] for row in found.tables[0].rows}
    assert told <= {"bread", "milk", "rice"}  # not `asks` and `for`, which all rows have


def test_a_planted_word_is_found_and_named() -> None:
    examples = planted("proxy", 0.6, 400, seed=1)
    found = examine(examples, columns=[])
    assert found.metrics["gender_words_auc"] == found.metrics["auc"] == pytest.approx(0.8, abs=0.08)
    assert found.metrics["balanced_accuracy"] == pytest.approx(0.8, abs=0.08)  # 0.5 + 0.6 / 2
    assert found.metrics["p"] == pytest.approx(1 / 2000)
    assert {row[0] for row in found.tables[0].rows[:2]} == {"netball", "chess"}
    name, group, inside, outside = found.tables[0].rows[0]
    holders = [("netball" in e.prompt[0].content, e.extras["group"]) for e in examples]
    share = {g: np.mean([has for has, of in holders if of == g]) for g in ("she", "he")}
    assert (group, name) in {("female", "netball"), ("male", "chess")}
    assert inside == pytest.approx(share["she"] if name == "netball" else 1 - share["he"])
    assert outside == pytest.approx(share["he"] if name == "netball" else 1 - share["she"])
    assert found.severity in {"medium", "high"}
    assert "words that do not name it tell the group" in found.summary
    by_id = {e.id: e for e in examples}
    assert all(name in by_id[i].prompt[0].content for i in found.evidence)


def test_words_that_name_the_group_and_names_tell_nothing() -> None:
    drawn = random.Random(2)
    texts = [
        f"{('Mary', 'James')[at % 2]} {('woman', 'man')[at % 2]} likes {drawn.choice('abcd')}x" for at in range(200)
    ]
    examples = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
    found = examine(examples, columns=[])
    assert found.severity == "none"
    assert not {row[0] for row in found.tables[0].rows} & {"mary", "james", "woman", "man"}


def columns(n: int = 300) -> list[Example]:
    drawn = random.Random(4)
    found = []
    for at in range(n):
        first = at % 2 == 0
        extras = {
            "sex": "f" if first else "m",
            "district": "north" if drawn.random() < (0.8 if first else 0.2) else "south",
            "income": drawn.gauss(30 if first else 32, 4),
            "name": f"n{at}",
            "vip": drawn.random() < 0.5,
        }
        found.append(Example(messages=(Message("user", f"Row {drawn.random()}."),), id=str(at), extras=extras))
    return found


def test_columns_are_probed_and_those_that_name_rows_left_out() -> None:
    found = examine(columns(), group="sex", categories=None)
    assert found.metrics["sex_columns_auc"] > 0.75
    assert {"district=north", "district=south"} == {row[0] for row in found.tables[-1].rows[:2]}
    assert {row[0] for row in found.tables[-1].rows} == {
        "district=north", "district=south", "income", "vip=True", "vip=False"}  # fmt: skip
    alone = examine(columns(), group="sex", categories=None, columns=["vip"])
    assert alone.severity == "none"


def test_of_three_groups_each_is_held_against_the_others() -> None:
    drawn = random.Random(6)
    examples = [
        Example(messages=(Message("user", f"It is {'red' if at % 3 == 0 else 'blue'} {drawn.choice('pqrs')}y."),),
                id=str(at), extras={"site": "abc"[at % 3]})
        for at in range(300)
    ]  # fmt: skip
    found = examine(examples, group="site", categories=None)
    assert 0.7 < found.metrics["site_words_auc"] < 0.9  # a is told, b and c are not: (1 + 0.75 + 0.75) / 3
    assert found.tables[0].rows[0][:2] == ("red", "a")


def test_a_column_of_two_values_is_enough() -> None:
    examples = columns()
    found = examine(examples, group="sex", categories=None, columns=["district"])
    told = np.mean([(e.extras["district"] == "north") == (e.extras["sex"] == "f") for e in examples])
    assert found.metrics["balanced_accuracy"] == pytest.approx(told, abs=0.06)
    assert found.severity == "medium"


def test_the_halves_are_those_of_ids_and_what_is_rare_is_left_out() -> None:
    rows = [{"x": 1.0} if at % 2 else {"y": 1.0} for at in range(80)]
    rows[0]["once"] = 1.0
    found = probe(rows, ["ab"[at % 2] for at in range(80)], [str(at) for at in range(80)])
    assert found is not None
    assert (found.auc, found.balanced) == (1, 1)
    assert {feature.name for feature in found.features} == {"x", "y"}
    assert 20 < found.rows < 60
    assert probe(rows[:8], ["ab"[at % 2] for at in range(8)], [str(at) for at in range(8)]) is None


def test_clean_rows_raise_no_alarm_and_few_rows_are_not_judged() -> None:
    clean = [examine(planted("proxy", 0.0, 200, seed=seed), columns=["town"]) for seed in range(20)]
    alarms = sum(found.severity != "none" for found in clean)
    assert alarms <= 4  # of 20 at 5 %: more in 0.3 % of trials of a right test
    few = examine(planted("proxy", 0.6, 30))
    assert all(math.isnan(value) for value in few.metrics.values())


def test_options_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match=r"Proxy\.columns is 'distric', no column; did you mean district"):
        examine(columns(4), columns=["distric"])
    with pytest.raises(DataError, match=r"Proxy\.group is 'sx', no column; did you mean sex"):
        examine(columns(4), group="sx")
    with pytest.raises(RecipeError, match="categories: 'gendre' is not in the lexicon"):
        Proxy(categories=["gendre"]).produces()
