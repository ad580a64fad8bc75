"""Contradictions: examples that say different things of one input."""

from typing import Any

import pytest

from tunesmith import Example, Message, Segment
from tunesmith.data.curate import Tally
from tunesmith_plugins.curators.contradictions import Contradictions

ANOTHER = "another answer to the same input"
OUTVOTED = "outvoted by other answers to the same input"


def talk(prompt: str, *answer: str, system: str = "", **more: Any) -> Example:
    first = (Message("system", system),) if system else ()
    turns = (*first, Message("user", prompt), *(Message("assistant", said) for said in answer))
    return Example(messages=turns, **more)


def pair(prompt: str, chosen: str, rejected: str) -> Example:
    return Example(chosen=talk(prompt, chosen).messages, rejected=talk(prompt, rejected).messages)


def curated(*examples: Example, **options: Any) -> tuple[list[int], dict[str, int]]:
    named = [example.with_(id=str(index)) for index, example in enumerate(examples)]
    tally = Tally(0)
    return [int(e.id) for e in Contradictions(**options).apply(iter(named), tally)], dict(tally.reasons["drops"])


def test_all_answers_to_an_input_that_differ_are_dropped() -> None:
    examples = [talk("a", "x"), talk("b", "x"), talk(" A ", "y"), talk("a", "X"), talk("c", "y"), talk("b", "x ")]
    assert curated(*examples) == ([1, 4, 5], {ANOTHER: 3})


def test_the_most_frequent_answer_stays_where_asked() -> None:
    examples = [talk("a", "x"), talk("a", "y"), talk("a", "X"), talk("b", "x"), talk("b", "y")]
    assert curated(*examples, action="keep_majority") == ([0, 2], {OUTVOTED: 1, ANOTHER: 2})
    tie = [talk("a", said) for said in "xxyyz"]
    assert curated(*tie, action="keep_majority") == ([], {ANOTHER: 5})


def test_contradictions_may_be_counted_alone() -> None:
    given = [talk("a", "x"), talk("a", "y"), talk("b", "x"), talk("c", "y"), talk("c", "z"), talk("c", "z")]
    named = [example.with_(id=str(index)) for index, example in enumerate(given)]
    for action, kept, said in (
        ("report", 6, "5 examples say different things of 2 inputs"),
        ("keep_majority", 3, "5 examples say different things of 2 inputs"),
    ):
        tally = Tally(0)
        assert len(list(Contradictions(action).apply(named, tally))) == kept  # type: ignore[arg-type]
        assert tally.remarks == [said]
    tally = Tally(0)
    assert len(list(Contradictions("report").apply(named[2:4], tally))) == 2
    assert tally.remarks == []


def test_labels_contradict_each_other_and_answers_only_where_asked() -> None:
    examples = [talk("a", label="warm"), talk("A", label="cold"), talk("b", label=1), talk("b", label=1)]
    assert curated(*examples) == ([2, 3], {ANOTHER: 2})
    assert curated(*examples, talk("c", "x"), talk("c", "y"), labels_only=True) == ([2, 3, 4, 5], {ANOTHER: 2})


def test_a_label_is_said_of_the_whole_text() -> None:
    """Two answers to a prompt, one good and one bad, are what such a label is for."""
    good, bad = talk("a", "x", label="good"), talk("a", "y", label="bad")
    assert curated(good, bad) == ([0, 1], {})
    assert curated(good, talk("a", "x", label="bad"))[0] == []
    texts = [Example(segments=(Segment("a b"),), label=label) for label in ("warm", "cold")]
    assert curated(*texts)[0] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (talk("a", "x", system="be kind"), talk("a", "y", system="be short")),
        (talk("a", "x"), talk("a", "y", tools=({"name": "find"},))),
        (talk("a", "x", "y"), talk("a", "z", "w")),
        (talk("", "x"), talk(" ", "y")),
        (talk("", "x", system="s"), talk("", "y", system="s")),
        (talk("a"), talk("a", "y")),
        (pair("a", "x", "y"), pair("a", "z", "x")),
        (Example(segments=(Segment("a"),)), Example(segments=(Segment("b"),))),
    ],
)
def test_other_inputs_and_none_are_no_contradiction(one: Example, other: Example) -> None:
    assert curated(one, other) == ([0, 1], {})


def test_pairs_that_prefer_what_the_other_rejects_contradict_each_other() -> None:
    assert curated(pair("a", "x", "y"), pair("a", "Y", "x"), pair("a", "x", "z")) == ([2], {ANOTHER: 2})


def test_pieces_of_text_that_weigh_nothing_are_the_input() -> None:
    asked = Segment("Q: a?", 0.0)
    examples = [Example(segments=(asked, Segment(said))) for said in ("x", "y")]
    assert curated(*examples)[0] == []


def test_turns_with_other_calls_are_other_answers() -> None:
    def call(name: str) -> Example:
        turn = Message("assistant", "", fields={"tool_calls": [{"function": {"name": name}}]})
        return Example(messages=(Message("user", "a"), turn))

    assert curated(call("find"), call("drop"))[0] == []
    assert curated(call("find"), call("find"))[0] == [0, 1]
