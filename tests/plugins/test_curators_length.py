"""Length: what is too short or too long goes, by the side that is, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.length import Length


def talk(prompt: str, answer: str) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)))


def curate(*examples: Example, **options: Any) -> tuple[list[int], dict[str, int]]:
    named = [example.with_(id=str(at)) for at, example in enumerate(examples)]
    check_curators({"length": Length(**options)})
    kept, counts = apply_curator("length", Length(**options), named, seed=7)
    return [int(example.id) for example in kept], counts["drops"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=9), st.lists(st.integers(0, 9), min_size=4))
def test_examples_stay_where_both_sides_are_within_their_limits(
    sizes: list[tuple[int, int]], limits: list[int]
) -> None:
    low, high = sorted(limits[:2]), sorted(limits[2:4])
    options = {
        "prompt_at_least": low[0],
        "prompt_at_most": low[1],
        "answer_at_least": high[0],
        "answer_at_most": high[1],
    }
    expected = [i for i, (p, a) in enumerate(sizes) if low[0] <= p <= low[1] and high[0] <= a <= high[1]]
    assert curate(*(talk("wo " * p, "\n".join(["wo"] * a)) for p, a in sizes), **options)[0] == expected
    assert curate(*(talk("w" * p, f" {'w' * a} ") for p, a in sizes), unit="characters", **options)[0] == expected


def test_drops_are_counted_by_side_and_limit() -> None:
    given = [talk("a b", "c"), talk("a", "c"), talk("a b", "c d e"), talk("a b c d", "c"), talk("a b", " ")]
    limits = {"prompt_at_least": 2, "prompt_at_most": 3, "answer_at_most": 2}
    assert curate(*given, **limits) == (
        [0],
        {
            "answer longer than 2 words": 1,
            "answer shorter than 1 words": 1,
            "prompt longer than 3 words": 1,
            "prompt shorter than 2 words": 1,
        },
    )


def test_turns_of_a_prompt_are_measured_together_and_only_the_last_answer() -> None:
    turns = (Message("system", "a b"), Message("user", "c"), Message("assistant", "d " * 9), *talk("e", "f").messages)
    given = Example(messages=turns)
    assert curate(given, prompt_at_least=4, prompt_at_most=4, answer_at_most=1)[0] == [0]
    assert curate(given, prompt_at_least=5)[0] == []


def test_pairs_segments_and_labels_are_measured_as_what_they_are() -> None:
    pair = Example(chosen=talk("q", "a b").messages, rejected=talk("q", "a b c").messages)
    text = Example(segments=(Segment("q r ", 0.0), Segment("a "), Segment("b c")))
    label = Example(messages=(Message("user", "q r"),), label="warm")
    document = Example(segments=(Segment("a b c"),))
    assert curate(pair, text, label, document, answer_at_least=3) == ([1, 2, 3], {"answer shorter than 3 words": 1})
    assert curate(pair, text, label, document, answer_at_most=2)[0] == [2]
    assert curate(pair, text, label, document, prompt_at_least=2)[0] == [1, 2, 3]


def test_limits_that_nothing_meets_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"data\.curators\.length\.answer_at_most is 2, less than answer_at_least \(3\)"
    ):
        curate(talk("a", "b"), answer_at_least=3, answer_at_most=2)
