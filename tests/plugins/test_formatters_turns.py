"""Turns of other trainers: Anthropic's parts, weights of parts, thinking and channels; and what is no text."""

from typing import Any

import pytest

from tunesmith import Formatter, RowError, recognise
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.messages import Messages
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.formatters.prompt_only import PromptOnly
from tunesmith_plugins.formatters.query_response import QueryResponse
from tunesmith_plugins.formatters.raw_text import RawText
from tunesmith_plugins.formatters.share_gpt import ShareGPT
from tunesmith_plugins.formatters.template import Template
from tunesmith_plugins.formatters.text_label import TextLabel

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
    ],
)
def test_parts_where_they_have_no_meaning_are_refused(turn: dict[str, Any], message: str) -> None:
    assert refusal(Messages(), {"messages": [turn]}).startswith(message)


def said(channel: str | None, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **({"channel": channel} if channel else {}), **more}


def test_channels_of_harmony_become_thinking_calls_and_answers() -> None:
    turns = [
        {"role": "user", "content": "On?"},
        said("analysis", "I look."),
        said("analysis", [{"type": "text", "text": "There is a tool."}]),
        said("commentary", "One moment."),
        said("commentary", '{"on": true}', recipient="functions.lamp", content_type="json"),
        {"role": "tool", "name": "functions.lamp", "channel": "commentary", "recipient": "assistant", "content": "ok"},
        said("final", "It is on.", weight=0.5),
        {"role": "user", "content": "Sure?"},
        said("analysis", "It is."),
        said(None, "Yes."),
    ]
    example = Messages().format({"messages": turns})
    assert [(m.role, m.content, m.weight) for m in example.messages] == [
        ("user", "On?", None),
        ("assistant", "One moment.", None),
        ("tool", "ok", None),
        ("assistant", "It is on.", 0.5),
        ("user", "Sure?", None),
        ("assistant", "Yes.", None),
    ]
    call = {"type": "function", "function": {"name": "lamp", "arguments": {"on": True}}}
    assert example.messages[1].fields == {"thinking": "I look.\n\nThere is a tool.", "tool_calls": [call]}
    assert [m.fields for m in example.messages[2:]] == [{"name": "lamp"}, {}, {}, {"thinking": "It is."}]
    assert recognise([{"messages": turns}]).format({"messages": turns}) == example


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([said("analyses", "x")], "messages[1].channel: is none of analysis, commentary, final"),
        ([said("analysis", "x")], "messages[1].channel: is analysis, and no answer of the assistant follows"),
        (
            [said("analysis", "x"), {"role": "user", "content": "a"}],
            "messages[1].channel: is analysis, and no answer of the assistant follows",
        ),
        ([said("commentary", "x"), said("final", "y")], "messages[1].channel: is commentary, and no call of a tool"),
        ([said("commentary", "x", recipient="functions.f")], "messages[1].content: is no JSON map"),
        ([said("commentary", "{", recipient="f")], "messages[1].tool_calls[0].function.arguments: is text that is no"),
        ([said("analysis", "x"), said("final", "y", thinking="z")], "messages[2].thinking: is filled, and the turn"),
        (
            [said("analysis", "x", train=False), said("final", "y")],
            "messages[2].train: is not that of the analysis before it, with which it is one turn; give both the same",
        ),
        ([said("analysis", "x"), said("final", " ")], "messages[2].content: is empty"),
        ([said("analysis", "x"), said("final", [{"type": "image"}])], "messages[2].content: holds an image"),
        ([said("analysis", [{"type": "image"}]), said("final", "x")], "messages[1].content: holds an image"),
    ],
)
def test_channels_that_lead_nowhere_are_refused(turns: list[dict[str, Any]], message: str) -> None:
    row = {"messages": [{"role": "user", "content": "a"}, *turns]}
    assert refusal(Messages(), row).startswith(message)


def detail(*parts: tuple[int, int, bool]) -> list[dict[str, Any]]:
    return [{"begin_offset": a, "end_offset": b, "train": t} for a, b, t in parts]


@pytest.mark.parametrize(
    ("parts", "weight"),
    [
        (detail((0, 4, True)), (1.0, ())),
        (detail((0, 1, False), (2, 99, False)), (0.0, ())),
        (detail((0, 4, True), (2, 3, False)), (1.0, ())),  # the larger weight holds
        (detail((0, 3, True)), (1.0, ((4, 1.0), (1, 0.0)))),  # what no part holds is not trained
        (detail((0, 1, True), (2, 4, False)), (1.0, ((2, 1.0), (3, 0.0)))),
        ([{"begin_offset": 1, "end_offset": 1, "weight": 0.5}], (1.0, ((1, 0.0), (1, 0.5), (3, 0.0)))),
        ({"begin_offset": 0, "end_offset": 4, "weight": 3}, (3.0, ())),
    ],
)
def test_parts_of_a_turn_weigh_what_they_say(parts: Any, weight: Any) -> None:
    turn = {"role": "assistant", "content": "hello", "train_detail": parts}
    message = Messages().format({"messages": [turn]}).messages[0]
    assert (message.weight, message.spans) == weight
    twice = Messages().format({"messages": [{**turn, "loss_scale": 2}]}).messages[0]
    assert (twice.weight, twice.spans) == (2 * weight[0], weight[1])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("a", "[0]: is no part; begin_offset, end_offset (whole numbers) and train are wanted"),
        (detail((4, 0, True)), "[0]: ends before it begins, or begins before the text"),
        (detail((0, 1, True), (-1, 0, True)), "[1]: ends before it begins, or begins before the text"),
        (detail((5, 6, True)), "[0]: begins behind the text, which has 5 characters"),
        ([{"begin_offset": 0, "end_offset": 1}], "[0]: has neither train nor weight, or both"),
        (detail((0, 1, 1)), "[0].train: is a number; true or false is wanted"),  # type: ignore[arg-type]
        ([{"begin_offset": 0, "end_offset": 1, "weight": -1}], "[0].weight: is out of bounds"),
    ],
)
def test_parts_of_a_turn_that_are_none_are_refused(part: Any, message: str) -> None:
    row = {"messages": [{"role": "assistant", "content": "hello", "train_detail": part}]}
    assert refusal(Messages(), row).startswith(f"messages[0].train_detail{message}")
    in_parts = {
        "role": "assistant",
        "content": [{"type": "text", "text": "hello"}],
        "train_detail": detail((0, 1, True)),
    }
    assert "content is a list of parts" in refusal(Messages(), {"messages": [in_parts]})


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


@pytest.mark.parametrize(
    ("formatter", "row"),
    [
        (QueryResponse(), {"query": "a", "response": "b", "positive": "c"}),
        (QueryResponse(), {"query": "a", "response": "b", "score": 0.5, "sentence1": "c"}),
        (Template("{query}", "{positive}"), {"query": "a", "positive": "b"}),
        (Template("{sentence1} {sentence2}", "{score}"), {"sentence1": "a", "sentence2": "b", "score": 0.5}),
        (TextLabel("sentence1", "score"), {"sentence1": "a", "sentence2": "b", "score": 0.5}),
        (RawText(), {"text": "a", "embedding": "of a lamp"}),
        (RawText(), {"text": "a", "embedding": []}),
        (PromptCompletion(), {"prompt": "a", "completion": "b", "embedding": [0.1, 0.2]}),
        (PromptCompletion(), {"prompt": "a", "completion": "b", "image": "none"}),
        (PromptCompletion(), {"prompt": "Is <image> a tag?", "completion": "b", "image": ""}),
        (Messages(), {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}),
        (Instruction(), {"instruction": "a", "output": "b", "message_id": "1", "parent_id": "", "text": "c"}),
    ],
)
def test_text_under_the_names_of_other_kinds_is_read(formatter: Formatter, row: dict[str, Any]) -> None:
    assert formatter.format(row).texts()


@pytest.mark.parametrize(
    ("formatter", "row", "message"),
    [
        (RawText(), {"text": "a", "embedding": "[0.1, 0.2]"}, "embedding: is a vector that an embedding model made"),
        (RawText(), {"text": "a", "sentence_A": "a", "sentence_B": "b", "score": "4.5"}, "sentence_A: and sentence_B"),
        (PromptOnly(), {"prompt": "a", "query": "a", "pos": ["b"]}, "query: and pos are an embedding pair"),
        (PromptCompletion(), {"prompt": "a", "completion": "b", "Image": "A.PNG"}, "Image: names a picture"),
        (PromptCompletion(), {"prompt": "a", "completion": "b", "picture": {"bytes": "x"}}, "picture: names a picture"),
        (PromptCompletion(), {"prompt": "a", "completion": "b", "image": "iVBOR" * 50}, "image: names a picture"),
        (PromptCompletion(), {"prompt": "In <video> what?", "completion": "b", "video": "v1"}, "prompt: has a place"),
        (Messages(), {"messages": [{"role": "user", "content": [{"image": "a"}]}]}, "messages[0].content: holds an im"),
    ],
)
def test_other_kinds_under_other_names_are_refused(formatter: Formatter, row: dict[str, Any], message: str) -> None:
    assert refusal(formatter, row).startswith(message)


def test_columns_that_a_recipe_names_are_no_embedding_pair() -> None:
    row = {"anchor": "a", "positive": "b"}
    assert Template("{anchor}", "{positive}").format(row).messages[1].content == "b"
    assert PromptCompletion("anchor", "positive").format(row).messages[1].content == "b"


def test_a_row_that_goes_on_another_is_refused() -> None:
    row = {"id": "2", "parent_id": "1", "instruction": "a", "output": "b"}
    assert refusal(Instruction(), row).startswith(
        "parent_id: is filled: the row goes on where another ends; the formatter Par"
    )
    assert Instruction().format({**row, "parent_id": None}).messages
    del row["id"]
    assert Instruction().format(row).extras == {"parent_id": "1"}
