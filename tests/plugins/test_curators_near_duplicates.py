"""NearDuplicates: of those that resemble each other one stays, and short answers to a long text are not alike."""

from typing import Any

import pytest

from tunesmith import Example, Message, RecipeError
from tunesmith.data.curate import Tally, apply_curator
from tunesmith_plugins.curators.near_duplicates import NearDuplicates

NOTE = "the patient came in with a cough that had lasted for three weeks and would not go away by itself at night"
OTHER = "she asks which of the two pumps in the cellar he has to stop before the water reaches the hall upstairs"


def talk(prompt: str, answer: str, **more: Any) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)), **more)


def kept(*examples: Example, **options: Any) -> list[int]:
    named = [example.with_(id=str(index)) for index, example in enumerate(examples)]
    tally = Tally(0)
    left = [int(e.id) for e in NearDuplicates(**options).apply(iter(named), tally)]
    assert left == sorted(left)
    assert tally.reasons["drops"] == ({"near-duplicate": len(named) - len(left)} if len(left) < len(named) else {})
    return left


def test_the_first_of_those_that_resemble_each_other_stays() -> None:
    near = f"{NOTE} again"
    assert kept(talk(OTHER, NOTE), talk(near, OTHER), talk(NOTE, OTHER), talk(OTHER, near), talk(NOTE, NOTE)) == [
        0,
        1,
        4,
    ]


def test_the_longest_stays_where_asked() -> None:
    examples = [talk(NOTE, OTHER), talk(f"{NOTE} again", OTHER), talk(OTHER, "x"), talk(f"{NOTE} indeed", OTHER)]
    assert kept(*examples, keep="longest") == [2, 3]
    assert kept(*examples) == [0, 2]
    assert kept(talk(NOTE, "x"), talk(NOTE, "X"), keep="longest") == [0]


def test_answers_to_one_long_prompt_stay_unless_prompts_alone_are_compared() -> None:
    examples = [talk(NOTE * 9, "yes"), talk(NOTE * 9, "no"), talk(NOTE * 9, "Yes"), talk(NOTE * 9, OTHER)]
    assert kept(*examples) == [0, 1, 3]
    assert kept(*examples, prompts_only=True) == [0]


def test_labels_of_one_text_stay() -> None:
    asked = (Message("user", NOTE),)
    examples = [Example(messages=asked, label=label) for label in ("warm", "cold", "warm")]
    assert kept(*examples) == [0, 1]


def test_the_threshold_decides() -> None:
    near = NOTE.replace("three weeks", "four days")
    assert kept(talk(NOTE, "x"), talk(near, "x")) == [0, 1]
    assert kept(talk(NOTE, "x"), talk(near, "x"), threshold=0.5) == [0]


@pytest.mark.parametrize("threshold", [0.3, 1.5])
def test_a_threshold_that_is_none_is_a_mistake_of_the_recipe(threshold: float) -> None:
    said = rf"^data\.curators\.near\.threshold is {threshold}; it lies between 0\.5 and 1$"
    with pytest.raises(RecipeError, match=said):
        apply_curator("near", NearDuplicates(threshold), [talk("a", "b", id="1")], 0)
