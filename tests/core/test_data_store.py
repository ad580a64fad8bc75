"""Examples in files: they come back as they were, in parts and in other processes too, and never by halves."""

import io
import pickle
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import DataError, Encoded, Example, Message, Origin, Segment
from tunesmith.data.codec import from_bytes, origin_text, to_bytes, to_origin
from tunesmith.data.encoded_rows import EncodedRow, EncodedWriter, Sizes
from tunesmith.data.row_file import Packed, RowWriter
from tunesmith.data.store import Store, joined, stored
from tunesmith.testing.material import examples, unclean
from tunesmith.testing.same import same

text = st.text(max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
maps = st.dictionaries(text, plain, max_size=3)
weights = st.none() | st.floats(0, 2) | st.just(0) | st.just(1)
turns = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), text, weights, maps), max_size=3
).map(tuple)
whole = st.builds(
    Example,
    messages=turns,
    segments=st.lists(st.builds(Segment, text, st.floats(0, 2)), max_size=2).map(tuple),
    chosen=turns,
    rejected=turns,
    label=st.none() | text | st.integers() | st.floats(0, 1) | st.lists(text | st.integers(), max_size=3).map(tuple),
    tools=st.lists(maps, max_size=2).map(tuple),
    id=text.filter(lambda t: t.isprintable()),
    task=text,
    extras=maps,
)


@given(whole)
def test_an_example_comes_back_with_the_types_it_had(example: Example) -> None:
    assert same(from_bytes(to_bytes(example), example.id, example.origin), example)


def test_half_a_surrogate_pair_comes_back() -> None:
    example = Example(segments=(Segment("a \ud83d b"),))
    assert from_bytes(to_bytes(example), "", Origin()) == example
    odd = Origin("notes", "caf\udce9.jsonl", 3)  # as Python names a file that is no UTF-8
    assert to_origin(origin_text(odd)) == odd
    assert stored([example.with_(origin=odd)])[0].origin == odd


@pytest.fixture(scope="module")
def given_examples() -> list[Example]:
    """More than one batch."""
    made = [example.with_(id=f"{n}-{example.id}") for n in range(120) for example in (*examples(), *unclean())]
    assert len(made) > 4000
    return made


@pytest.fixture(scope="module")
def store(given_examples: list[Example]) -> Store:
    return stored(given_examples)


def test_a_store_is_the_sequence_that_was_written(store: Store, given_examples: list[Example]) -> None:
    assert len(store) == len(given_examples)
    assert list(store) == given_examples
    assert store == given_examples
    assert store != given_examples[:-1]
    assert store != [*given_examples[:-1], given_examples[0]]
    assert [store[at] for at in (0, 1999, 2000, -1)] == [given_examples[at] for at in (0, 1999, 2000, -1)]
    assert list(store.ids()) == [example.id for example in given_examples]
    assert list(store.origins()) == [example.origin for example in given_examples]
    assert store.numbers().tolist() == list(range(len(store)))
    with pytest.raises(IndexError):
        store[len(store)]


def test_a_part_is_a_sequence_too(store: Store, given_examples: list[Example]) -> None:
    part = store.select([5, 2001, 3])
    assert list(part) == [given_examples[at] for at in (5, 2001, 3)]
    assert list(part.ids()) == [given_examples[at].id for at in (5, 2001, 3)]
    assert list(part[1:]) == list(part)[1:]
    assert list(store[::1000]) == given_examples[::1000]
    assert list(store[10:20][::-3]) == given_examples[10:20][::-3]
    assert part.numbers().tolist() == [5, 2001, 3]


@settings(max_examples=50)
@given(st.data())
def test_rows_of_several_files_are_read_in_their_order(
    store: Store, given_examples: list[Example], data: st.DataObject
) -> None:
    other = stored(given_examples[7:2100])
    both = joined([store, other])
    everything = [*given_examples, *given_examples[7:2100]]
    at = data.draw(st.lists(st.integers(0, len(everything) - 1), max_size=40))
    chosen = both.select(at)
    assert list(chosen) == [everything[i] for i in at]
    assert [chosen[i] for i in range(len(at))] == list(chosen)
    assert list(chosen.ids()) == [everything[i].id for i in at]
    assert [chosen.origin(i) for i in range(len(at))] == [origin_text(everything[i].origin) for i in at]


def test_content_is_told_by_examples_ids_and_order(given_examples: list[Example]) -> None:
    few = given_examples[:5]
    base = stored(few)
    assert stored(few).content() == base.content()
    assert joined([base[:2], stored(few[2:])]).content() == base.content()
    others = [few[::-1], few[:4], [few[0].with_(id="x"), *few[1:]], [few[0].with_(task="x"), *few[1:]]]
    others.append([few[0].with_(origin=Origin("a", "b", 7)), *few[1:]])
    assert len({stored(other).content() for other in others} | {base.content()}) == 6


def test_another_process_gets_the_same_part(tmp_path: Path, store: Store, given_examples: list[Example]) -> None:
    part = store[7:9]
    assert pickle.loads(pickle.dumps(part)) == list(part)
    named = joined([stored(given_examples, tmp_path / "a.arrow"), stored(given_examples, tmp_path / "b.arrow")])
    both = named.select([3, len(given_examples) + 1])
    sent = pickle.dumps(both)
    assert len(sent) < 1000
    assert list(pickle.loads(sent)) == [given_examples[3], given_examples[1]]


def test_nothing_is_an_empty_sequence() -> None:
    empty = stored([])
    assert (len(empty), list(empty), list(empty.ids()), empty.digests().tolist()) == (0, [], [], [])
    assert len(joined([])) == 0


def test_a_file_has_its_name_when_it_is_whole_and_none_where_none_is_given(tmp_path: Path) -> None:
    def breaks() -> Iterator[Example]:
        yield Example(id="1")
        raise KeyError

    for path in (tmp_path / "rows.arrow", None):
        with pytest.raises(KeyError):
            stored(breaks(), path, tmp_path)
        assert list(tmp_path.iterdir()) == []
    hidden = stored([Example(id="1")], None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not hidden.is_named
    with RowWriter(tmp_path / "rows.arrow") as writer:
        writer.add(Example(id="1"), 0, Packed(Example(id="1")))
        assert [path.name for path in tmp_path.iterdir()] == ["rows.arrow.part"]
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.arrow"]


def test_where_there_is_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"rows cannot be kept in .*file/x: .*; make room there"):
        stored([], None, tmp_path / "file" / "x")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: io.FileIO("/dev/full", "r+b"))
    with pytest.raises(DataError, match=f"rows cannot be kept in {tmp_path}: No space left on device; make room there"):
        stored([Example(id="1")], None, tmp_path)


@pytest.mark.parametrize("value", [date(2026, 1, 1), {1, 2}, object(), b"bytes"])
def test_what_json_does_not_know_is_refused_with_the_place(value: Any) -> None:
    example = Example(extras={"when": value}, origin=Origin("notes", "notes.jsonl", 4))
    with pytest.raises(DataError, match=r"notes\.jsonl:4: the example holds \w+, neither text nor numbers"):
        stored([example])


def test_a_mapping_that_is_no_dict_is_kept() -> None:
    example = Example(extras=MappingProxyType({"a": MappingProxyType({"b": 1})}))
    assert stored([example])[0].extras == {"a": {"b": 1}}


sequences = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from([0.0, 1.0, 0.3, 2.0])), min_size=1, max_size=12),
        st.booleans(),
    ),
    min_size=1,
    max_size=2,
).map(lambda each: tuple(Encoded(*zip(*tokens, strict=True), cut) for tokens, cut in each))


@given(st.lists(sequences, max_size=8), st.randoms())
def test_encoded_rows_come_back_as_they_were(drawn: list[tuple[Encoded, ...]], draw: Any) -> None:
    made = [Example(id=str(at)) for at in range(len(drawn) + 3)]
    numbers = sorted(draw.sample(range(len(made)), len(drawn)))
    with EncodedWriter() as writer:
        for number, each in zip(numbers, drawn, strict=True):
            writer.add(number, each)
        rows = writer.finish(made)
    expected = [EncodedRow(made[number], each) for number, each in zip(numbers, drawn, strict=True)]
    assert list(rows) == expected
    assert [rows[at] for at in range(len(rows))] == expected
    assert rows[1:] == expected[1:]
    assert pickle.loads(pickle.dumps(rows)) == expected
    for name, counted in vars(Sizes.of(expected)).items():
        assert np.array_equal(getattr(rows.sizes, name), counted)
    assert rows.sizes.length.tolist() == [row.length for row in expected]
    assert rows.sizes.units["token"] == [row.units["token"] for row in expected]
    assert rows.sizes.units["pair"] == [row.units["pair"] for row in expected]
    assert [tuple(shape) for shape in rows.sizes.shapes] == [
        (len(row.sequences), max(len(s.ids) for s in row.sequences)) for row in expected
    ]


def test_another_process_opens_encoded_rows_that_have_a_name(tmp_path: Path) -> None:
    made = stored([Example(id=str(at)) for at in range(300)], tmp_path / "rows.arrow")
    with EncodedWriter(tmp_path / "encoded.arrow") as writer:
        for at in range(300):
            writer.add(at, (Encoded((1,) * 50, (0.0, *[1.0] * 49)),))
        rows = writer.finish(made)
    sent = pickle.dumps(rows)
    assert len(sent) < 20_000  # but for sizes and places, nothing
    assert list(pickle.loads(sent)) == list(rows)


def test_more_encoded_rows_than_a_batch(given_examples: list[Example]) -> None:
    made = [Encoded(tuple(range(at % 7 + 1)), (0.0, *[1.0] * (at % 7))) for at in range(1201)]
    with EncodedWriter() as writer:
        for at, sequence in enumerate(made):
            writer.add(at, (sequence,))
        rows = writer.finish(given_examples)
    assert [row.sequences[0] for row in rows] == made
    assert [rows[at].sequences[0] for at in (0, 499, 500, 1200, -1)] == [made[at] for at in (0, 499, 500, 1200, -1)]
