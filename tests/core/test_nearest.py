"""Nearest names: every single slip is found, in any word."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.nearest import did_you_mean, distance, nearest, one_of

WORDS = st.text(string.ascii_lowercase + "_", min_size=0, max_size=7)


def reference(left: str, right: str) -> int:
    """Optimal string alignment by its recursive definition."""
    if not left or not right:
        return len(left) + len(right)
    best = min(
        reference(left[1:], right) + 1,
        reference(left, right[1:]) + 1,
        reference(left[1:], right[1:]) + (left[0] != right[0]),
    )
    if len(left) > 1 and len(right) > 1 and left[0] == right[1] and left[1] == right[0]:
        best = min(best, reference(left[2:], right[2:]) + 1)
    return best


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_distance_is_that_of_the_definition(left: str, right: str) -> None:
    assert distance(left, right) == reference(left, right)


@given(WORDS, WORDS)
def test_distance_is_symmetric_and_zero_for_equal_words_only(left: str, right: str) -> None:
    assert distance(left, right) == distance(right, left)
    assert (distance(left, right) == 0) == (left == right)


@given(st.data())
def test_any_single_slip_finds_the_word(data: st.DataObject) -> None:
    known = ["lr", "rank", "alpha", "max_epochs", "min_epochs", "of", "weight_decay"]
    word = data.draw(st.sampled_from(known))
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    slips = [word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :]]
    if at + 1 < len(word):
        slips.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    for slip in slips:
        assert word in nearest(slip, known)


def test_all_words_at_the_smallest_distance_are_given() -> None:
    assert nearest("mix_steps", ["max_steps", "min_steps", "max_time"]) == ["max_steps", "min_steps"]


@pytest.mark.parametrize(("word", "found"), [("max-epochs", "max_epochs"), ("Rank", "rank"), ("LORA", "LoRA")])
def test_case_and_dashes_do_not_count(word: str, found: str) -> None:
    assert nearest(word, ["max_epochs", "rank", "LoRA"]) == [found]


def test_nothing_is_offered_where_nothing_is_close() -> None:
    assert did_you_mean("zebra", ["rank", "alpha"]) == ""


def test_words_are_joined_as_a_sentence_would() -> None:
    assert [one_of("a"), one_of("ab"), one_of("abc")] == ["a", "a or b", "a, b or c"]
