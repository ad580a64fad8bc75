"""PreferenceAccuracy: pairs and unwanted rows by hand, and what the core scores for it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from tunesmith import Example, Message, Sample
from tunesmith.evaluation.collect import collect
from tunesmith_plugins.evaluators.preference_accuracy import PreferenceAccuracy


def sample(name: str, logprob: float, tokens: int, **more: Any) -> Sample:
    return Sample(name, (), "", "", logprob=logprob, tokens=tokens, **more)


SAMPLES = [
    sample("long and better", -6.0, 4, rejected=-5.0, rejected_tokens=2),
    sample("better", -1.0, 2, rejected=-5.0, rejected_tokens=2),
    sample("alike", -5.0, 2, rejected=-5.0, rejected_tokens=2),
    sample("wanted", -3.0, 2, label=True),
    sample("unwanted", -8.0, 2, label=False),
    sample("no score", math.nan, 0),
]


def test_pairs_and_rows_are_measured_as_by_hand() -> None:
    by_sum = {m.name: m for m in PreferenceAccuracy().measure(SAMPLES)}
    assert by_sum["accuracy"].values[:3] == [0.0, 1.0, 0.5]
    assert all(map(math.isnan, by_sum["accuracy"].values[3:]))
    assert by_sum["margin"].value == pytest.approx((-1 + 4 + 0) / 3)
    assert by_sum["wanted"].values[:4] == [1.5, 0.5, 2.5, 1.5]
    assert all(map(math.isnan, by_sum["wanted"].values[4:]))
    assert by_sum["unwanted"].values[:3] == [2.5, 2.5, 2.5]
    assert math.isnan(by_sum["unwanted"].values[3])
    assert by_sum["unwanted"].values[4] == 4.0
    by_token = {m.name: m for m in PreferenceAccuracy(by_token=True).measure(SAMPLES)}
    assert by_token["accuracy"].values[:3] == [1.0, 1.0, 0.5]
    assert by_token["margin"].values[:3] == [1.0, 2.0, 0.0]
    assert {name: m.higher_is_better for name, m in by_sum.items()} == {
        "accuracy": True,
        "margin": True,
        "wanted": False,
        "unwanted": True,
    }


class Scores:
    """Scores what has a weight by its letters, and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, float | None]]] = []

    def answers(self, *_: Any) -> Any:
        raise NotImplementedError

    def logprob(self, conversations: Sequence[Any], tools: Any = None, progress: Any = None) -> list[tuple[float, int]]:
        self.asked += [[(turn.content, turn.weight) for turn in turns] for turns in conversations]
        return [(-float(len(turns[-1].content)), len(turns[-1].content)) for turns in conversations]


def test_worse_answers_are_scored_behind_their_prompt_and_only_where_there_is_one() -> None:
    asked = Message("user", "Hot?")
    pair = Example(
        chosen=(asked, Message("assistant", "Yes.")), rejected=(asked, Message("assistant", "Never.")), id="pair"
    )
    row = Example(messages=(asked, Message("assistant", "Maybe")), label=False, id="row")
    scores = Scores()
    found = collect(scores, [row, pair], PreferenceAccuracy.needs)
    assert scores.asked == [
        [("Hot?", 0.0), ("Maybe", 1.0)],
        [("Hot?", 0.0), ("Yes.", 1.0)],
        [("Hot?", 0.0), ("Never.", 1.0)],
    ]
    assert (found[1].logprob, found[1].rejected, found[1].rejected_tokens) == (-4.0, -6.0, 6)
    assert math.isnan(found[0].rejected)
    assert (found[0].label, found[1].label) == (False, None)
