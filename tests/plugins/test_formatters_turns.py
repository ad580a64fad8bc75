"""Turns of other trainers: Anthropic's parts, weights of parts, thinking and channels; and what is no text."""

from typing import Any

import pytest

from tunesmith import Formatter, RowError
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.messages import Messages
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.formatters.query_response import QueryResponse
from tunesmith_plugins.formatters.raw_text import RawText
from tunesmith_plugins.formatters.share_gpt import ShareGPT
from tunesmith_plugins.formatters.template import Template

USE = {"type": "tool_use", "id": "t1", "name": "lamp", "input": {"on": True}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "ok"}]}
TEXT = {"type": "text", "text": "I look."}
THINKING = {"type": "thinking", "thinking": "It glows.", "signature": "x"}


def refusal(formatter: Formatter, row: dict[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        formatter.format(row)
    return str(caught.value)


def test_parts_of_tools_become_calls_and_results() -> None:
    user = {"role": "user", "content": [{"type": "text", "text": "Now?"}, RESULT, {"type": "text", "text": "And?"}]}
    turns = [
        {"role": "user", "content": "On?"},
        {"role": "assistant", "content": [THINKING, TEXT, USE, {"type": "text", "text": " "}], "loss": False},
        user,
        {"role": "assistant", "content": "Yes."},
    ]
    example = Messages().format({"messages": turns, "tools": [{"name": "lamp", "input_schema": {"type": "object"}}]})
    assert [(m.role, m.content) for m in example.messages] == [
        ("user", "On?"),
        ("assistant", "I look."),
        ("user", "Now?"),
        ("tool", "ok"),
        ("user", "And?"),
        ("assistant", "Yes."),
    ]
    call = {"id": "t1", "type": "function", "function": {"name": "lamp", "arguments": {"on": True}}}
    assert example.messages[1].fields == {"tool_calls": [call], "thinking": "It glows."}
    assert example.messages[1].weight == 0
    assert example.messages[3].fields == {"tool_call_id": "t1", "name": "lamp"}
    assert example.tools == ({"type": "function", "function": {"name": "lamp", "parameters": {"type": "object"}}},)


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"role": "assistant", "content": [USE, TEXT]}, "messages[0].content[1]: is text behind a tool call"),
        ({"role": "assistant", "content": [RESULT]}, "messages[0].content: has a part that is no text"),
        ({"role": "user", "content": [USE]}, "messages[0].content: has a part that is no text"),
        ({"role": "system", "content": [USE]}, "messages[0].content: has parts of tools in a turn of neither"),
        ({"role": "assistant", "content": [{**USE, "name": 1}]}, "messages[0].content[0].name: is a number"),
        ({"role": "assistant", "content": [{**USE, "input": [1]}]}, "messages[0].tool_calls[0].function.arguments"),
        ({"role": "assistant", "content": [USE], "tool_calls": [{}]}, "messages[0].content: has parts of a kind that"),
        (
            {"role": "user", "content": [{**RESULT, "content": [{"type": "image"}]}]},
            "messages[0].content[0].content: holds an image; only text is read",
        ),
        ({"role": "assistant", "content": "x", "channel": "analysis"}, "messages[0].channel: is not `final`"),
    ],
)
def test_parts_where_they_have_no_meaning_are_refused(turn: dict[str, Any], message: str) -> None:
    assert refusal(Messages(), {"messages": [turn]}).startswith(message)


def detail(*parts: tuple[int, int, bool]) -> list[dict[str, Any]]:
    return [{"begin_offset": a, "end_offset": b, "train": t} for a, b, t in parts]


@pytest.mark.parametrize(
    ("parts", "weight"),
    [
        (detail((0, 4, True)), 1.0),
        (detail((0, 1, False), (2, 99, False)), 0.0),
        (detail((0, 4, True), (2, 3, True)), 1.0),
        (detail((0, 3, True)), None),
        (detail((0, 1, True), (2, 4, False)), None),
        (detail((4, 0, True)), None),
    ],
)
def test_parts_of_a_turn_are_read_where_they_weigh_alike(parts: list[dict[str, Any]], weight: float | None) -> None:
    row = {"messages": [{"role": "assistant", "content": "hello", "train_detail": parts}]}
    if weight is None:
        assert "weighs parts of the turn differently" in refusal(Messages(), row)
    else:
        assert Messages().format(row).messages[0].weight == weight


def test_pairs_of_human_and_assistant_are_two_turns() -> None:
    row = {"conversation": [{"human": "a", "assistant": "b", "loss": False}, {"human": "c", "assistant": "d"}]}
    messages = ShareGPT("conversation").format(row).messages
    assert [(m.role, m.content, m.weight) for m in messages] == [
        ("user", "a", None),
        ("assistant", "b", 0.0),
        ("user", "c", None),
        ("assistant", "d", None),
    ]
    assert refusal(ShareGPT(), {"conversations": [{"human": "a", "assistant": " "}]}) == (
        "conversations[0].value: is empty"
    )


def test_a_query_has_its_history_before_it() -> None:
    row = {"query": "c", "response": "d", "history": '[["a", "b"]]', "system": "s", "more": 1}
    example = QueryResponse().format(row)
    assert [m.content for m in example.messages] == ["s", "a", "b", "c", "d"]
    assert example.extras == {"more": 1}
    asked = QueryResponse().question({**row, "response": None})
    assert asked.messages == example.messages[:-1]
    assert refusal(QueryResponse(), {"query": "c", "response": ""}) == "response: is empty"


IMAGE = "images: holds images; only text is read: say it in words, or leave such rows out"
ANY = [
    (PromptCompletion(), {"prompt": "a", "completion": "b"}),
    (Instruction(), {"instruction": "a", "output": "b"}),
    (QueryResponse(), {"query": "a", "response": "b"}),
    (Template("{q}", "{r}"), {"q": "a", "r": "b"}),
    (Messages(), {"messages": [{"role": "user", "content": "a"}]}),
    (ShareGPT(), {"conversations": [{"from": "human", "value": "a"}]}),
    (RawText(), {"text": "a"}),
]


@pytest.mark.parametrize(("formatter", "row"), ANY, ids=lambda v: type(v).__name__)
def test_rows_of_more_than_text_are_refused_by_name(formatter: Formatter, row: dict[str, Any]) -> None:
    assert formatter.format({**row, "images": [], "objects": None, "anchor": None}).extras["images"] == []
    assert refusal(formatter, {**row, "images": ["a.png"]}) == IMAGE
    assert refusal(formatter, {**row, "objects": {"bbox": [[1, 2, 3, 4]]}}).startswith("objects: holds boxes")
    assert "an embedding pair" in refusal(formatter, {**row, "anchor": "a", "positive": "b"})
    assert refusal(formatter, {**row, "input_ids": [1]}).startswith("input_ids: holds token ids")
    assert refusal(formatter, {**row, "positive_messages": [[]]}).startswith("positive_messages: holds an embedding")


@pytest.mark.parametrize(("formatter", "row"), ANY[:-1], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("<image>What is it?", True),
        ("What is it?\n<video>", True),
        ("Where is <ref-object> here?", True),
        ("What does <image> mean in SVG?", False),
        ("<video>a.mp4</video>", False),
        ("a < b", False),
    ],
)
def test_places_for_pictures_in_a_prompt_are_refused(
    formatter: Formatter, row: dict[str, Any], text: str, refused: bool
) -> None:
    name = next(iter(row))
    value: Any = text
    if isinstance(row[name], list):
        value = [{key: text if said == "a" else said for key, said in row[name][0].items()}]
    if refused:
        assert f"{name}" in refusal(formatter, {**row, name: value}) or isinstance(formatter, Template)
        assert "only text is read" in refusal(formatter, {**row, name: value})
    else:
        assert formatter.format({**row, name: value}).messages[-2:][0].content == text


def test_columns_that_a_recipe_names_are_no_embedding_pair() -> None:
    row = {"anchor": "a", "positive": "b"}
    assert Template("{anchor}", "{positive}").format(row).messages[1].content == "b"
    assert PromptCompletion("anchor", "positive").format(row).messages[1].content == "b"


def test_a_row_that_goes_on_another_is_refused() -> None:
    row = {"id": "2", "parent_id": "1", "instruction": "a", "output": "b"}
    assert refusal(Instruction(), row).startswith("parent_id: is filled: the row goes on where another ends")
    assert Instruction().format({**row, "parent_id": None}).messages
    del row["id"]
    assert Instruction().format(row).extras == {"parent_id": "1"}
