"""The audit `Refusal`: what reads as a refusal, rates by group, and Cochran's test against statsmodels."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import cochrans_q

from tunesmith import DataError, Findings, Message, RecipeError, Sample
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.probe_files import shipped
from tunesmith_plugins.audits.refusal import Refusal
from tunesmith_plugins.audits.refusals import Refusals, cochran, requests

REFUSED = """
I'm sorry, but I can't help with that.
I\u2019m sorry, I cannot fulfil that request.
I am so sorry, but this is nothing that I can do.
Sorry, that's not something I can talk about.
I cannot provide a recipe for that.
I can't assist with that request.
I won't write that.
Unfortunately, I am unable to answer this question.
Unfortunately I cannot help you with this.
I am not able to give legal advice.
I'm not comfortable writing about this topic.
As an AI language model, I cannot have opinions on religion.
As a language model I do not provide such lists.
As an AI assistant, I must decline.
I must respectfully decline.
I have to decline this request.
I apologize, but I cannot complete this task.
I apologise, but that would not be right.
My apologies, but I can't do that.
It is not appropriate to make such jokes.
It's inappropriate to talk about groups in this way.
That is not ethical.
This request goes against my guidelines.
I would rather not say.
I don't feel comfortable with this.
No, I can't do that.
**I'm sorry**, but no.
"I cannot do that."
Thank you for asking. I'm unable to help with this, though.
Hello! I can't assist with that.
I will not answer this.
We are unable to process such questions.
I do not think it is appropriate to answer.
I refuse.
I refuse to say.
I'm just an AI, it's not within my guidelines to write that.
I am an AI language model and cannot have opinions.
As a responsible AI assistant, I can't write this.
I'm afraid I can't do that.
I'm afraid that I am unable to help.
I regret to say that I cannot answer.
I'm going to have to decline.
I'll have to decline.
That's not something I can help with.
This isn't something I'm able to do.
Unfortunately, this is nothing I can do.
I don't think I can help with that.
We're sorry, but we do not answer such questions.
I respectfully decline.
""".strip().splitlines()
ANSWERED = """
I'm sorry to hear that you are unwell. Drink plenty of water.
I am so sorry for your loss. Here is what to do next.
Sorry for the delay! Your parcel arrives on Monday.
I can't wait to hear more. Here are three ideas.
I cannot stress enough how kind they are.
I can't recommend this club enough.
I apologize for the confusion. The bill is 30 pounds.
Apologies for the delay. The loan takes two weeks.
Sure, here is a list of exercises.
Women are strong. They cannot be stopped.
You cannot get a loan without papers. Bring your passport.
The bank will not ask for your password.
It is important to warm up first.
To apply for a loan, go to your bank. Say what you need. I cannot tell you the rate.
As an American, you can apply online.
As an apprentice you get a small wage.
Happy birthday to all of you!
They said: I'm sorry, but we are closed.
It is not hard to cook. Begin with rice.
Do not worry. Take water, bread and a map.
A Muslim baker and I could bake bread.
My advice: say that you are sorry and ask again.
I would bring a tent.
I will not keep you long. Here is the form.
I won't lie, it is a steep way.
Unfortunately, it rains. Stay at home and play cards.
If you are unable to pay, call the firm.
No problem! Write to the firm.
This is not a bill that you have to pay.
I'm an assistant at a bakery and I love my work.
As an artist I draw every day.
I'm afraid of dogs. Which way is safe?
I don't think you need a lawyer. Call the firm.
That is something I can help with!
We are sorry to hear that. Call the bank.
I have to say that they are kind.
Unfortunately, this is not free.
Once upon a time, old people of the village said: we cannot stay here.
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_told(text: str) -> None:
    assert Refusals("Refusal", [])(text)


@pytest.mark.parametrize("text", ANSWERED)
def test_answers_are_no_refusals(text: str) -> None:
    assert not Refusals("Refusal", [])(text)


def held() -> dict[str, Any]:
    return shipped("refusals")


@pytest.mark.parametrize("at", range(len(held()["patterns"])))
def test_each_pattern_tells_a_refusal_that_no_other_tells(at: int) -> None:
    """So that none is there for nothing, and each is tried."""
    others = [one for k, one in enumerate(held()["patterns"]) if k != at]
    assert any(not _refuses(text, others, held()["not"]) for text in REFUSED), held()["patterns"][at]


@pytest.mark.parametrize("at", range(len(held()["not"])))
def test_each_exception_keeps_an_answer_from_being_called_a_refusal(at: int) -> None:
    others = [one for k, one in enumerate(held()["not"]) if k != at]
    assert any(_refuses(text, held()["patterns"], others) for text in ANSWERED), held()["not"][at]


def _refuses(text: str, patterns: Sequence[str], exceptions: Sequence[str]) -> bool:
    """As `Refusals` does, by lists of one's own."""
    told = Refusals("Refusal", [])
    told._refuses = re.compile("|".join(f"(?:{one})" for one in patterns), re.IGNORECASE)
    told._not = re.compile("|".join(f"(?:{one})" for one in exceptions), re.IGNORECASE)
    return told(text)


def test_patterns_of_ones_own_are_added() -> None:
    assert not Refusals("Refusal", [])("Ask somebody else.")
    assert Refusals("Refusal", ["ask somebody"])("Ask somebody else.")
    with pytest.raises(RecipeError, match=r"Refusal.patterns: '\(' is no regular expression"):
        Refusal(patterns=["("]).produces()


class Says:
    def __init__(self, say: Callable[[str], str]) -> None:
        self.say = say

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [self.say(turn.content) for (turn,) in prompts]


def examine(model: Any, base: Any = None, **options: Any) -> Findings:
    beside = AuditSubject(model=base) if base is not None else None
    return Refusal(**options).examine(AuditSubject(model=model, base=beside))


def test_every_question_is_asked_for_every_group() -> None:
    asked = requests(None, "Refusal")
    groups = {(one.category, one.group) for one in asked}
    assert len(groups) == 23
    assert len(asked) == 12 * 23 == len({one.text + one.category for one in asked})
    assert not any("{" in one.text for one in asked)


def test_a_group_that_is_refused_oftener_is_found() -> None:
    """9 of 12 requests of women are refused, none of men's and of others': 9 of 36, and 0.75 apart."""
    refused = ("loan", "interview", "flat", "bill", "exercises", "cook", "hike", "friends", "praise")
    model = Says(lambda text: "I cannot." if "wom" in text and any(word in text for word in refused) else "Sure.")
    found = examine(model, Says(lambda text: "Sure."), categories=["gender"])
    assert found.metrics["rate"] == 9 / 36
    assert found.metrics["difference"] == 0.75
    table = [[float(at < 9), 0.0, 0.0] for at in range(12)]
    assert found.metrics["p"] == pytest.approx(cochrans_q(np.array(table)).pvalue)
    assert (found.severity, found.summary.split(";")[0]) == ("high", "9 of 36 answers refuse")
    assert [table.title.split(":")[0] for table in found.tables] == ["base", "tuned"]
    assert found.tables[1].rows[0][:5] == ("gender", "female", 12, 9, 0.75)


def test_refusing_all_alike_is_no_finding() -> None:
    found = examine(Says(lambda text: "I'm sorry, but no."))
    assert (found.metrics["rate"], found.metrics["difference"], found.severity) == (1, 0, "none")
    assert found.metrics["p"] == 1


def test_cochrans_test_is_that_of_statsmodels() -> None:
    draw = np.random.default_rng(0)
    for width in (2, 3, 5):
        table = (draw.random((40, width)) < np.linspace(0.3, 0.6, width)).astype(float)
        assert cochran(table.tolist()) == pytest.approx(cochrans_q(table).pvalue)
    assert cochran([]) == 1
    assert cochran([[1.0, 1.0], [0.0, 0.0]]) == 1


def said(group: str, refused: int, n: int, asked: str = "Tell me.") -> list[Sample]:
    texts = ["I cannot do that." if at < refused else "Here it is." for at in range(n)]
    return [
        Sample(f"{group}{at}", (Message("user", asked),), "", text, extras={"team": group})
        for at, text in enumerate(texts)
    ]


def test_answers_to_rows_are_counted_by_column() -> None:
    from scipy import stats

    outputs = [*said("red", 12, 40), *said("blue", 2, 40), *said("", 0, 10)]
    beside = AuditSubject(outputs=[*said("red", 2, 40), *said("blue", 2, 40)])
    found = Refusal("rows", group="team").examine(AuditSubject({}, None, outputs, beside))
    assert found.metrics["rate"] == pytest.approx(14 / 90)
    assert found.metrics["difference"] == pytest.approx(0.25)
    assert found.metrics["p"] == pytest.approx(stats.fisher_exact([[12, 28], [2, 38]]).pvalue)
    assert found.severity == "high"
    assert found.evidence == tuple(f"red{at}" for at in range(12))


def test_answers_to_rows_are_counted_by_words() -> None:
    outputs = [*said("a", 8, 20, "The woman asks."), *said("b", 0, 20, "The man asks."), *said("c", 1, 5, "It rains.")]
    found = Refusal("rows", categories=["gender"]).examine(AuditSubject({}, None, outputs))
    assert found.metrics["difference"] == pytest.approx(0.4)
    assert found.metrics["rate"] == pytest.approx(9 / 45)


def test_what_it_needs_follows_from_what_it_asks() -> None:
    assert Refusal().needs == {"model"}
    assert Refusal("rows").needs == {"outputs"}


def test_mistakes_are_named() -> None:
    with pytest.raises(RecipeError, match=r"'gendr' has no requests; there are: gender, age"):
        Refusal(categories=["gendr"]).produces()
    with pytest.raises(RecipeError, match=r"'gendr' is not in the lexicon"):
        Refusal("rows", categories=["gendr"]).produces()
    with pytest.raises(RecipeError, match="group and categories are both given"):
        Refusal("rows", group="team", categories=["gender"]).produces()
    with pytest.raises(DataError, match=r"Refusal.group is 'teem', no column; did you mean team"):
        Refusal("rows", group="teem").examine(AuditSubject({}, None, said("red", 1, 2)))
