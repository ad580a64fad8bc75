"""Encoding: every example becomes a row or a counted drop, and truncation never fakes an end nor loses every label."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.encode import CUT_AWAY, TOO_LONG, UNSUPERVISED, EncodedSplit, encode_split
from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example, Origin
from tunesmith.data.truncate import truncate
from tunesmith.errors import DataError, RowError, TunesmithError
from tunesmith.plugins.interfaces import Objective

EOS, BOS = 2, 1


class Given(Objective):
    """Encodes what the example's extras say."""

    def encode(self, example, renderer):
        if "bad" in example.extras:
            raise RowError("answer", example.extras["bad"])
        return [Encoded(tuple(ids), tuple(map(float, weights))) for ids, weights in example.extras["sequences"]]

    def loss(self, forward):
        raise NotImplementedError


def example(*sequences: tuple[Sequence[int], Sequence[float]], **extras) -> Example:
    name = str(len(sequences)) + str(sequences)
    return Example(id=name, origin=Origin("s", "rows.jsonl", 3), extras={"sequences": sequences, **extras})


def encode(*examples: Example, max_length: int | None = None, truncation="right") -> EncodedSplit:
    return encode_split(examples, Given(), None, max_length, truncation, bos=BOS)


def answer(prompt: int, said: int, opens: bool = True) -> Encoded:
    """A prompt of distinct ids, an answer of distinct ids that ends in EOS."""
    ids = [BOS if opens else 9, *range(10, 9 + prompt), *range(100, 99 + said), EOS]
    return Encoded(tuple(ids), tuple([0.0] * prompt + [1.0] * said))


ANSWERS = st.builds(answer, st.integers(1, 20), st.integers(1, 20), st.booleans())
ROWS = st.lists(ANSWERS, min_size=1, max_size=2).map(tuple)


@given(ROWS, st.integers(1, 45), st.sampled_from(["right", "left"]))
def test_trap_16_a_cut_sequence_is_a_flagged_part_of_the_whole_without_a_fake_end(row, longest, policy) -> None:
    cut = truncate(row, longest, policy, BOS)
    assert cut is not None
    for before, after in zip(row, cut, strict=True):
        assert len(after.ids) == len(after.weights) <= max(longest, 0)
        assert after.truncated == (after.ids != before.ids)
        whole = iter(zip(before.ids, before.weights, strict=True))
        assert all(token in whole for token in zip(after.ids, after.weights, strict=True))  # a subsequence, in order
        assert after.weights[0] == 0
        places = [before.ids.index(token) for token in after.ids]  # the ids of a sequence are distinct
        if policy == "right":
            assert places == list(range(len(places)))
        body = places[int(before.ids[0] == BOS) :]
        assert body == list(range(body[0], body[0] + len(body))) if body else longest == 1  # one piece: no end put back


@given(ANSWERS, st.integers(2, 45))
def test_cutting_from_the_left_keeps_bos_and_every_label_that_fits(sequence, longest) -> None:
    (cut,) = truncate((sequence,), longest, "left", BOS)
    assert cut.supervised == min(sequence.supervised, longest - 1)
    assert (cut.ids[0] == BOS) == (sequence.ids[0] == BOS)
    if sequence.supervised < longest:
        assert cut.ids[-sequence.supervised :] == sequence.ids[-sequence.supervised :]
        assert len(cut.ids) == min(longest, len(sequence.ids))


@given(st.integers(2, 20), st.lists(st.integers(1, 20), min_size=2, max_size=2), st.integers(2, 45))
def test_a_pairs_prompts_stay_equal_when_cut_from_the_left(prompt, answers, longest) -> None:
    cut = truncate(tuple(answer(prompt, said) for said in answers), longest, "left", BOS)
    prompts = [[i for i, w in zip(s.ids, s.weights, strict=True) if not w] for s in cut]
    assert prompts[0] == prompts[1]


@given(ROWS, st.integers(1, 45))
def test_dropping_gives_up_just_the_rows_that_are_too_long(row, longest) -> None:
    kept = truncate(row, longest, "drop", BOS)
    assert kept == (row if all(len(s.ids) <= longest for s in row) else None)


def test_trap_15_a_prompt_longer_than_the_limit_is_dropped_and_counted() -> None:
    long = answer(10, 3)
    row = example((long.ids, long.weights))
    fine = example(([1, 5, 2], [0, 1, 1]))
    split = encode(row, fine, max_length=8)
    assert [(d.id, str(d.origin), d.reason) for d in split.drops] == [(row.id, "rows.jsonl:3", CUT_AWAY)]
    assert [r.example for r in split.rows] == [fine]
    left = encode(row, max_length=8, truncation="left")
    assert left.rows[0].sequences[0].supervised == 3
    assert left.truncated == [row.id]
    assert encode(row, fine, max_length=8, truncation="drop").drops[0].reason == TOO_LONG


def test_trap_15_a_pair_needs_labels_on_both_sides() -> None:
    short, long = ([1, 5, 2], [0, 1, 1]), ([1, 5, 6, 7, 2], [0, 0, 0, 0, 1])
    fine = example(short, short)
    split = encode(example(short, long), fine, max_length=4)
    assert [d.reason for d in split.drops] == [CUT_AWAY]
    assert split.units == {"token": [4], "example": [1], "pair": [1]}
    assert split.lengths == [6]


def test_trap_38_every_example_is_a_row_or_a_drop_with_its_reason() -> None:
    examples = [
        example(([1, 5, 2], [0, 1, 1])),
        example(bad="is empty"),
        example(([1, 5], [0, 0])),
        example(([1], [1])),  # nothing predicts a first token
        example(),
        example(([], [])),
        example(([1, 2, 3, 4, 5], [0, 1, 1, 1, 0.5])),
    ]
    split = encode(*examples, max_length=4)
    assert split.counts == {
        "examples": 7,
        "rows": 2,
        "pieces": 0,
        "dropped": {UNSUPERVISED: 2, "no tokens": 2, "answer: is empty": 1},
        "truncated": 1,
        "tokens": 7,
        "supervised": 5,
    }


def test_trap_13_a_split_of_which_nothing_is_left_stops_the_run_with_the_reasons() -> None:
    with pytest.raises(DataError, match=r"not one of 3 examples .* 2 x answer: is empty; 1 x no supervised token"):
        encode(example(bad="is empty"), example(bad="is empty"), example(([1, 5], [0, 0])))
    assert encode().counts["rows"] == 0


def test_a_classifiers_rows_need_no_token_labels() -> None:
    class Classes(Given):
        model_class = "classification"

    split = encode_split([example(([1, 5, 6], [0, 0, 0]))], Classes(), None, 2, "right")
    assert split.rows[0].sequences[0].ids == (1, 5)


def test_an_objective_whose_weights_do_not_match_its_ids_is_a_fault_of_the_plugin() -> None:
    with pytest.raises(TunesmithError, match=r"model\.objective: Given failed .* encoded 3 tokens with 2 weights"):
        encode(example(([1, 2, 3], [0, 1])))
