"""Formatters: documented schemas become the conversations they mean, and anything else a RowError that names why."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import DataError, Example, Formatter, RecipeError, RowError, recognise
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.messages import Messages
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.formatters.query_response import QueryResponse
from tunesmith_plugins.formatters.raw_text import RawText
from tunesmith_plugins.formatters.share_gpt import ShareGPT
from tunesmith_plugins.formatters.template import Template


def said(example: Example) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in example.messages]


def refusal(formatter: Formatter, row: Mapping[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        formatter.format(row)
    return str(caught.value)


# Template


def test_template_fills_columns_and_keeps_all_of_them() -> None:
    row = {"section header": "ROS", "dialogue": "D: {x}", "age": 7, "ok": True, "none": None}
    example = Template("{section header} {age}/{ok}/{none}:\n{dialogue}", "{{{age}}}", "Be {ok}").format(row)
    assert said(example) == [("system", "Be true"), ("user", "ROS 7/true/:\nD: {x}"), ("assistant", "{7}")]
    assert example.extras == row


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{dialoge}", "dialoge: is not a column; did you mean dialogue?; columns: dialogue, turns, blank"),
        ("{dialogue.__class__}", "dialogue.__class__: is not a column; did you mean dialogue?"),
        ("{dialogue!r}", "dialogue!r: is not a column"),
        ("{dialogue:>9}", "dialogue:>9: is not a column"),
        ("{}", ": is not a column"),
        ("{turns}", "turns: is a list; text is wanted"),
        ("Say {blank}:", "blank: is empty"),
        ("{blank}{none}", "blank and none: are empty"),
        (" \n", "prompt: is empty"),
    ],
)
def test_template_refuses_rows_that_do_not_fill_it(prompt: str, message: str) -> None:
    row = {"dialogue": "d", "turns": [1], "blank": " ", "none": None}
    assert refusal(Template(prompt, "x"), row).startswith(message)
    assert refusal(Template("x", prompt), row).startswith(message.replace("prompt:", "completion:"))


def test_template_leaves_out_a_system_turn_without_values() -> None:
    assert said(Template("{a}", "b", "About {c}").format({"a": "x", "c": ""})) == [("user", "x"), ("assistant", "b")]


@pytest.mark.parametrize("text", ["{a", "a}", "{{a}", "{a}}", "{a{b}}"])
def test_template_with_half_a_brace_is_the_recipes_mistake(text: str) -> None:
    with pytest.raises(RecipeError, match=r"Template\.prompt has a [{}] without its partner at character \d"):
        Template(text, "x").format({"a": "1", "b": "2"})


names = st.text(alphabet=st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.one_of(st.sampled_from(["{", "}", "x"]).map(lambda t: (t, None)), names.map(lambda n: ("", n)))))
def test_template_reads_what_is_written_by_its_rules(pieces: list[tuple[str, str | None]]) -> None:
    written = "".join(t.replace("{", "{{").replace("}", "}}") if n is None else "{" + n + "}" for t, n in pieces)
    row = {n: f"<{index}>" for index, (_, n) in enumerate(pieces) if n is not None}
    wanted = "".join(t if n is None else row[n] for t, n in pieces)
    if wanted:
        assert Template(written, "c").format(row).messages[0].content == wanted


# PromptCompletion


def test_prompt_and_completion_as_text() -> None:
    example = PromptCompletion().format({"prompt": "p", "completion": "c", "gold": [1]})
    assert said(example) == [("user", "p"), ("assistant", "c")]
    assert example.extras == {"gold": [1]}
    assert [m.weight for m in example.messages] == [None, None]


def test_prompt_and_completion_as_messages_train_the_completion_only() -> None:
    prompt = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    completion = [{"role": "assistant", "content": "d"}]
    example = PromptCompletion().format({"prompt": prompt, "completion": completion})
    assert said(example) == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert [m.weight for m in example.messages] == [None, 0.0, None, None]


def test_columns_and_system_have_the_names_that_are_given() -> None:
    formatter = PromptCompletion("q", "a", "s")
    example = formatter.format({"q": 1.5, "a": "x", "s": "be kind"})
    assert said(example) == [("system", "be kind"), ("user", "1.5"), ("assistant", "x")]
    assert example.extras == {}
    assert said(formatter.format({"q": "1", "a": "x", "s": None}))[0] == ("user", "1")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"promt": "p", "completion": "c"}, "prompt: is not a column; did you mean promt?; columns: promt, completion"),
        ({"prompt": " ", "completion": "c"}, "prompt: is empty"),
        ({"prompt": "p", "completion": ""}, "completion: is empty"),
        ({"prompt": "p", "completion": None}, "completion: is empty"),
        ({"prompt": "p", "completion": []}, "completion: is empty"),
        ({"prompt": {"a": 1}, "completion": "c"}, "prompt: is a map; text is wanted"),
        ({"prompt": ["hi"], "completion": "c"}, "prompt[0]: is text; a message with role and content is wanted"),
        (
            {"prompt": "p", "completion": [{"role": "user", "content": "c"}]},
            "completion: does not end with an assistant's turn",
        ),
        (
            {"prompt": "p", "completion": "c", "images": ["a.png"]},
            "images: holds images; only text is read: say it in words, or leave such rows out",
        ),
    ],
)
def test_prompt_completion_refuses(row: dict[str, Any], message: str) -> None:
    assert refusal(PromptCompletion(), row) == message


@pytest.mark.parametrize(
    "more",
    [{"image": "a.png"}, {"image_path": "in/a.JPG"}, {"audios": "a.wav"}, {"Video_URL": "https://x.org/a.mp4?t=3"}],
)
def test_a_column_that_names_a_picture_or_sound_is_refused(more: dict[str, str]) -> None:
    row = {"prompt": "q", "completion": "a"}
    with pytest.raises(RowError, match="names a picture, a video or sound; only text is read"):
        PromptCompletion().format({**row, **more})
    text = {"image": "a lamp on a table", "picture": "none", "source": "a.png"}
    assert PromptCompletion().format({**row, **text}).extras == text


def test_dollys_context_is_the_input_and_another_column_beside_one() -> None:
    dolly = {"instruction": "Add", "context": "1 2", "response": "3", "category": "sums"}
    made = Instruction().format(dolly)
    assert made.messages[0].content == "Add\n1 2"
    assert made.extras == {"category": "sums"}
    other = Instruction().format({"instruction": "Add", "input": "1 2", "output": "3", "context": "school"})
    assert other.messages[0].content == "Add\n1 2"
    assert other.extras == {"context": "school"}
    assert Instruction().question({"instruction": "Add", "context": "1 2"}).messages[0].content == "Add\n1 2"


def test_a_rejected_answer_is_not_left_out_silently() -> None:
    row = {"query": "q", "response": "a", "rejected_response": "b"}
    with pytest.raises(DataError, match="no formatter recognises the columns"):
        recognise([row], [QueryResponse])


def test_two_system_turns_are_refused() -> None:
    row = {"prompt": [{"role": "system", "content": "a"}], "completion": "c", "s": "b"}
    assert refusal(PromptCompletion(system="s"), row) == "s: is filled, and prompt begins with a system turn too"


# Instruction


def test_instruction_reads_the_whole_schema() -> None:
    row = {
        "instruction": "Add",
        "input": "1 2",
        "output": "3",
        "system": "Count",
        "history": [["0?", "zero"]],
        "source": "s",
    }
    example = Instruction().format(row)
    assert said(example) == [
        ("system", "Count"),
        ("user", "0?"),
        ("assistant", "zero"),
        ("user", "Add\n1 2"),
        ("assistant", "3"),
    ]
    assert example.extras == {"source": "s"}
    assert {m.weight for m in example.messages} == {None}


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Add", "response": "3"},
        {"instruction": "Add", "input": "", "output": "3", "system": "", "history": []},
        {"instruction": "", "input": "Add", "output": "3"},
        {"instruction": "Add", "input": None, "output": "3", "response": "3", "history": None, "system": None},
        {"instruction": "Add", "output": None, "response": "3", "history": "[]"},
    ],
)
def test_optional_columns_of_instruction_may_be_empty_or_missing(row: dict[str, Any]) -> None:
    assert said(Instruction().format(row)) == [("user", "Add"), ("assistant", "3")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "x", "output": "y"}, "instruction: is not a column; columns: input, output"),
        ({"instruction": "", "input": " ", "output": "y"}, "instruction: is empty"),
        ({"instruction": "x"}, "output: is not a column; columns: instruction"),
        ({"instruction": "x", "output": " "}, "output: is empty"),
        ({"instruction": "x", "output": "a", "response": "b"}, "response: is filled and differs from output"),
        ({"instruction": "x", "output": "y", "history": [["a"]]}, "history[0]: is no [question, answer] of two texts"),
        ({"instruction": "x", "output": "y", "history": {"a": "b"}}, "history: is a map; a list of"),
        ({"instruction": ["x"], "output": "y"}, "instruction: is a list; text is wanted"),
    ],
)
def test_instruction_refuses(row: dict[str, Any], message: str) -> None:
    assert refusal(Instruction(), row).startswith(message)


# Messages

CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOLS = [{"type": "function", "function": {"name": "add"}}]
TALK = [
    {"role": "system", "content": ""},
    {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "plus"}], "name": "Al"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "", "tool_call_id": "1"},
    {"role": "assistant", "content": "two", "tool_calls": None},
]


@pytest.mark.parametrize("as_text", [False, True])
def test_messages_with_tools(as_text: bool) -> None:
    row = {"messages": TALK, "tools": TOOLS, "more": 1}
    if as_text:
        row = {**row, "messages": json.dumps(TALK), "tools": json.dumps(TOOLS)}
    example = Messages().format(row)
    assert said(example) == [
        ("system", ""),
        ("user", "one plus"),
        ("assistant", ""),
        ("tool", ""),
        ("assistant", "two"),
    ]
    assert [dict(m.fields) for m in example.messages] == [
        {},
        {"name": "Al"},
        {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]},
        {"tool_call_id": "1"},
        {},
    ]
    assert example.tools == tuple(TOOLS)
    assert example.extras == {"more": 1}


@pytest.mark.parametrize(
    ("keys", "weight"),
    [
        ({}, None),
        ({"train": True}, 1.0),
        ({"train": False}, 0.0),
        ({"train": None, "weight": None}, None),
        ({"weight": 0}, 0.0),
        ({"weight": 0.5}, 0.5),
        ({"loss": False, "loss_scale": 2.0}, 0.0),
        ({"loss": True, "loss_scale": 2.0}, 2.0),
    ],
)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_turn_may_say_its_own_weight(keys: dict[str, Any], weight: float | None, role: str) -> None:
    (message,) = Messages().format({"messages": [{"role": role, "content": "x", **keys}]}).messages
    assert message.weight == weight
    assert message.fields == {}


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (None, "messages: is empty"),
        ([], "messages: is empty"),
        ({"role": "user"}, "messages: is a map; a list of messages is wanted"),
        ("[{", "messages: is text that is no JSON"),
        ([1], "messages[0]: is a number; a message with role and content is wanted"),
        (
            [{"from": "human", "value": "x"}],
            "messages[0].role: is missing; from and value are for the formatter ShareGPT",
        ),
        ([{"role": "critic", "content": "x"}], "messages[0].role: is none of system, user, assistant, tool"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role: is none of"),
        ([{"role": "user", "content": "x"}, {"role": "assistant"}], "messages[1].content: is empty"),
        ([{"role": "user", "content": [{"type": "image"}]}], "messages[0].content: holds an image; only text is read"),
        ([{"role": "user", "content": [{"type": "blob"}]}], "messages[0].content: has a part that is no text"),
        ([{"role": "user", "content": {"a": 1}}], "messages[0].content: is a map; text is wanted"),
        ([{"role": "system", "content": "x"}], "messages: has no turn but the system's"),
        ([{"role": "user", "content": "x", "train": 1}], "messages[0].train: is a number; true or false is wanted"),
        ([{"role": "user", "content": "x", "weight": "1"}], "messages[0].weight: is text; a number is wanted"),
        ([{"role": "user", "content": "x", "weight": -1}], "messages[0].weight: is out of bounds"),
        ([{"role": "user", "content": "x", "weight": 10**400}], "messages[0].weight: is out of bounds"),
        ([{"role": "assistant", "content": "x", "train_detail": [{}]}], "messages[0].train_detail[0]: is no part"),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls: is a map; a list of calls is wanted"),
        ([{"role": "assistant", "tool_calls": [{"name": "f"}]}], "messages[0].tool_calls[0]: is no call"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}],
            "messages[0].tool_calls[0].function.arguments: is a list; a map is wanted",
        ),
    ],
)
def test_messages_refuses(messages: Any, message: str) -> None:
    assert refusal(Messages(), {"messages": messages}).startswith(message)


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({"a": 1}, "tools: is a map; a list of JSON schemas is wanted"),
        (["a"], "tools[0]: is text; a JSON schema is wanted"),
        ('[{"a": NaN}]', "tools: is text that is no JSON"),
        ('[{"a": "\\ud800"}]', "tools: is text that is no JSON"),
        ("[" * 500 + "]" * 500, "tools: is text that is no JSON"),
    ],
)
def test_messages_refuses_tools(tools: Any, message: str) -> None:
    assert refusal(Messages(), {"messages": TALK, "tools": tools}).startswith(message)


# ShareGPT


def test_share_gpt_is_read_as_the_conversation_it_means() -> None:
    calls = '{"name": "f", "arguments": {"a": 1}}'
    row = {
        "conversations": [
            {"from": "human", "value": "Sum?"},
            {"from": "function_call", "value": calls},
            {"from": "observation", "value": "3"},
            {"from": "gpt", "value": "Three.", "weight": 0.5},
        ],
        "system": "Be brief.",
        "tools": '[{"name": "f"}]',
        "id": "x",
    }
    example = ShareGPT().format(row)
    roles = ["system", "user", "assistant", "tool", "assistant"]
    assert said(example) == list(zip(roles, ["Be brief.", "Sum?", "", "3", "Three."], strict=True))
    call = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    assert example.messages[2].fields == {"tool_calls": [call]}
    assert example.messages[4].weight == 0.5
    assert example.tools == ({"name": "f"},)
    assert example.extras == {"id": "x"}
    talk = [{"from": "system", "value": "s"}, {"from": "user", "value": "u"}]
    assert said(ShareGPT("talk").format({"talk": talk})) == [("system", "s"), ("user", "u")]
    own = [{"from": "system", "value": "own"}, {"from": "human", "value": "u"}]
    assert said(ShareGPT().format({"conversations": own, "system": "other"}))[0] == ("system", "own")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (None, "conversations: is empty"),
        ({"from": "human"}, "conversations: is a map; a list of messages is wanted"),
        ([1], "conversations[0]: is a number; a turn with from and value is wanted"),
        (
            [{"role": "user", "content": "x"}],
            "conversations[0].from: is missing; role and content are for the formatter",
        ),
        ([{"from": "alien", "value": "x"}], "conversations[0].from: is none of human, user, gpt"),
        ([{"from": ["human"], "value": "x"}], "conversations[0].from: is none of"),
        ([{"from": "human"}], "conversations[0].value: is empty"),
        ([{"from": "gpt", "value": {"a": 1}}], "conversations[0].value: is a map; text is wanted"),
        ([{"from": "system", "value": "x"}], "conversations: has no turn but the system's"),
        ([{"from": "function_call", "value": "f(1)"}], "conversations[0].value: is text that is no JSON"),
        ([{"from": "function_call", "value": "[1]"}], "conversations[0].tool_calls[0]: is no call"),
    ],
)
def test_share_gpt_refuses(turns: Any, message: str) -> None:
    assert refusal(ShareGPT(), {"conversations": turns}).startswith(message)


# RawText


def test_raw_text_is_one_segment_without_a_template() -> None:
    example = RawText("body").format({"body": " a\n", "text": "t"})
    assert [(s.text, s.weight) for s in example.segments] == [(" a\n", 1.0)]
    assert example.extras == {"text": "t"}
    assert refusal(RawText(), {"text": " "}) == "text: is empty"
    assert refusal(RawText(), {"texts": "a"}) == "text: is not a column; did you mean texts?; columns: texts"


# All of them

ALL = [
    Template("{prompt}", "{completion}", "{system}"),
    PromptCompletion(system="system"),
    Instruction(),
    Messages(),
    ShareGPT(),
    RawText(),
]
NAMES = """prompt completion system instruction input output response history messages conversations tools text images
role content from value human gpt function_call tool_calls function name arguments train weight loss type"""
keys = st.sampled_from(NAMES.split())
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["user", "human", "[]", "{"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("formatter", ALL, ids=lambda f: type(f).__name__)
@given(row=st.dictionaries(keys | st.text(max_size=3), values, max_size=8))
@settings(max_examples=200)
def test_any_row_becomes_an_example_or_a_row_error(formatter: Formatter, row: dict[str, Any]) -> None:
    before = repr(row)
    with suppress(RowError):
        example = formatter.format(row)
        assert example.messages or example.segments
        assert repr(formatter.format(row)) == repr(example)
        assert example.messages == () or any(m.role != "system" for m in example.messages)
    assert repr(row) == before


secrets = st.sampled_from(["confidential text", ["confidential text"], {"confidential text": 1}, None, "", 3])


@pytest.mark.parametrize("formatter", ALL, ids=lambda f: type(f).__name__)
@given(row=st.dictionaries(keys, secrets, max_size=8))
@settings(max_examples=100)
def test_a_refusal_never_quotes_the_row(formatter: Formatter, row: dict[str, Any]) -> None:
    try:
        formatter.format(row)
    except RowError as error:
        assert "confidential" not in f"{error.field} {error.reason}"  # noqa: PT017  the refusal is optional here


@pytest.mark.parametrize("formatter", ALL, ids=lambda f: type(f).__name__)
def test_constructors_store_their_options_unchanged(formatter: Formatter) -> None:
    options = vars(formatter)
    assert vars(type(formatter)(**options)) == options


# Questions: rows that are to be answered.

QUESTIONS: list[tuple[Formatter, dict[str, Any], dict[str, Any]]] = [
    (PromptCompletion(), {"prompt": "1 + 1?", "id": 7}, {"completion": "2"}),
    (PromptCompletion(), {"prompt": [{"role": "user", "content": "1 + 1?"}]}, {"completion": "2"}),
    (Template("{q}?", "{a}", system="Be brief."), {"q": "1 + 1"}, {"a": "2"}),
    (Instruction(), {"instruction": "Add.", "input": "1 + 1"}, {"output": "2"}),
    (Instruction(), {"instruction": "Add."}, {"response": "2"}),
    (Messages(), {"messages": [{"role": "user", "content": "1 + 1?"}]}, {}),
    (ShareGPT(), {"conversations": [{"from": "human", "value": "1 + 1?"}]}, {}),
]


@pytest.mark.parametrize(("formatter", "row", "answer"), QUESTIONS)
def test_a_question_is_the_prompt_of_the_whole_row(
    formatter: Formatter, row: dict[str, Any], answer: dict[str, Any]
) -> None:
    whole, asked = formatter.format({**row, **answer}), formatter.question(row)
    assert [(m.role, m.content) for m in asked.prompt] == [(m.role, m.content) for m in whole.prompt]
    assert asked.reference == ""
    assert formatter.question({**row, **answer}) == whole
    assert formatter.question({**row, **dict.fromkeys(answer)}).prompt == asked.prompt


@pytest.mark.parametrize("formatter", [PromptCompletion(), Template("{q}?", "{a}"), Instruction()])
def test_a_row_without_a_question_cannot_be_asked(formatter: Formatter) -> None:
    with pytest.raises(RowError, match="is not a column"):
        formatter.question({"other": "x"})
