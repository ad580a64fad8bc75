"""Boilerplate: lines that recur over many documents go, where they may."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.boilerplate import Boilerplate

FOOTER = "Visit us at the old mill"


def talk(prompt: str, answer: str = "yes") -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)))


def curate(*examples: Example, **options: Any) -> tuple[list[Example], dict[str, Any]]:
    named = [example.with_(id=str(at)) for at, example in enumerate(examples)]
    check_curators({"boilerplate": Boilerplate(**options)})
    return apply_curator("boilerplate", Boilerplate(**options), named, seed=7)


def prompts(*texts: str, **options: Any) -> list[str]:
    return [example.messages[0].content for example in curate(*map(talk, texts), **options)[0]]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=12), st.integers(2, 5), st.floats(0.01, 1))
def test_lines_stay_that_stand_in_too_few_examples(texts: list[list[str]], least: int, share: float) -> None:
    given = ["\n".join(["own", *text]) for text in texts]
    number = {line: sum(line in text for text in texts) for line in "abcdef"} | {"own": 0}
    expected = [[w for w in text.split("\n") if number[w] < max(least, share * len(texts))] for text in given]
    kept, counts = curate(*map(talk, given), at_least=least, share=share, least_words=1, keep=["own"])
    assert [example.messages[0].content.split("\n") for example in kept] == expected
    assert counts["changes"].get("recurring lines", 0) == sum(
        text.split("\n") != e for text, e in zip(given, expected, strict=True)
    )


def test_lines_are_compared_without_case_and_space_and_counted_once_an_example() -> None:
    texts = [f"note {at}\n  {FOOTER if at % 2 else FOOTER.upper()} \nmore" for at in range(3)]
    assert prompts(*texts, at_least=3) == [f"note {at}\nmore" for at in range(3)]
    assert prompts(*texts, at_least=4) == texts
    again = f"{FOOTER}\n{FOOTER}\n{FOOTER}\nx"
    assert prompts(again, "y", at_least=2) == [again, "y"]


def test_short_lines_and_lines_to_keep_stay() -> None:
    texts = [f"Sum up this note now:\nPlan: none\n{at}\n{FOOTER}" for at in range(3)]
    assert prompts(*texts, at_least=3, keep=["^Sum up"]) == [
        f"Sum up this note now:\nPlan: none\n{at}" for at in range(3)
    ]
    assert prompts(*texts, at_least=3, least_words=2, keep=["note"]) == [
        f"Sum up this note now:\n{at}" for at in range(3)
    ]


def test_answers_and_system_turns_are_left_alone_unless_asked() -> None:
    given = [
        Example(messages=(Message("system", FOOTER), *talk(f"{at}\n{FOOTER}", f"{at}\n{FOOTER}").messages))
        for at in "ab"
    ]
    for where, expected in (
        ("prompts", ("a", f"a\n{FOOTER}")),
        ("answers", (f"a\n{FOOTER}", "a")),
        ("both", ("a", "a")),
    ):
        first = curate(*given, at_least=2, where=where)[0][0].messages
        assert (first[0].content, first[1].content, first[2].content) == (FOOTER, *expected)


def test_texts_keep_what_joins_their_segments() -> None:
    given = [Example(segments=(Segment(f"{at}\n{FOOTER}\n\n"), Segment(f" end {at}"))) for at in "ab"]
    kept = curate(*given, at_least=2, where="both")[0]
    assert kept[0].segments == (Segment("a\n\n"), Segment(" end a"))


def test_what_is_nothing_but_boilerplate_is_dropped() -> None:
    kept, counts = curate(talk(FOOTER), talk(f"{FOOTER}\n{FOOTER}"), talk("own"), at_least=2)
    assert [example.id for example in kept] == ["2"]
    assert counts["drops"] == {"empty prompt": 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 0.0}, r"data\.curators\.boilerplate\.share is 0\.0; a share of the examples lies above 0"),
        ({"keep": ["a", "(b"]}, r"data\.curators\.boilerplate\.keep\[1\] is '\(b', which is no regular expression"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        curate(talk("a"), **options)
