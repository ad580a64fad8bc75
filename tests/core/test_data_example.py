"""Examples: every text of one changed by a function, and nothing else."""

from typing import Any

import pytest

from tunesmith import Example, Message, Origin, Segment

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
