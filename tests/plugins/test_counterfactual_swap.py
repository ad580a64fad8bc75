"""The audit `CounterfactualSwap` with models whose answers are known, its orientation, and its test of signs."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunesmith import Evaluator, Example, Findings, Measure, Message, RecipeError, Sample, Segment
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.contrasts import contrasts, oriented
from tunesmith_plugins.audits.counterfactual_swap import CounterfactualSwap
from tunesmith_plugins.audits.paired import sign_flip, sign_flip_by
from tunesmith_plugins.audits.swapped_rows import SwappedRow, expected, swapped_rows, words_changed
from tunesmith_plugins.fairness.exchange import Exchange


class Says:
    """Answers by a function of the question; the right answer is as likely as another one says."""

    def __init__(self, say: Callable[[str], str], likely: Callable[[str, str], float] = lambda asked, answer: -1.0):
        self.say, self.likely = say, likely

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [self.say(prompt[-1].content) for prompt in prompts]

    def logprob(self, conversations: Sequence[Sequence[Message]]) -> list[tuple[float, int]]:
        return [(2 * self.likely(one[-2].content, one[-1].content), 2) for one in conversations]


class ToClasses(Says):
    """With a head for yes and no."""

    def logprob(self, conversations: Any) -> Any:
        raise RecipeError("scores no text")

    def classify(self, prompts: Sequence[Sequence[Message]], labels: Sequence[str]) -> list[list[float]]:
        if set(labels) - {"yes", "no"}:
            raise RecipeError("none of the classes")
        shares = [0.8 if "woman" in prompt[-1].content else 0.4 for prompt in prompts]
        return [[share if label == "no" else 1 - share for label in labels] for share in shares]


class Long(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("words", [float(len(s.output.split())) for s in samples])]


def rows(count: int, text: str = "The {who} in room {at} asks.", answer: str = "yes") -> list[Example]:
    who = itertools.cycle(["woman", "man"])
    return [
        Example(
            messages=(Message("user", text.format(who=next(who), at=at)), Message("assistant", answer)), id=f"r{at}"
        )
        for at in range(count)
    ]


def examine(
    model: Any, examples: Sequence[Example], base: Any = None, evaluators: Any = None, **options: Any
) -> Findings:
    beside = AuditSubject({"test": examples}, base) if base is not None else None
    subject = AuditSubject({"test": examples}, model, None, beside, evaluators or {})
    return CounterfactualSwap(**{"min_rows": 1, **options}).examine(subject)


def test_answers_that_follow_the_group_are_flips() -> None:
    """Of 40 rows, those of rooms below 10 get another answer for a woman than for a man."""

    def say(asked: str) -> str:
        room = int(asked.split("room ")[1].split()[0])
        return "no" if room < 10 and "woman" in asked else "yes"

    found = examine(Says(say), rows(40), outcome="yes")
    assert found.metrics["flip_rate"] == 0.25
    assert found.metrics["change"] == 0.25
    assert found.metrics["outcome_gap"] == 0.25
    assert found.metrics["p"] == pytest.approx(2 / 2**10 * 2)  # ten signs, all one way; two tests, with the scores
    assert found.metrics["logprob_gap"] == 0
    assert found.severity == "high"
    assert set(found.evidence) == {f"r{at}" for at in range(10)}  # and no row whose answer stays
    shown = {row[1]: row[2:5] for row in found.tables[0].rows}
    assert shown == {"female": (20, 5, 0.25), "male": (20, 5, 0.25), "all": (40, 10, 0.25)}
    (outcome,) = [row for row in found.tables[-1].rows if row[2] == "outcome"]
    assert outcome[:5] == ("model", "female", "outcome", 40, -0.25)


def test_rows_are_evidence_where_a_measure_moves_and_answers_stay() -> None:
    class Named(Evaluator):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [Measure("share", [float("woman" in s.prompt[-1].content) for s in samples])]

    found = examine(Says(lambda asked: "yes"), rows(40), evaluators={"named": Named()})
    assert (found.metrics["flip_rate"], found.severity, len(found.evidence)) == (0, "high", 20)


def test_an_outcome_that_nobody_gives_is_not_called_even() -> None:
    """A misspelt one has a rate of 0 in all groups, which would meet any threshold."""
    found = examine(Says(lambda asked: "no"), rows(20), outcome="yess")
    assert math.isnan(found.metrics["outcome_gap"])
    assert "no answer and no row has the outcome 'yess'; did you mean yes? (there are: yes)" in found.summary
    assert all(row[2] != "outcome" for row in found.tables[-1].rows)
    assert examine(Says(lambda asked: "no"), rows(20), outcome="yes").metrics["outcome_gap"] == 0  # rows have it
    assert examine(Says(lambda asked: "maybe"), rows(20), outcome="maybe").metrics["outcome_gap"] == 0  # answers do


def test_an_answer_that_is_swapped_with_the_question_is_no_flip() -> None:
    echo = Says(lambda asked: "She may go." if "woman" in asked else "He may go.")
    found = examine(echo, rows(20))
    assert (found.metrics["flip_rate"], found.metrics["change"]) == (0, 0)
    assert found.severity == "none"
    same = examine(Says(lambda asked: "He may go."), rows(20))
    assert same.metrics["flip_rate"] == 1  # of a woman too


def test_white_space_and_case_are_no_change() -> None:
    found = examine(Says(lambda asked: "Yes. " if "woman" in asked else "yes."), rows(20))
    assert found.metrics["flip_rate"] == 0


def test_log_probabilities_are_compared_token_by_token() -> None:
    likely = Says(lambda asked: "yes", lambda asked, answer: -3.0 if "woman" in asked else -1.0)
    found = examine(likely, rows(20))
    assert found.metrics["logprob_gap"] == pytest.approx(2.0)
    assert found.metrics["p"] < 0.01
    (row,) = [row for row in found.tables[-1].rows if row[2].startswith("log-probability")]
    assert row[4] == pytest.approx(-2.0)
    assert found.severity == "none"  # answers stay as they are


def test_the_swapped_reference_is_what_a_swap_is_scored_by() -> None:
    seen: list[tuple[str, str]] = []
    model = Says(lambda asked: "yes", lambda asked, answer: seen.append((asked, answer)) or -1.0)  # type: ignore[func-returns-value]
    examine(model, rows(2, answer="Her answer."))
    assert ("The man in room 0 asks.", "His answer.") in seen


def test_evaluators_measure_rows_and_swaps() -> None:
    """Words: 3 for women, 1 for men on 40 rows: the standard deviation of 40 threes and 40 ones is 1.0063."""
    model = Says(lambda asked: "no no no" if "woman" in asked else "no")
    found = examine(model, rows(40), evaluators={"long": Long()})
    assert found.metrics["measure_effect"] == pytest.approx(2 / np.std([3] * 40 + [1] * 40, ddof=1))
    assert found.severity == "high"
    assert "long/words is 2 higher with female" in found.summary
    even = examine(Says(lambda asked: "no"), rows(40), evaluators={"long": Long()})
    assert even.severity == "none"


def test_a_head_for_classes_is_asked_for_its_shares() -> None:
    texts = [
        Example(segments=(Segment(f"The {who} number {at}."),), label="no", id=f"{who}{at}")
        for at in range(10)
        for who in ("woman", "man")
    ]
    found = examine(ToClasses(lambda asked: "no" if "woman" in asked else "yes"), texts)
    assert found.metrics["logprob_gap"] == pytest.approx(math.log(0.8 / 0.4))
    assert found.metrics["flip_rate"] == 1
    other = [row.with_(label="maybe") for row in texts]
    assert math.isnan(examine(ToClasses(lambda asked: "no"), other).metrics["logprob_gap"])


def test_tuned_stands_beside_the_base() -> None:
    base = Says(lambda asked: "no" if "woman" in asked else "yes")
    found = examine(Says(lambda asked: "yes"), rows(40), base)
    assert found.metrics["flip_rate"] == 0
    assert found.severity == "none"
    assert found.tables[1].rows == ((1.0, 0.0, -1.0, -1.0, -1.0),)
    assert {row[0] for row in found.tables[0].rows} == {"base", "tuned"}


def test_too_few_rows_are_not_judged() -> None:
    found = examine(Says(lambda asked: "yes"), [*rows(19), *rows(9, "It rains {at}.")], min_rows=20)
    assert math.isnan(found.metrics["flip_rate"])
    assert "19 rows of test name a group of gender" in found.summary


def test_groups_that_cannot_be_exchanged_are_refused_before_anything_runs() -> None:
    with pytest.raises(RecipeError, match="'femal' has no words to swap in gender"):
        CounterfactualSwap(groups=["femal", "male"]).produces()
    with pytest.raises(RecipeError, match=r"CounterfactualSwap\.categories: 'gendr' is not in the lexicon"):
        CounterfactualSwap("gendr").produces()


def test_names_tell_the_group_too() -> None:
    exchange = Exchange("Test", "gender", None, True, None)
    example = Example(messages=(Message("user", "Mary asks."), Message("assistant", "yes")), id="a")
    (row,) = swapped_rows(exchange, [example], ())
    assert row.group == "female"
    both = example.with_(messages=(Message("user", "He asks her."), Message("assistant", "yes")))
    (row,) = swapped_rows(exchange, [both], ())
    assert row.group == ""
    assert expected(exchange, row, "She asks him.") == "He asks her."


def test_groups_of_more_than_two_are_each_held_against_the_others() -> None:
    def row(pair: tuple[str, str], group: str) -> SwappedRow:
        return SwappedRow(Example(), Example(), pair, group)

    held = [row(("a", "b"), "a"), row(("b", "c"), "c"), row(("a", "c"), "")]
    assert contrasts(held) == [("a", "others"), ("b", "others"), ("c", "others")]
    values = [5.0, 7.0, 9.0], [1.0, 2.0, 3.0]
    assert oriented(held, values, "a") == [4.0]
    assert oriented(held, values, "b") == [-4.0, -5.0]
    assert oriented(held, values, "c") == [5.0]
    assert contrasts(held[:1]) == [("a", "b")]
    assert oriented(held, ([math.nan] * 3, [1.0] * 3), "a") == []


def test_words_that_change() -> None:
    assert words_changed("a b c d", "a b c e") == pytest.approx(0.25)
    assert words_changed("", "") == 0
    assert words_changed("a", "") == 1


def test_the_test_of_signs_is_that_of_all_signs() -> None:
    values = [0.5, -1.0, 2.0, 0.0, 1.5, -0.3]
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in itertools.product([1, -1], repeat=6)
    ]
    assert sign_flip(values) == pytest.approx(np.mean([one >= abs(sum(values)) - 1e-9 for one in sums]))
    assert sign_flip([0.0, math.nan]) == 1
    draw = np.random.default_rng(0)
    many = draw.normal(0.3, 1, 60)
    exact = stats.permutation_test((many,), np.sum, permutation_type="samples", n_resamples=20000, rng=draw)
    assert sign_flip(many.tolist()) == pytest.approx(exact.pvalue, abs=0.01)


def noisy(noise: dict[str, float], woman: float, man: float, asked: str) -> str:
    _, who, *_, at, _ = asked.split()
    return "yes" if noise[f"{who} {at}"] < (woman if who == "woman" else man) else "no"


def test_chance_is_not_taken_for_a_gap() -> None:
    """At most 5 of 100 clean models are found; those with a gap of a quarter nearly all are."""
    draw = np.random.default_rng(5)
    examples = rows(60)
    wrong = found = 0
    for _ in range(60):
        noise = {f"{who} {at}": float(draw.random()) for who in ("woman", "man") for at in range(60)}
        wrong += examine(Says(partial(noisy, noise, 0.5, 0.5)), examples, outcome="yes").metrics["p"] < 0.05
        found += examine(Says(partial(noisy, noise, 0.7, 0.35)), examples, outcome="yes").metrics["p"] < 0.05
    assert wrong <= 6
    assert found >= 54


def test_signs_of_clusters_are_exchanged_whole() -> None:
    values, clusters = [1.0, 2.0, -0.5, 1.0, 3.0, 0.1, -0.1], ["a", "a", "b", "b", "c", "d", "d"]
    assert sign_flip_by(values, clusters) == sign_flip([3.0, 0.5, 3.0])  # that of d is none
    alike = np.repeat(np.random.default_rng(5).normal(size=(400, 10)), 8, axis=1)  # 10 templates of 8 equal rows
    low = sum(sign_flip_by(row.tolist(), np.repeat(np.arange(10), 8).tolist()) < 0.05 for row in alike)
    assert low <= stats.binom.ppf(0.999, 400, 0.05)
    assert sum(sign_flip(row.tolist()) < 0.05 for row in alike[:40]) > 12  # of rows as if each were another one
