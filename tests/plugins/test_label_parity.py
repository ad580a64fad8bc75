"""LabelParity: rates by hand, fairlearn's measures, and what chance explains."""

import math
import random
from typing import Any

import pytest
from scipy import stats

from tunesmith import DataError, Example, Findings, Message, RecipeError
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.label_parity import LabelParity


def rows(counts: dict[tuple[str, str, str], int], column: bool = True) -> list[Example]:
    """So many rows of a group, a label and a true label."""
    made = []
    for (group, label, true), number in counts.items():
        for at in range(number):
            asked = Message("user", "It applies." if column else f"{group} applies.")
            extras = {"true": true} | ({"group": group} if column else {})
            made.append(Example(messages=(asked,), label=label, id=f"{group}-{label}-{true}-{at}", extras=extras))
    return made


HIRED = {
    ("f", "hire", "hire"): 8, ("f", "no", "hire"): 12, ("f", "hire", "no"): 2, ("f", "no", "no"): 18,
    ("m", "hire", "hire"): 15, ("m", "no", "hire"): 5, ("m", "hire", "no"): 6, ("m", "no", "no"): 24,
}  # fmt: skip


def examine(examples: list[Example], **options: Any) -> Findings:
    return LabelParity(**options).examine(AuditSubject({"train": examples}))


def test_rates_and_differences_by_hand() -> None:
    found = examine(rows(HIRED), group="group", outcome="hire", true_label="true")
    # women 10 of 40, men 21 of 50
    assert found.metrics["group_difference"] == pytest.approx(0.42 - 0.25)
    assert found.metrics["group_ratio"] == pytest.approx(0.25 / 0.42)
    # true positive rates 8/20 and 15/20, false positive rates 2/20 and 6/30
    assert found.metrics["odds_difference"] == pytest.approx(0.35)
    assert found.metrics["p"] == pytest.approx(stats.fisher_exact([[10, 30], [21, 29]]).pvalue)
    assert found.severity == "none"  # p is 0.12
    assert "No difference that chance does not explain" in found.summary
    (table,) = found.tables
    assert table.rows[0][:4] == ("f", 40, 10, 0.25)


def test_an_outcome_that_no_example_has_is_not_called_even() -> None:
    """A misspelt one has a rate of 0 in all groups, which would meet any threshold."""
    found = examine(rows(HIRED), group="group", outcome="hired")
    assert (
        found.summary
        == "no example has the outcome 'hired'; did you mean hire? (there are: no, hire): nothing to judge"
    )
    assert math.isnan(found.metrics["difference"])
    assert math.isnan(found.metrics["group_p"])
    assert not math.isnan(examine(rows(HIRED), group="group", outcome="hire").metrics["difference"])
    assert "fewer than two groups" in examine([], outcome="hired").summary


def test_equal_rates_are_said_to_be_alike() -> None:
    found = examine(rows({("f", "yes", "?"): 20, ("m", "yes", "?"): 20}), group="group")
    assert found.summary == "No difference. group: 'yes' is given to all groups alike."


def test_measures_are_fairlearns() -> None:
    fair = pytest.importorskip("fairlearn.metrics")
    drawn = random.Random(3)
    examples = [
        Example(
            messages=(Message("user", "?"),), label=drawn.choice("ny"), id=str(at),
            extras={"g": drawn.choice("abc"), "t": drawn.choice("ny")},
        )
        for at in range(300)
    ]  # fmt: skip
    found = examine(examples, group="g", outcome="y", true_label="t").metrics
    true, got, group = ([e.extras["t"] == "y" for e in examples], [e.label == "y" for e in examples],
                        [e.extras["g"] for e in examples])  # fmt: skip
    for name, metric in [("difference", "demographic_parity_difference"), ("ratio", "demographic_parity_ratio"),
                         ("odds_difference", "equalized_odds_difference")]:  # fmt: skip
        expected = getattr(fair, metric)(true, got, sensitive_features=group)
        assert found[name] == pytest.approx(expected), name


def test_groups_are_told_by_names_where_no_word_names_one() -> None:
    """As in the audit by Bertrand and Mullainathan (2004), letters that differ in names alone."""
    counts = {("Karen Walsh", "yes", "?"): 20, ("Karen Walsh", "no", "?"): 20, ("Ebony Washington", "yes", "?"): 4,
              ("Ebony Washington", "no", "?"): 36}  # fmt: skip
    found = examine(rows(counts, column=False), label="label", outcome="yes", categories=["ethnicity"])
    assert found.metrics["ethnicity_difference"] == pytest.approx(0.4)
    assert "'yes' is given to white more often than to black" in found.summary


def test_groups_are_told_by_words_and_what_is_found_has_evidence() -> None:
    counts = {("She", "hire", "?"): 10, ("She", "no", "?"): 40, ("He", "hire", "?"): 30, ("He", "no", "?"): 20}
    both = Example(messages=(Message("user", "He and she apply."),), label="hire", id="both")
    found = examine([*rows(counts, column=False), both], categories=["gender"])
    assert found.severity == "high"
    assert found.metrics["gender_difference"] == pytest.approx(0.4)
    assert "'hire' is given to male more often than to female, by 0.40" in found.summary or "'no'" in found.summary
    assert found.evidence
    assert "both" not in found.evidence
    assert "Reweigh" in found.advice


def test_p_values_are_corrected_for_the_categories() -> None:
    counts = {("The Christian man", "x", "?"): 30, ("The Christian man", "y", "?"): 10,
              ("The Jewish woman", "x", "?"): 20, ("The Jewish woman", "y", "?"): 20}  # fmt: skip
    found = examine(rows(counts, column=False), categories=["gender", "religion"])
    p = stats.fisher_exact([[30, 10], [20, 20]]).pvalue
    assert found.metrics["gender_p"] == found.metrics["religion_p"] == pytest.approx(2 * p)
    alone = examine(rows(counts, column=False), categories=["gender"])
    assert (found.severity, alone.severity) == ("none", "high")  # 0.037 by itself, 0.073 as one of two


def test_many_labels_are_tested_at_once() -> None:
    counts = {("f", "a", "?"): 20, ("f", "b", "?"): 10, ("f", "c", "?"): 20,
              ("m", "a", "?"): 10, ("m", "b", "?"): 30, ("m", "c", "?"): 10}  # fmt: skip
    found = examine(rows(counts), group="group")
    expected = stats.chi2_contingency([[20, 10, 20], [10, 30, 10]], correction=False).pvalue
    assert found.metrics["p"] == pytest.approx(expected)
    assert found.metrics["difference"] == pytest.approx(0.4)
    assert "'b'" in found.summary


def test_small_groups_are_shown_and_not_compared() -> None:
    counts = {("f", "x", "?"): 30, ("m", "x", "?"): 15, ("m", "y", "?"): 15, ("n", "y", "?"): 3}
    found = examine(rows(counts), group="group")
    assert found.metrics["difference"] == pytest.approx(0.5)
    assert [row[0] for row in found.tables[0].rows] == ["f", "m", "n"]
    few = examine(rows({("f", "x", "?"): 30, ("m", "y", "?"): 3}), group="group")
    assert math.isnan(few.metrics["difference"])
    assert few.severity == "none"


def test_texts_are_no_labels() -> None:
    examples = [
        Example(messages=(Message("user", "She" if at % 2 else "He"), Message("assistant", f"Text {at}")), id=str(at))
        for at in range(60)
    ]
    assert math.isnan(examine(examples, label="answer").metrics["difference"])


def test_false_alarms_are_as_rare_as_alpha_says_and_a_planted_bias_is_found() -> None:
    drawn, alarms, hits = random.Random(7), 0, 0
    for bias in (0.0, 0.3):
        for _ in range(100):
            examples = [
                Example(messages=(Message("user", "?"),), id=str(at), extras={"g": "ab"[at % 2]},
                        label="y" if drawn.random() < 0.4 + bias * (at % 2) else "n")
                for at in range(200)
            ]  # fmt: skip
            severe = examine(examples, group="g").severity != "none"
            alarms += severe and not bias
            hits += severe and bool(bias)
    assert alarms <= 9  # of 100 at 5 %: more than 9 in 2.8 % of trials of a right test, Fisher's errs on the safe side
    assert hits >= 95


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"label": "labl"}, DataError, r"LabelParity\.label is 'labl', no column; did you mean label"),
        ({"group": "gruop"}, DataError, "group is 'gruop', no column; did you mean group"),
        ({"true_label": "treu"}, DataError, "true_label is 'treu', no column; did you mean true"),
        ({"group": "group", "categories": ["age"]}, RecipeError, "group and categories are both given"),
        ({"categories": ["agee"]}, RecipeError, "categories: 'agee' is not in the lexicon"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        examine(rows(HIRED), **options)
