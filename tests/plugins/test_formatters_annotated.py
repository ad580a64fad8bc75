"""Label Studio's and Prodigy's tasks: what annotators said is read, and what is exported comes back as it was."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import Example, Formatter, Message, Origin, RowError, Segment, recognise
from tunesmith.data.annotation import TOOLS, labelling_config, tasks
from tunesmith_plugins.formatters.label_studio import LabelStudio
from tunesmith_plugins.formatters.prodigy import Prodigy


def refusal(formatter: Formatter, row: dict[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        formatter.format(row)
    return str(caught.value)


def result(kind: str, value: Any, control: str = "c") -> dict[str, Any]:
    return {"type": kind, "value": value, "from_name": control, "to_name": "text"}


def task(*results: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": "Hot?", **data}, "annotations": [{"id": 7, "result": list(results)}]}


WRITTEN = result("textarea", {"text": ["Yes."]})
CHOSEN = result("choices", {"choices": ["hot"]})


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (task(CHOSEN), "hot"),
        (task(result("choices", {"choices": ["hot", "on"]})), ("hot", "on")),
        (task(result("rating", {"rating": 4})), 4.0),
        (task(result("number", {"number": 0.5})), 0.5),
    ],
)
def test_choices_and_ratings_are_labels(row: dict[str, Any], label: Any) -> None:
    example = LabelStudio().format(row)
    assert (example.label, [m.content for m in example.messages]) == (label, ["Hot?"])
    assert example.extras == {"id": 1}
    assert recognise([row]).format(row) == example


def test_texts_are_answers_and_the_system_turn_is_kept() -> None:
    row = task(result("textarea", {"text": ["Yes.", "It glows."]}), system="Be brief.", ward="A")
    example = LabelStudio().format(row)
    assert [(m.role, m.content) for m in example.messages] == [
        ("system", "Be brief."),
        ("user", "Hot?"),
        ("assistant", "Yes.\nIt glows."),
    ]
    assert example.extras == {"ward": "A", "id": 1}
    assert LabelStudio().question({**row, "annotations": []}).messages == example.messages[:2]


def test_what_is_better_is_a_pair() -> None:
    pair = {"answer1": "No.", "answer2": "Yes."}
    example = LabelStudio().format(task(result("pairwise", {"selected": "right"}), **pair))
    assert (example.chosen[-1].content, example.rejected[-1].content) == ("Yes.", "No.")
    items = [{"id": "a", "body": "No."}, {"id": "b", "body": "Yes."}, {"id": "c", "body": "Hm."}]
    for value in ({"ranker": {"rank": ["b", "c", "a"]}}, {"ranker": ["b", "c", "a"]}):
        ranked = LabelStudio().format(task(result("ranker", value), items=items))
        assert (ranked.chosen[-1].content, ranked.rejected[-1].content) == ("Yes.", "No.")
        assert ranked.extras["items"] == items


def test_cancelled_annotations_do_not_count_and_ground_truth_decides() -> None:
    yes, no = {"result": [WRITTEN]}, {"result": [result("textarea", {"text": "No."})]}
    row = task()
    assert "differ; mark one of them as ground truth" in refusal(LabelStudio(), {**row, "annotations": [yes, no]})
    for annotations in ([no | {"was_cancelled": True}, yes], [no, yes | {"ground_truth": True}], [yes, yes]):
        assert LabelStudio().format({**row, "annotations": annotations}).messages[-1].content == "Yes."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"data": {"text": "a"}}, "annotations: is not a column"),
        ({"data": "a", "annotations": []}, "data: is text; a map of what was shown is wanted"),
        ({**task(), "annotations": []}, "annotations: holds none that was finished"),
        (task(), "annotations[0].result: is empty, or not of the control"),
        (task(result("brushlabels", {})), "annotations[0].result: holds none of textarea, choices"),
        (task(WRITTEN, CHOSEN), "annotations[0].result: has several results; name the one that is read: control"),
        (task(result("choices", {"choices": []})), "annotations: hold no choice"),
        (task(result("rating", {"rating": "4"})), "annotations: hold text where a number is wanted"),
        (task(result("pairwise", {"selected": "up"}), answer1="a", answer2="b"), "annotations: say neither left nor"),
        (task(result("pairwise", {"selected": "left"})), "answer1: is not a column"),
        (task(result("ranker", {"ranker": ["a", "b"]})), "annotations: rank no items of data"),
        (task(WRITTEN, text=""), "text: is empty"),
        (task(WRITTEN, image={"url": "a.png"}), "image: holds an image"),
    ],
)
def test_label_studio_refuses(row: dict[str, Any], message: str) -> None:
    assert refusal(LabelStudio(), row).startswith(message)


def test_one_of_several_controls_is_read() -> None:
    row = task(WRITTEN, {**CHOSEN, "from_name": "state"})
    assert LabelStudio(control="state").format(row).label == "hot"
    assert LabelStudio(control="c").format(row).messages[-1].content == "Yes."
    assert "not of the control that is read" in refusal(LabelStudio(control="x"), row)


SHOWN = {"text": "The lamp is hot.", "_input_hash": 1, "answer": "accept"}


def test_what_prodigy_says_is_read() -> None:
    options = {"options": [{"id": "hot", "text": "Hot"}]}
    read = Prodigy().format
    assert read({**SHOWN, **options, "accept": ["hot"]}).label == "hot"
    assert read({**SHOWN, **options, "accept": ["hot", 3]}).label == ("hot", "3")
    assert read({**SHOWN, "label": "hot"}).label == "hot"
    assert read({**SHOWN, "user_input": "Yes."}).messages[-1] == Message("assistant", "Yes.")
    spans = read({**SHOWN, "spans": [{"start": 4, "end": 8, "label": "THING"}]})
    assert json.loads(spans.messages[-1].content) == [{"label": "THING", "text": "lamp"}]
    assert spans.extras == {"_input_hash": 1}
    pair = {"input": {"text": "Hot?"}, "accept": {"text": "Yes."}, "reject": {"text": "No."}, "answer": "accept"}
    for answer, better in (("accept", "Yes."), ("reject", "No.")):
        example = read({**pair, "answer": answer})
        assert [m.content for m in example.chosen] == ["Hot?", better]
    for row in ({**SHOWN, "label": "hot"}, {**SHOWN, "user_input": "Yes."}, pair):
        assert recognise([row]).format(row) == read(row)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SHOWN, "label": "hot", "answer": "ignore"}, "answer: is ignore: the annotator passed over it"),
        ({**SHOWN, "label": "hot", "answer": "reject"}, "answer: is reject: it says what is wrong"),
        ({**SHOWN, "label": "hot", "answer": "yes"}, "answer: is none of accept, reject, ignore"),
        ({"text": "a", "label": "hot"}, "answer: is not a column"),
        (SHOWN, "answer: is accept, and there is none of accept, user_input, spans, label"),
        ({**SHOWN, "accept": [{}]}, "accept: is a list; ids of options are wanted"),
        ({**SHOWN, "spans": [{"start": 4, "end": 99, "label": "X"}]}, "spans[0]: is no span of the text"),
        ({**SHOWN, "spans": [{"start": True, "end": 2, "label": "X"}]}, "spans[0]: is no span of the text"),
        ({**SHOWN, "accept": {"text": "a"}, "reject": {"text": "a"}}, "reject: is the same as accept"),
    ],
)
def test_prodigy_refuses(row: dict[str, Any], message: str) -> None:
    assert refusal(Prodigy(), row).startswith(message)


# There and back.

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00<"), min_size=1, max_size=9).filter(str.strip)
roles = st.sampled_from([("user",), ("system", "user"), ("user", "assistant", "user")])


weights = st.sampled_from([0.0, 0.5, 1.0, 3.0])


@st.composite
def prompts(draw: st.DrawFn) -> tuple[Message, ...]:
    return tuple(Message(role, draw(words)) for role in draw(roles))  # type: ignore[arg-type]


@st.composite
def said(draw: st.DrawFn) -> Message:
    """An answer: plain, weighed as a whole or in parts, thought about, or a call of a tool."""
    text, weight = draw(words), draw(st.none() | weights)
    fields: dict[str, Any] = {"thinking": draw(words)} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        call = {"type": "function", "function": {"name": "lamp", "arguments": {"on": draw(words)}}}
        return Message("assistant", draw(st.just("") | words), weight, {**fields, "tool_calls": [call]})
    if weight is not None and len(text) > 1 and draw(st.booleans()):
        return Message("assistant", text, weight, fields, spans=((1, 0.0), (len(text) - 1, draw(weights.filter(bool)))))
    return Message("assistant", text, weight, fields)


labels = st.one_of(
    words,
    st.floats(-1e9, 1e9),
    st.booleans(),
    st.lists(words, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12).map(tuple),
    st.lists(st.booleans(), min_size=1, max_size=12).map(tuple),
)
texts = st.lists(st.builds(Segment, words, weights), min_size=1, max_size=3).map(tuple)
more = st.fixed_dictionaries(
    {
        "id": words,
        "task": st.just("") | words,
        "extras": st.dictionaries(words, st.none() | words | st.integers() | st.lists(words, max_size=2), max_size=2),
        "tools": st.just(()) | st.just(({"type": "function", "function": {"name": "lamp", "parameters": {}}},)),
    }
)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Each kind of content with each kind of label."""
    rest = draw(more)
    kind = draw(st.sampled_from(["messages", "segments", "steps", "pair"]))
    if kind == "steps":
        right = draw(st.lists(st.booleans(), min_size=1, max_size=3))
        steps = (Segment(draw(words), 0.0), *(Segment("\n" + draw(words), float(each)) for each in right))
        return Example(segments=steps, label=tuple(right), **rest)
    if kind == "segments":
        return Example(segments=draw(texts), label=draw(st.none() | labels.filter(lambda v: not _is_steps(v))), **rest)
    prompt = draw(prompts())
    if kind == "pair":
        better, worse = draw(said()), draw(said())
        if (better.content, better.fields) == (worse.content, worse.fields):
            worse = Message("assistant", better.content + "!")
        chosen = (*prompt, better, *([Message("tool", "ok"), Message("assistant", "b")] if draw(st.booleans()) else []))
        return Example(chosen=chosen, rejected=(*prompt, worse), **rest)
    ends = draw(st.sampled_from([True, False]))
    return Example(messages=(*prompt, *([draw(said())] if ends else [])), label=draw(st.none() | labels), **rest)


def _is_steps(label: Any) -> bool:
    return isinstance(label, tuple) and isinstance(label[0], bool)


def annotated(tool: str, made: dict[str, Any]) -> dict[str, Any]:
    """The task after somebody agreed with all of it."""
    if tool == "prodigy":
        return {**made, "answer": "accept"}
    results = (
        made["predictions"][0]["result"]
        if "predictions" in made
        else [result("pairwise", {"selected": "left"}, "better")]
    )
    return {"id": 1, "data": made["data"], "annotations": [{"result": results}]}


def back(tool: str, given: Example, answers: Any = None, **changes: Any) -> Example:
    (made,) = tasks(tool, [given], answers)  # type: ignore[arg-type]
    row = json.loads(json.dumps({**annotated(tool, made), **changes}))
    return (Prodigy() if tool == "prodigy" else LabelStudio()).format(row)


def is_asked_only(example: Example) -> bool:
    """Whether there is nothing yet that an annotator could agree with."""
    return example.label is None and bool(example.messages) and example.messages[-1].role != "assistant"


@pytest.mark.parametrize("tool", TOOLS)
@given(example=examples())
@settings(max_examples=300)
def test_what_is_exported_and_agreed_with_comes_back_whole(tool: str, example: Example) -> None:
    if is_asked_only(example):
        asked = (Prodigy() if tool == "prodigy" else LabelStudio()).question(tasks(tool, [example])[0])  # type: ignore[arg-type]
        assert asked == example
    elif any(segment.weight for segment in example.segments) or not example.segments or example.label is not None:
        assert back(tool, example) == example


@pytest.mark.parametrize("tool", TOOLS)
@given(prompt=prompts(), answer=words, other=words)
def test_what_annotators_say_changes_its_place_alone(
    tool: str, prompt: tuple[Message, ...], answer: str, other: str
) -> None:
    written = Example(messages=(*prompt, Message("assistant", answer, 0.5, {"thinking": "t"})), extras={"ward": "A"})
    mended = written.messages[-1].with_content(other)
    assert back(tool, written, {"tuned": [other], "base": ["x"]}) == written.with_(messages=(*prompt, mended))
    text = Example(segments=(Segment("Q", 0.0), Segment("a"), Segment("b")))
    assert back(tool, text, {"tuned": [other]}).segments == (Segment("Q", 0.0), Segment(other))
    only = Example(segments=(Segment("Q", 0.0),))
    assert back(tool, only, {"tuned": [other]}).segments == (Segment("Q", 0.0), Segment(other))


def test_labels_and_pairs_are_mended() -> None:
    turns = (Message("user", "Hot?"), Message("assistant", "Yes."))
    number, numbers = Example(messages=turns, label=0.5), Example(messages=turns, label=(0.5, 1.0))
    switch, classes = Example(messages=turns, label=True), Example(messages=turns[:1], label="hot")
    steps = Example(segments=(Segment("2+2?", 0.0), Segment("\n5", 1.0)), label=(True,))
    pair = Example(chosen=turns, rejected=(turns[0], Message("assistant", "No.")))

    def label_studio(example: Example, *results: dict[str, Any]) -> Example:
        return back("label-studio", example, annotations=[{"result": list(results)}])

    def chosen(control: str, *values: str) -> dict[str, Any]:
        return result("choices", {"choices": list(values)}, control)

    numbered = [result("number", {"number": at}, f"number{at}") for at in (2, 1)]
    assert label_studio(number, numbered[1]).label == 1.0
    assert label_studio(numbers, *numbered).label == (1.0, 2.0)
    assert label_studio(switch, chosen("right1", "false")) == switch.with_(label=False)
    assert label_studio(classes, chosen("classes", "cold", "on")).label == ("cold", "on")
    wrong = steps.with_(label=(False,), segments=(Segment("2+2?", 0.0), Segment("\n5", 0.0)))
    assert label_studio(steps, chosen("right1", "false")) == wrong
    turned = label_studio(pair, result("pairwise", {"selected": "right"}, "better"))
    assert (turned.chosen, turned.rejected) == (pair.rejected, pair.chosen)
    assert back("prodigy", number, user_input="2").label == 2.0
    assert back("prodigy", numbers, user_input="[2, 3]").label == (2.0, 3.0)
    assert back("prodigy", switch, accept=[]).label is False
    assert back("prodigy", steps, accept=[]) == wrong
    assert back("prodigy", classes, accept=["cold"]).label == "cold"
    assert back("prodigy", pair, answer="reject") == turned


NUMBER = Example(messages=(Message("user", "Hot?"),), label=0.5)
PAIR = Example(
    chosen=(Message("user", "a"), Message("assistant", "b")), rejected=(Message("user", "a"), Message("assistant", "c"))
)


@pytest.mark.parametrize(
    ("tool", "example", "changes", "message"),
    [
        (
            "label-studio",
            NUMBER,
            {"annotations": [{"result": []}]},
            "annotations[0].result: holds no number of the con",
        ),
        (
            "label-studio",
            NUMBER,
            {"annotations": [{"result": [result("number", {"number": "1"}, "number1")]}]},
            "annotations[0].result: holds text where a number is wanted",
        ),
        (
            "label-studio",
            NUMBER.with_(label=(0.5, 1.0)),
            {"annotations": [{"result": [result("number", {"number": 1}, "number1")]}]},
            "annotations[0].result: says 1 of the 2 labels that the example has",
        ),
        (
            "label-studio",
            PAIR,
            {"annotations": [{"result": [result("pairwise", {"selected": s}, "better")]} for s in ("left", "right")]},
            "annotations: differ; mark one of them as ground truth",
        ),
        ("label-studio", NUMBER, {"annotations": []}, "annotations: holds none that was finished"),
        ("prodigy", NUMBER, {"user_input": "hot"}, "user_input: is text that is no JSON"),
        ("prodigy", NUMBER, {"user_input": "true"}, "user_input: holds no number, or list of numbers"),
        ("prodigy", NUMBER.with_(label="hot"), {"accept": []}, "accept: says no label"),
        ("prodigy", NUMBER, {"answer": "reject"}, "answer: is reject: it says what is wrong"),
        ("prodigy", NUMBER, {"answer": "ignore"}, "answer: is ignore"),
        ("prodigy", NUMBER, {"example": {"messages": [3]}}, "example.messages[0]: is a number"),
        ("prodigy", NUMBER, {"example": {"segments": [{"text": 3}]}}, "example.segments[0]: is no text with a weight"),
        ("prodigy", NUMBER, {"example": {"segments": "a"}}, "example.segments: is text; a list is wanted"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(
    tool: str, example: Example, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RowError) as caught:
        back(tool, example, **changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("tool", TOOLS)
def test_tasks_keep_where_they_come_from(tool: str) -> None:
    example = Example(segments=(Segment("a"), Segment("b")), id="x", origin=Origin("s", "f.txt", 3), task="t")
    (made,) = tasks(tool, [example])  # type: ignore[arg-type]
    held = made["meta"] if tool == "prodigy" else made["data"]
    assert (held["id"], held["origin"], held["task"]) == ("x", "f.txt:3", "t")
    assert {"messages": [{"role": "user", "content": "ab"}], "text": "ab"}.items() <= (made.get("data") or made).items()


def test_the_labelling_configuration_has_the_controls_of_the_tasks() -> None:
    from xml.etree import ElementTree

    asked = (Message("user", "a"),)
    kinds = {
        "TextArea": [Example(messages=(*asked, Message("assistant", "b")))],
        "Choices": [Example(messages=asked, label='a"<'), Example(messages=asked, label=("b", 'a"<'))],
        "Number": [Example(messages=asked, label=0.5), Example(messages=asked, label=(0.5, 1.0, 2.0))],
        "TextArea[@toName='text']": [Example(segments=(Segment("a"),)), Example(segments=(Segment("b"),), tools=({},))],
        "Choices[@name='right2']": [Example(segments=(Segment("a"),), label=(True, False))],
        "Pairwise": [Example(chosen=(*asked, Message("assistant", "b")), rejected=(*asked, Message("assistant", "c")))],
    }
    for control, examples in kinds.items():
        view = ElementTree.fromstring(labelling_config(examples))
        named = {element.get("name") for element in view}
        for made in tasks("label-studio", examples):
            fields = {element.get("value", "").removeprefix("$") for element in view if "$" in element.get("value", "")}
            assert fields <= made["data"].keys()
            for prediction in made.get("predictions", ()):
                assert {r[key] for r in prediction["result"] for key in ("from_name", "to_name")} <= named
        found = view.find(control)
        assert found is not None
        if control == "Choices":
            assert [choice.get("value") for choice in found] == ['a"<', "b"]
            assert found.get("choice") == "multiple"
    together = ElementTree.fromstring(labelling_config([example for each in kinds.values() for example in each]))
    assert all(together.find(control) is not None for control in kinds)
    assert together.find("Choices[@name='classes']") is not None
