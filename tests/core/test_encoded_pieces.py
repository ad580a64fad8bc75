"""Pieces of a long sequence: each token learnt once, from what is before it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Encoded, Example, Message, Objective, Renderer, Term
from tunesmith.data.encode import UNSUPERVISED, encode_split, other_than

BOS = 1


@given(
    length=st.integers(1, 60),
    longest=st.integers(4, 30),
    overlap=st.integers(0, 12),
    opens=st.booleans(),
    silent=st.sets(st.integers(0, 59)),
)
def test_each_token_is_learnt_once_behind_the_tokens_that_it_follows(
    length: int, longest: int, overlap: int, opens: bool, silent: set[int]
) -> None:
    ids = tuple(BOS if opens and at == 0 else at + 10 for at in range(length))
    weights = tuple(0.0 if at == 0 or at in silent else 0.5 + at for at in range(length))
    whole = Encoded(ids, weights)
    if longest - max(1, overlap) - opens < 1:
        with pytest.raises(ValueError, match="no room for what is new"):
            whole.pieces(longest, overlap, BOS)
        return
    pieces = whole.pieces(longest, overlap, BOS)
    assert all(len(piece.ids) <= longest for piece in pieces)
    assert all(len(piece.ids) == len(piece.weights) for piece in pieces)
    learnt = [(t, w) for piece in pieces for t, w in zip(piece.ids, piece.weights, strict=True) if w]
    assert learnt == [(t, w) for t, w in zip(ids, weights, strict=True) if w]
    for piece in pieces:
        assert piece.weights[0] == 0
        if opens:
            assert piece.ids[0] == BOS
        inner = piece.ids[opens:]
        assert all(b - a == 1 for a, b in pairwise(inner))  # as they stand in the whole
    for piece in pieces[1:]:
        first = next((at for at, w in enumerate(piece.weights) if w), None)
        assert first is None or first >= opens + max(1, overlap)


class Letters(Objective):
    """A token a letter of the answer; pieces of it."""

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        text = example.messages[-1].content
        return [Encoded(tuple(map(ord, text)), (0.0, *(float(letter != "-") for letter in text[1:])))]

    def cut(self, sequence: Encoded, longest: int, bos: int | None, closing: int | None = None) -> list[Encoded]:
        return sequence.pieces(longest, 1, bos)

    def loss(self, forward: object) -> Term:
        raise NotImplementedError


def said(text: str, asked: str = "?", role: str = "assistant") -> Example:
    return Example(messages=(Message("user", asked), Message(role, text)), id=text)  # type: ignore[arg-type]


def test_pieces_are_rows_of_their_example_and_counted_and_those_that_learn_nothing_are_left_out() -> None:
    examples = [said("abcdefghi"), said("xy"), said("abcd-----efg"), said("a--------")]
    split = encode_split(examples, Letters(), None, 5)  # type: ignore[arg-type]
    texts = [("".join(map(chr, row.sequences[0].ids)), row.example.id) for row in split.rows]
    assert texts == [
        ("abcde", "abcdefghi"),
        ("efghi", "abcdefghi"),
        ("xy", "xy"),
        ("abcd-", "abcd-----efg"),
        ("-efg", "abcd-----efg"),
    ]
    assert split.counts == {
        "examples": 4,
        "rows": 5,
        "pieces": 2,
        "dropped": {UNSUPERVISED: 1},
        "truncated": 0,
        "tokens": 21,
        "supervised": 4 + 4 + 1 + 3 + 3,
    }


def test_another_row_asks_something_else_and_answers_it() -> None:
    rows = [said("a", "1"), said("b", "2"), said("c", "2"), said("d", "3", role="user"), said("e", "4")]
    found = [other_than(rows, at) for at in range(len(rows))]
    assert [None if other is None else other.id for other in found] == ["e", "a", "a", "c", "c"]
    assert other_than(rows[1:3], 0) is None
    assert other_than(rows[:1], 0) is None
