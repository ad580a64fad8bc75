"""Representation against a population, by columns, crossed, with minimum sizes: by scipy, statsmodels and by hand."""

import math
import random
from typing import Any

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tunesmith import DataError, Example, Findings, Message, RecipeError
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.representation import Representation


def rows(counts: dict[str, int], **extras: Any) -> list[Example]:
    return [
        Example(messages=(Message("user", text),), id=f"{text}-{at}", extras=extras)
        for text, number in counts.items()
        for at in range(number)
    ]


def sites(counts: dict[tuple[str, str], int]) -> list[Example]:
    """So many rows of a gender and a site, both columns."""
    return [
        Example(messages=(Message("user", "?"),), id=f"{a}-{b}-{at}", extras={"sex": a, "site": b})
        for (a, b), number in counts.items()
        for at in range(number)
    ]


def examine(examples: list[Example], **options: Any) -> Findings:
    return Representation(**options).examine(AuditSubject({"train": examples}))


def shares(found: Findings, name: str) -> dict[str, dict[str, Any]]:
    (table,) = [one for one in found.tables if one.title.startswith(f"{name}: shares")]
    return {str(row[0]): dict(zip(table.columns, row, strict=True)) for row in table.rows}


STATED = {"religion": {"muslim": 0.2, "jewish": 0.1, "christian": 0.7}}


def test_shares_against_a_population_are_wilsons_and_the_binomials() -> None:
    counts = {"A Muslim": 12, "A Jew": 14, "A Catholic": 74, "A Sikh": 30, "A Muslim and a Jew": 9}
    found = examine(rows(counts), categories=["religion"], reference=STATED)
    shown = shares(found, "religion")
    seen = {"muslim": (12, 0.2), "jewish": (14, 0.1), "christian": (74, 0.7)}  # Sikhs are not in that population
    ps = [stats.binomtest(k, 100, share).pvalue for k, share in seen.values()]
    for (group, (k, share)), p in zip(seen.items(), multipletests(ps, method="holm")[1], strict=True):
        row = shown[group]
        assert (row["examples"], row["share"], row["expected"], row["ratio"]) == (k, k / 100, share, k / 100 / share)
        assert (row["from"], row["to"]) == pytest.approx(proportion_confint(k, 100, method="wilson"))
        assert row["p"] == pytest.approx(p)
    assert found.metrics["religion_gap"] == found.metrics["gap"] == 0  # 0.043, corrected 0.13
    assert found.severity == "none"
    twice = examine(rows({text: 3 * n for text, n in counts.items()}), categories=["religion"], reference=STATED)
    assert twice.metrics["religion_gap"] == pytest.approx(0.08)
    assert twice.severity == "low"  # 0.6 of what was expected
    assert "religion: muslim is 36 of 300 examples of one group, 12.0%" in twice.summary
    assert "the stated population would give 20.0%" in twice.summary
    assert "add examples that name muslim" in twice.advice
    assert any(i.startswith("A Muslim-") for i in twice.evidence)


@pytest.mark.parametrize(("women", "severity"), [(500, "none"), (380, "low"), (240, "medium"), (90, "high")])
def test_severity_follows_the_distance_from_the_population(women: int, severity: str) -> None:
    stated = {"gender": {"female": 0.5, "male": 0.5}}
    found = examine(rows({"She": women, "He": 1000 - women}), categories=["gender"], reference=stated)
    assert found.severity == severity


def test_an_uneven_population_makes_uneven_data_right() -> None:
    counts = {"She": 270, "He": 30}
    assert examine(rows(counts), categories=["gender"]).severity == "medium"
    stated = {"gender": {"female": 0.9, "male": 0.1}}
    found = examine(rows(counts), categories=["gender"], reference=stated)
    assert (found.severity, found.metrics["gap"]) == ("none", 0)
    assert found.metrics["p"] == pytest.approx(1)


def test_two_groups_are_one_test() -> None:
    found = examine(rows({"She": 40, "He": 60}), categories=["gender"])
    assert found.metrics["p"] == pytest.approx(stats.binomtest(40, 100, 0.5).pvalue)


def test_columns_are_dimensions_of_their_own() -> None:
    examples = sites({("f", "north"): 10, ("m", "north"): 90, ("f", "south"): 30, ("m", "south"): 20})
    found = examine(examples, columns=["sex", "site"], reference={"site": {"north": 0.5, "south": 0.4, "west": 0.1}})
    assert set(found.metrics) == {m.name for m in Representation(columns=["sex", "site"]).produces()}
    assert found.metrics["sex_imbalance"] == pytest.approx(1 - 40 / 110)
    shown = shares(found, "site")
    assert (shown["west"]["examples"], shown["west"]["share"]) == (0, 0)
    assert shown["west"]["p"] == pytest.approx(3 * stats.binomtest(0, 150, 0.1).pvalue, rel=0.4)  # Holm: 3 or 4 of 4
    assert found.severity == "high"  # none of the west
    assert "site: west is 0 of 150" in found.summary


CROSSED = {("f", "north"): 10, ("m", "north"): 50, ("f", "south"): 40, ("m", "south"): 20, ("f", "west"): 5,
           ("m", "west"): 5}  # fmt: skip


def test_intersections_are_held_against_independence() -> None:
    found = examine(sites(CROSSED), columns=["sex", "site"], intersections=["sex/site"])
    shown = shares(found, "sex_x_site")
    total, of_sex = 130, {"f": 55, "m": 75}
    of_site = {"north": 60, "south": 60, "west": 10}
    ps = {}
    for (sex, site), n in CROSSED.items():
        row, r, c = shown[f"{sex}/{site}"], of_sex[sex], of_site[site]
        assert row["examples"] == n
        assert row["expected"] == pytest.approx(r * c / total**2)
        ps[sex, site] = stats.fisher_exact([[n, r - n], [c - n, total - r - c + n]]).pvalue
    alone = [stats.binomtest(55, total, 0.5).pvalue]
    alone += [stats.binomtest(n, total, 1 / 3).pvalue for n in of_site.values()]
    corrected = multipletests([*alone, *ps.values()], method="holm")[1][4:]
    for (sex, site), p in zip(ps, corrected, strict=True):
        assert shown[f"{sex}/{site}"]["p"] == pytest.approx(p, rel=1e-6)
    assert found.metrics["sex_x_site_gap"] == pytest.approx(max(60 * 75, 60 * 55) / total**2 - 20 / 130, abs=0.02)
    assert found.severity in {"medium", "high"}


def test_the_margins_alone_do_not_show_what_is_crossed() -> None:
    counts = {("f", "north"): 45, ("m", "north"): 5, ("f", "south"): 5, ("m", "south"): 45}
    assert examine(sites(counts), columns=["sex", "site"]).severity == "none"
    found = examine(sites(counts), columns=["sex", "site"], intersections=["sex/site"])
    assert found.severity == "high"
    assert found.metrics["sex_x_site_gap"] == pytest.approx(0.2)
    p = stats.fisher_exact([[45, 5], [5, 45]]).pvalue
    assert found.metrics["p"] == pytest.approx(3 * p)  # four cells are one test; two more are of the margins


def test_words_and_columns_cross_and_a_population_may_be_stated_of_both() -> None:
    stated = {"gender/site": {"female/north": 0.25, "male/north": 0.25, "female/south": 0.25, "male/south": 0.25}}
    examples = rows({"She": 40, "He": 5}, site="north") + [
        e.with_(id=f"{e.id}-s") for e in rows({"She": 5, "He": 50, "He and she": 70}, site="south")
    ]
    found = examine(examples, categories=["gender"], columns=["site"], intersections=["gender/site"], reference=stated)
    shown = shares(found, "gender_x_site")
    assert {name: row["examples"] for name, row in shown.items()} == {
        "female/north": 40, "male/north": 5, "female/south": 5, "male/south": 50}  # fmt: skip
    assert found.metrics["gender_x_site_gap"] == pytest.approx(50 / 100 - 0.25)


def test_groups_that_are_too_small_are_named() -> None:
    counts = {("f", "north"): 50, ("m", "north"): 45, ("f", "south"): 45, ("m", "south"): 3}
    options: dict[str, Any] = {"columns": ["sex", "site"], "intersections": ["sex/site"], "min_per_group": 10}
    found = examine(sites(counts), **options)
    assert found.metrics["small_groups"] == 1
    assert "Fewer than 10 examples: m/south (sex_x_site)" in found.summary
    short = examine(rows({"She": 6, "He": 5, "It": 30}), categories=["gender"], min_per_group=20)
    assert short.metrics["small_groups"] == 2  # groups, not categories
    few = examine(rows({"She": 6, "He": 5}), categories=["gender"], min_per_group=6)
    assert few.metrics["small_groups"] == 1
    assert math.isnan(examine(rows({"She": 6}), categories=["gender"]).metrics["small_groups"])


def test_false_alarms_are_rare_and_a_planted_lack_is_found() -> None:
    drawn, alarms, hits = random.Random(3), 0, 0
    for share in (0.5, 0.3):
        for _ in range(60):
            women = sum(drawn.random() < share for _ in range(150))
            severe = examine(rows({"She": women, "He": 150 - women}), categories=["gender"]).severity != "none"
            alarms += severe and share == 0.5
            hits += severe and share != 0.5
    assert alarms <= 7  # of 60 at 5 %: more than 7 in 1 % of trials of a right test
    assert hits >= 50  # 0.3 of 150 is 45 on average, and from 50 down men are twice as many


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reference": {"gendre": {"female": 1.0}}}, "reference: 'gendre' is not looked at; did you mean gender"),
        ({"reference": {"gender": {"femal": 1.0}}}, "reference: gender has no group 'femal'; did you mean female"),
        ({"reference": {"gender": {"female": 0.5, "male": 0.4}}}, "shares of gender sum to 0.9; each has to be above"),
        ({"reference": {"gender": {"female": 1.0, "male": 0.0}}}, "each has to be above 0, and all together 1"),
        ({"intersections": ["gender"]}, "intersections: 'gender' is no pair of categories or columns"),
        ({"intersections": ["gender/aeg"]}, "'gender/aeg' is no pair .*; did you mean age"),
        (
            {"intersections": ["gender/age"], "reference": {"gender/age": {"female": 1.0}}},
            "gender/age has no group 'female', a crossing is written female/black",
        ),
        ({"columns": ["gender"], "categories": ["gender"]}, "columns: gender: one is there twice"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_runs(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Representation(**options).produces()


def test_columns_have_to_be_there_and_hold_groups() -> None:
    with pytest.raises(RecipeError, match="columns is 'sx', no column; did you mean sex"):
        examine(sites(CROSSED), columns=["sx"])
    many = [Example(messages=(Message("user", "?"),), id=str(at), extras={"name": str(at)}) for at in range(60)]
    with pytest.raises(DataError, match="name has 60 values; groups are 50 at most"):
        examine(many, columns=["name"])


def test_small_crossings_are_counted_each_and_are_low() -> None:
    """All groups have enough, and two of their four crossings have not."""
    cells = {("f", "north"): 30, ("f", "south"): 3, ("m", "north"): 4, ("m", "south"): 30}
    examples = [
        Example(messages=(Message("user", "?"),), id=f"{sex}-{site}-{at}", extras={"sex": sex, "site": site})
        for (sex, site), number in cells.items()
        for at in range(number)
    ]
    given: dict[str, Any] = {"columns": ["sex", "site"], "intersections": ["sex/site"], "alpha": 0.0}
    found = examine(examples, **given, min_per_group=5)
    assert found.metrics["small_groups"] == 2
    assert "Fewer than 5 examples: f/south (sex_x_site), m/north (sex_x_site)." in found.summary
    assert found.severity == "low"
    assert set(found.evidence) == {*(f"f-south-{at}" for at in range(3)), *(f"m-north-{at}" for at in range(4))}
    assert examine(examples, **given, min_per_group=3).severity == "none"
