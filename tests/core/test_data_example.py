"""Examples: every text of one changed by a function, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, Origin, Segment
from tunesmith.data.codec import from_bytes, to_bytes

TOOL = {"name": "find", "description": "finds", "parameters": {"type": "object", "required": ["key"]}}
SAID = Message("assistant", "said", 0.5, {"tool_calls": [{"name": "find", "n": 3}]})
WHOLE: dict[str, Any] = {
    "messages": (Message("user", "asked", fields={"name": "anna"}), SAID),
    "label": "warm",
    "tools": (TOOL,),
    "id": "row",
    "origin": Origin("notes", "notes.jsonl", 3),
    "task": "notes",
    "extras": {"who": "anna", "list": ["x", 1, None, {"deep": "y"}], "n": 2.5},
}


def test_texts_change_and_other_strings_stay() -> None:
    example = Example(**WHOLE)
    asked, said = example.messages
    turns = (Message("user", "ASKED", fields=asked.fields), Message("assistant", "SAID", 0.5, said.fields))
    assert example.map_texts(str.upper) == Example(**{**WHOLE, "messages": turns})


def test_everywhere_means_every_string_but_keys_roles_id_origin_and_task() -> None:
    upper = Example(**WHOLE).map_texts(str.upper, everywhere=True)
    assert upper == Example(
        messages=(
            Message("user", "ASKED", fields={"name": "ANNA"}),
            Message("assistant", "SAID", 0.5, {"tool_calls": [{"name": "FIND", "n": 3}]}),
        ),
        label="WARM",
        tools=({"name": "FIND", "description": "FINDS", "parameters": {"type": "OBJECT", "required": ["KEY"]}},),
        id="row",
        origin=Origin("notes", "notes.jsonl", 3),
        task="notes",
        extras={"who": "ANNA", "list": ["X", 1, None, {"deep": "Y"}], "n": 2.5},
    )


@pytest.mark.parametrize(
    "example",
    [
        Example(segments=(Segment("one", 0.0), Segment("two"))),
        Example(chosen=(Message("user", "one"), SAID), rejected=(Message("user", "one"), Message("assistant", "two"))),
    ],
)
def test_segments_and_both_sides_of_a_pair_are_texts(example: Example) -> None:
    upper = example.map_texts(str.upper)
    assert list(upper.texts()) == [text.upper() for text in example.texts()]
    assert upper.map_texts(str.lower) == example


@pytest.mark.parametrize("everywhere", [False, True])
def test_what_does_not_change_is_the_same_object(everywhere: bool) -> None:
    example = Example(**WHOLE)
    assert example.map_texts(lambda text: text, everywhere) is example


WEIGHED = Message("assistant", "Mr Bloom is well.", 1.0, spans=((9, 0.0), (8, 1.0)))


def test_the_weights_of_stretches_go_with_their_words() -> None:
    def changed(old: str, new: str) -> tuple[tuple[int, float], ...]:
        example = Example(messages=(WEIGHED,)).map_texts(lambda text: text.replace(old, new))
        return example.messages[0].spans

    assert changed("Mr Bloom", "[NAME_1]") == ((9, 0.0), (8, 1.0))
    assert changed("Bloom", "Murakami") == ((12, 0.0), (8, 1.0))
    assert changed(" is", " now is") == ((13, 0.0), (8, 1.0))  # as what stands before it
    assert changed("Mr Bloom ", "") == ((8, 1.0),)
    assert changed("Bloom is", "was") == ((3, 0.0), (9, 1.0))  # as the last character that went
    assert changed("Mr Bloom is well.", "") == ()
    assert WEIGHED.with_content(WEIGHED.content) is WEIGHED
    assert Message("assistant", "a").with_content("b").spans == ()


TEXTS = st.lists(st.sampled_from(["a", " ", "b b", "é", ".", "\n", "long"]), max_size=9).map("".join)


@given(old=TEXTS.filter(bool), new=TEXTS, data=st.data())
def test_stretches_are_as_long_as_the_text_and_come_back_from_a_file(old: str, new: str, data: st.DataObject) -> None:
    lengths = [data.draw(st.integers(1, len(old)))]
    while sum(lengths) < len(old):
        lengths.append(data.draw(st.integers(1, len(old) - sum(lengths))))
    spans = tuple((length, at % 2 / 2) for at, length in enumerate(lengths))
    turn = Message("assistant", old, spans=spans).with_content(new)
    assert sum(length for length, _ in turn.spans) == len(new)
    assert {weight for _, weight in turn.spans} <= {weight for _, weight in spans}
    example = Example(messages=(turn,), id="x")
    assert from_bytes(to_bytes(example), "x", Origin()) == example
