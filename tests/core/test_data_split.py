"""Splits: by a keyed hash that no other row can influence, and never one text on both sides (trap 37)."""

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import DataError, Example, Message, Origin, RecipeError, Segment
from tunesmith.data.near_search import Signed
from tunesmith.data.near_sign import sign
from tunesmith.data.placing import Placing
from tunesmith.data.split import (
    ALIKE,
    SAME_CONTENT,
    SAME_GROUP,
    Split,
    asked_in_training,
    group_of,
    leaked,
    prompt_key,
    settle,
)

GOLDEN = ["train", "train", "train", "train", "test", "train", "train", "validation", "test", "train", "train", "test"]
EVEN = Split(0.34, 0.33, 0.33, keep_together="patient")


def example(key: str, prompt: str, completion: str = "yes", system: str = "") -> Example:
    turns = [Message("system", system)] if system else []
    return Example(messages=(*turns, Message("user", prompt), Message("assistant", completion)), id=key)


def said(family: int, words: int) -> str:
    """One of three long texts, with some words of it changed."""
    told = [f"w{family}x{at}" for at in range(60)]
    for at in range(words):
        told[at * 7 % 60] = f"v{at}"
    return " ".join(told)


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
texts = st.builds(said, st.integers(0, 2), st.integers(0, 5))
long_rows = st.lists(
    st.tuples(
        st.one_of(texts, texts, words),
        st.one_of(st.just("yes"), st.sampled_from(["YES ", "no"]), texts),
        st.sampled_from([None, None, None, "1", "2", "3"]),
        st.sampled_from([None, None, None, None, "train", "validation", "test"]),
    ),
    max_size=20,
)
long_hashed = long_rows.map(lambda drawn: [(p, c, g, None) for p, c, g, _ in drawn])
hashed = rows.map(lambda drawn: [(p, c, g, None) for p, c, g, _ in drawn])


def put(drawn: Sequence[Drawn], split: Split = EVEN, before: int = 0) -> tuple[dict[str, str], dict[str, str]]:
    """Split of each row by its number, and reason of each that was dropped.

    Args:
        drawn: The rows.
        split: How they are split.
        before: How many of them are of another source, which comes first.
    """
    sources: dict[str, Any] = {"first": None, "hashed": None, "train": "train", "validation": "validation"}
    placing = Placing(split, {**sources, "test": "test"})
    examples = []
    for index, (prompt, completion, group, fixed) in enumerate(drawn):
        origin = Origin(fixed or ("first" if index < before else "hashed"))
        examples.append(example(str(index), prompt, completion).with_(origin=origin))
        placing.note(examples[-1], {"patient": group, "time": group})
    if drawn:
        placing.finish()
    splits, dropped = settle(examples, placing.places, placing.index(examples, range(len(examples))))
    at_split = {str(at): name for name, kept in splits.items() for at in kept}
    return at_split, {str(at): why for at, why in dropped.items()}


@cache
def signed(prompt: str, answer: str) -> Signed:
    return sign([("", prompt, answer)])


def resembles(one: Drawn, other: Drawn) -> bool:
    """Counted from the signatures of the two alone."""
    values = [signed(*row[:2]) for row in (one, other)]
    equal = (values[0].values == values[1].values).reshape(2, -1).sum(axis=1)
    alike = bool(min(equal) >= 51.2) if values[0].texts[0] == 2 else bool(sum(equal) >= 102.4)
    return alike and bool((values[0].exact == values[1].exact).all())


def squeezed(text: str) -> str:
    return "".join(text.split()).lower()


@given(hashed, hashed)
@settings(max_examples=300)
def test_appended_rows_never_move_or_drop_another_row(before: list[Drawn], more: list[Drawn]) -> None:
    at, gone = put(before)
    at_later, gone_later = put([*before, *more])
    assert {key: at_later.get(key) for key in at} == at
    assert {key: gone_later.get(key) for key in gone} == gone


@given(long_hashed, long_hashed)
@settings(max_examples=40)
def test_appended_near_duplicates_never_move_or_drop_another_row(before: list[Drawn], more: list[Drawn]) -> None:
    at, gone = put(before)
    at_later, gone_later = put([*before, *more])
    assert {key: at_later.get(key) for key in at} == at
    assert {key: gone_later.get(key) for key in gone} == gone


@given(long_rows, long_rows)
@settings(max_examples=40)
def test_rows_of_another_source_never_move_a_row(first: list[Drawn], second: list[Drawn]) -> None:
    """As when rows are appended to a source that is not the last: they push out near-duplicates of it at most."""
    at, _ = put(second)
    at_later, gone_later = put([*first, *second], before=len(first))
    for index in range(len(second)):
        key, later = str(index), str(index + len(first))
        assert later in gone_later or key not in at or at_later[later] == at[key]


@given(long_rows)
@settings(max_examples=50)
def test_trap_37_no_near_duplicate_in_two_splits(drawn: list[Drawn]) -> None:
    at, gone = put(drawn)
    assert at.keys() | gone.keys() == {str(index) for index in range(len(drawn))}
    for one, other in combinations(sorted(at), 2):
        if at[one] != at[other]:
            assert not resembles(drawn[int(one)], drawn[int(other)])
            assert drawn[int(one)][2] is None or drawn[int(one)][2] != drawn[int(other)][2]
    for key, reason in gone.items():
        row = drawn[int(key)]
        if reason == ALIKE:
            assert any(resembles(row, drawn[int(other)]) for other in at)


@given(rows, rows)
@settings(max_examples=300)
def test_rows_put_before_others_never_move_them_to_another_split(first: list[Drawn], second: list[Drawn]) -> None:
    at, _ = put(second)
    at_later, gone_later = put([*first, *second], before=len(first))
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
    splits = {"train": [], "validation": [], "test": [example("3", "p", "c"), example("4", said(1, 0), "c")]}
    near = example("5", said(1, 1), "c")
    assert leaked([same, other, near], splits) == {"1": SAME_CONTENT}  # type: ignore[arg-type]
    assert leaked([same, other, near], splits, 0.8) == {"1": SAME_CONTENT, "5": ALIKE}  # type: ignore[arg-type]
    assert leaked([same], {"train": [], "validation": [], "test": []}, 0.8) == {}


def test_a_near_duplicate_goes_where_the_first_of_its_source_is_and_is_not_dropped() -> None:
    drawn: list[Drawn] = [(said(i % 40, i // 40), "yes", None, None) for i in range(120)]
    at, gone = put(drawn, Split(0.34, 0.33, 0.33))
    assert not gone
    assert all(at[str(i)] == at[str(i % 40)] for i in range(120))
    assert set(at.values()) == {"train", "validation", "test"}
    apart, _ = put(drawn, Split(0.34, 0.33, 0.33, near_duplicates=None))
    assert sum(apart[str(i)] != apart[str(i % 40)] for i in range(120)) > 30


def test_a_near_duplicate_of_rows_in_two_splits_is_dropped() -> None:
    words = [f"w{i}" for i in range(200)]
    pieces = [" ".join(words[start : start + 60]) for start in (0, 12, 6)]
    split = Split(0.5, 0.5, 0.0, near_duplicates=0.65)
    shifted: list[Drawn] = [(f"k{n} {piece}", "yes", None, None) for n in range(60) for piece in pieces]
    kinds = set()
    for n in range(60):
        at, gone = put(shifted[3 * n : 3 * n + 3], split)
        kinds.add((at["0"] == at["1"], gone.get("2")))
    assert kinds >= {(True, None), (False, ALIKE)}


def test_answers_and_labels_part_what_asks_the_same() -> None:
    drawn: list[Drawn] = [(said(0, 0), f"answer {i}", None, None) for i in range(300)]
    at, gone = put(drawn, Split(0.34, 0.33, 0.33))
    assert not gone
    assert {name: 80 < list(at.values()).count(name) < 120 for name in set(at.values())} == dict.fromkeys(
        at.values(), True
    )


def test_near_duplicates_of_held_out_files_are_dropped_from_training() -> None:
    hashed_in_train = next(i for i in range(50) if put([(said(i, 0), "yes", None, None)])[0]["0"] == "train")
    drawn: list[Drawn] = [
        (said(hashed_in_train, 0), "yes", None, None),
        (said(hashed_in_train, 1), "yes", None, "test"),
    ]
    assert put(drawn) == ({"1": "test"}, {"0": ALIKE})
    assert put([(said(1, 0), "yes", None, "train"), (said(1, 1), "yes", None, "validation")])[1] == {"0": ALIKE}


def test_rows_are_split_by_time_from_where_the_recipe_says() -> None:
    split = Split(by_time="time", validation_from="2026-03-01", test_from="2026-04-01T12:00:00Z")
    times = ["2026-02-28", "2026-03-01", "2026-04-01", "2026-04-01T14:00:00+02:00", "2027-01-01", None, "soon", "12"]
    at, gone = put([(f"p{n}", "c", time, None) for n, time in enumerate(times)], split)
    assert not gone
    assert [at[str(n)] for n in range(5)] == ["train", "validation", "validation", "test", "test"]
    assert [at[str(n)] for n in range(5, 8)] == ["train"] * 3
    years = Split(by_time="time", test_from=2024)
    assert put([("a", "c", "2023", None), ("b", "c", "2024.0", None)], years)[0] == {"0": "train", "1": "test"}


def test_what_lies_on_both_sides_of_a_time_stays_held_out() -> None:
    split = Split(by_time="time", test_from=5)
    drawn: list[Drawn] = [(said(1, 0), "yes", "1", None), (said(1, 1), "yes", "6", None), ("a", "c", "2", None)]
    assert put(drawn, split) == ({"1": "test", "2": "train"}, {"0": ALIKE})


def test_times_that_are_not_written_down_are_proposed_by_the_shares() -> None:
    drawn: list[Drawn] = [(f"p{n}", "c", f"2026-01-{n + 1:02}", None) for n in range(20)]
    with pytest.raises(DataError, match=r"now validation_from: 2026-01-17, test_from: 2026-01-19$"):
        put(drawn, Split(by_time="time"))
    with pytest.raises(DataError, match=r"by_time: time holds no numbers$"):
        put(drawn, Split(by_time="time", test_from=3))
    with pytest.raises(DataError, match=r"holds no numbers and no dates or times in ISO 8601"):
        put([("p", "c", "soon", None)], Split(by_time="time"))


def test_every_value_of_a_stratum_gets_its_shares_however_many_rows_there_are() -> None:
    split = Split(0.7, 0.2, 0.1, stratify="patient")
    drawn: list[Drawn] = [(f"p{n}", "c", str(min(n % 7, n % 3)), None) for n in range(900)]
    at, _ = put(drawn, split)
    for stratum in ("0", "1", "2"):
        its = [at[str(n)] for n, row in enumerate(drawn) if row[2] == stratum]
        for count in range(1, len(its) + 1):
            for name, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
                assert abs(its[:count].count(name) - share * count) < 3
    again, _ = put(drawn[:500], split)
    assert again == {key: at[key] for key in again}


def test_small_strata_are_held_out_as_often_as_their_share_says() -> None:
    split = Split(0.7, 0.2, 0.1)
    firsts = [split.nth(f"stratum {n}", 0) for n in range(2000)]
    assert firsts.count("test") == pytest.approx(200, abs=60)
    assert firsts.count("validation") == pytest.approx(400, abs=80)


def test_strata_are_labels_tasks_or_columns() -> None:
    sources: dict[str, Any] = {"notes": None}
    made = [
        example(str(n), f"p{n}", "c").with_(origin=Origin("notes"), label=n % 2, task="ab"[n % 2]) for n in range(40)
    ]
    found = {}
    for name in ("label", "task", "kind"):
        placing = Placing(Split(0.5, 0.5, 0.0, stratify=name), sources)
        for e in made:
            placing.note(e, {"kind": e.label})
        placing.finish()
        found[name] = [at.split for at in placing.places]
        for kind in (0, 1):
            assert found[name][kind::2].count("train") in (9, 10, 11)
    assert found["label"] == found["kind"]
    plain = Placing(Split(0.5, 0.5, 0.0, stratify="kind"), sources)
    plain.note(made[0], {"kid": 1})
    with pytest.raises(DataError, match=r"data\.split\.stratify: kind is not a column of any source; did you mean kid"):
        plain.finish()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"near_duplicates": 0.4}, "near_duplicates is 0.4; it lies between 0.5 and 1, or is null"),
        ({"near_duplicates": float("nan")}, "near_duplicates is nan"),
        ({"test_from": "2026-01-01"}, "test_from is set without by_time"),
        ({"by_time": "t", "test_from": "soon"}, "test_from is 'soon'; it is a number, or a date"),
        ({"by_time": "t", "test_from": 1, "validation_from": 2}, "test_from comes after"),
        ({"by_time": "t", "test_from": 1, "validation_from": "2026-01-01"}, "test_from comes after"),
        ({"by_time": "t", "stratify": "label"}, "stratify and by_time cannot both decide"),
        ({"keep_together": "t", "stratify": "label"}, "stratify and keep_together cannot both decide"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Split(**options).check()
    Split(by_time="t", test_from=2, validation_from=1, keep_together="p", near_duplicates=None).check()
