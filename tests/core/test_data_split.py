"""Splits: by a keyed hash that no other row can influence, and never one text on both sides (trap 37)."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.split import (
    SAME_CONTENT,
    SAME_GROUP,
    Split,
    asked_in_training,
    group_of,
    leaked,
    place,
    prompt_key,
    settle,
)

GOLDEN = ["train", "train", "train", "train", "test", "train", "train", "validation", "test", "train", "train", "test"]
EVEN = Split(0.34, 0.33, 0.33, keep_together="patient")


def example(key: str, prompt: str, completion: str = "yes", system: str = "") -> Example:
    turns = [Message("system", system)] if system else []
    return Example(messages=(*turns, Message("user", prompt), Message("assistant", completion)), id=key)


Drawn = tuple[str, str, str | None, str | None]  # prompt, completion, keep_together value, declared split
words = st.sampled_from(["a b", "A  B", "a\tb ", "c", "d", "e", "f"])
rows = st.lists(
    st.tuples(
        words,
        st.sampled_from(["yes", "YES ", "no"]),
        st.sampled_from([None, None, "1", "2", "3", "4"]),
        st.sampled_from([None, None, None, "train", "validation", "test"]),
    ),
    max_size=25,
)
hashed = rows.map(lambda drawn: [(p, c, g, None) for p, c, g, _ in drawn])


def put(drawn: Sequence[Drawn], prefix: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """Split of each row by its number, and reason of each that was dropped."""
    examples = [
        example(f"{prefix}{index}", prompt, completion) for index, (prompt, completion, _, _) in enumerate(drawn)
    ]
    places = {e.id: place(e, EVEN, row[3], row[2]) for e, row in zip(examples, drawn, strict=True)}  # type: ignore[arg-type]
    splits, dropped = settle(examples, places)
    return {e.id: name for name, kept in splits.items() for e in kept}, {e.id: reason for e, reason in dropped}


def squeezed(text: str) -> str:
    return "".join(text.split()).lower()


@given(hashed, hashed)
@settings(max_examples=300)
def test_appended_rows_never_move_or_drop_another_row(before: list[Drawn], more: list[Drawn]) -> None:
    at, gone = put(before)
    at_later, gone_later = put([*before, *more])
    assert {key: at_later.get(key) for key in at} == at
    assert {key: gone_later.get(key) for key in gone} == gone


@given(rows, rows)
@settings(max_examples=300)
def test_rows_put_before_others_never_move_them_to_another_split(first: list[Drawn], second: list[Drawn]) -> None:
    at, _ = put(second)
    examples = [*first, *second]
    at_later, gone_later = put(examples)
    for index in range(len(second)):
        key, later = str(index), str(index + len(first))
        assert later in gone_later or key not in at or at_later[later] == at[key]


@given(rows)
@settings(max_examples=300)
def test_trap_37_no_normalised_duplicate_and_no_group_in_two_splits(drawn: list[Drawn]) -> None:
    at, gone = put(drawn)
    assert at.keys() | gone.keys() == {str(index) for index in range(len(drawn))}
    assert not at.keys() & gone.keys()
    for one, other in combinations(sorted(at), 2):
        if at[one] == at[other]:
            continue
        (prompt, completion, group, _), (prompt2, completion2, group2, _) = drawn[int(one)], drawn[int(other)]
        assert (squeezed(prompt), squeezed(completion)) != (squeezed(prompt2), squeezed(completion2))
        assert group is None or group != group2


@given(rows)
@settings(max_examples=200)
def test_declared_test_rows_are_taken_as_they_are(drawn: list[Drawn]) -> None:
    at, _ = put(drawn)
    for index, (_, _, _, fixed) in enumerate(drawn):
        if fixed == "test":
            assert at[str(index)] == "test"
        elif fixed is not None:
            assert at.get(str(index), fixed) == fixed


def test_without_groups_nothing_is_ever_dropped() -> None:
    drawn: list[Drawn] = [(f"prompt {i % 40}", f"answer {i % 60}", None, None) for i in range(300)]
    at, gone = put(drawn)
    assert not gone
    same = {(i, j) for i in range(300) for j in range(i) if drawn[i] == drawn[j]}
    assert same
    assert all(at[str(i)] == at[str(j)] for i, j in same)


def test_one_prompt_for_all_rows_is_split_like_any_other_data() -> None:
    at, gone = put([("Write a poem.", f"poem {i}", None, None) for i in range(600)])
    assert not gone
    for name in ("train", "validation", "test"):
        assert list(at.values()).count(name) == pytest.approx(200, abs=50)


def test_held_out_rows_that_ask_what_training_asks_are_counted() -> None:
    splits = {
        "train": [example("1", "P", "c"), example("2", "q", "d")],
        "validation": [example("3", "p ", "e"), example("4", "r", "c")],
        "test": [example("5", "p", "f", system="be kind"), example("6", "Q", "g"), example("7", "s", "h")],
    }
    assert asked_in_training(splits) == {"validation": 1, "test": 2}  # type: ignore[arg-type]


def test_each_reason_for_a_drop_is_named() -> None:
    assert put([("p", "c", None, "train"), ("P", "c", None, "test")])[1] == {"0": SAME_CONTENT}
    assert put([("p", "c", None, "train"), ("P", "d", None, "test")])[1] == {}
    assert put([("p", "c", "7", "train"), ("q", "d", "7", "validation")])[1] == {"0": SAME_GROUP}
    elsewhere = next(s for s in ("train", "test") if s != put([("p", "c", None, None)])[0]["0"])
    assert put([("p", "c", None, None), ("p", "c", None, elsewhere)])[1] == {"0": SAME_CONTENT}


def test_shares_come_out_as_asked() -> None:
    split = Split(0.8, 0.15, 0.05)
    put_at = [split.of(f"row {i}") for i in range(20_000)]
    for name in ("train", "validation", "test"):
        share = getattr(split, name)
        assert abs(put_at.count(name) / 20_000 - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_another_key_gives_another_split_and_the_same_key_the_same() -> None:
    names = [f"row {i}" for i in range(200)]
    assert [Split().of(n) for n in names] == [Split().of(n) for n in names]
    assert [Split().of(n) for n in names] != [Split(key="other").of(n) for n in names]
    # Golden: a change of the hash would move every user's rows.
    assert [Split(0.34, 0.33, 0.33).of(f"row {i}") for i in range(12)] == GOLDEN


@pytest.mark.parametrize(
    "shares", [(1.0, 0.0, 0.0), (0.9, 0.1, 0.0), (0.0, 0.0, 1.0), (0.5, 0.4, 0.0), (0.9, 0.0, 0.0)]
)
def test_a_share_of_nothing_stays_empty_however_the_sum_rounds(shares: tuple[float, float, float]) -> None:
    found = {Split(*shares).of(f"row {i}") for i in range(500)}
    assert found == {name for name, share in zip(("train", "validation", "test"), shares, strict=True) if share}


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.8, 0.1, 0.2), "data.split: the shares sum to 1.1, not to 1: train 0.8, validation 0.1, test 0.2"),
        ((1.2, -0.1, -0.1), "data.split.train is 1.2; a share lies between 0 and 1"),
        ((float("nan"), 0.5, 0.5), "data.split.train is nan"),
    ],
)
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float], said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace(".", r"\.")):
        Split(*shares).check()


def test_shares_may_be_rounded() -> None:
    Split(1 / 3, 1 / 3, 1 / 3).check()
    Split(0.7, 0.2, 0.1).check()


def test_values_that_mean_the_same_group_are_one() -> None:
    assert group_of(7) == group_of("7") == group_of(" 7 ")
    assert group_of("") is group_of(None) is group_of("  ") is None
    assert group_of(False) == "false"
    assert group_of(["a", 1]) == group_of(["a", 1])


def test_a_prompt_is_known_by_what_is_asked_and_not_by_the_system_turn_or_the_answer() -> None:
    assert prompt_key(example("1", "Hello you", "yes")) == prompt_key(
        example("2", " hello  YOU", "no", system="Be kind")
    )
    assert prompt_key(example("1", "Hello")) != prompt_key(example("2", "Hallo"))
    # NFKC: a ligature and its letters are one text.
    assert prompt_key(example("1", "ﬁne")) == prompt_key(example("2", "fine"))


def test_texts_without_a_prompt_are_known_by_the_whole() -> None:
    def only(answer: str) -> Example:
        return Example(messages=(Message("system", "s"), Message("assistant", answer)), id=answer)

    def text(*pieces: Segment) -> Example:
        return Example(segments=pieces)

    assert prompt_key(only("a")) != prompt_key(only("b"))
    assert prompt_key(text(Segment("one two"))) == prompt_key(text(Segment("One "), Segment(" two", 0.5)))
    asked = Segment("Q: 1?", 0.0)
    assert prompt_key(text(asked, Segment("a"))) == prompt_key(text(asked, Segment("b")))
    assert prompt_key(text(Segment("a"))) != prompt_key(text(Segment("b")))


def test_turns_that_differ_in_their_tool_calls_only_are_different() -> None:
    def called(name: str) -> Example:
        call = Message("assistant", "", fields={"tool_calls": [{"function": {"name": name, "arguments": {}}}]})
        return Example(messages=(Message("user", "q"), call, Message("tool", "1"), Message("assistant", "done")))

    assert prompt_key(called("a")) != prompt_key(called("b"))


def test_training_rows_made_equal_to_held_out_ones_are_found() -> None:
    same, other = example("1", "P ", "C"), example("2", "p", "d")
    assert leaked([same, other], {"train": [], "validation": [], "test": [example("3", "p", "c")]}) == [same]
