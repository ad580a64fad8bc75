"""Label Studio's and Prodigy's tasks: what annotators said is read, and what is exported comes back as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
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


@st.composite
def prompts(draw: st.DrawFn) -> tuple[Message, ...]:
    return tuple(Message(role, draw(words)) for role in draw(roles))  # type: ignore[arg-type]


def annotated(tool: str, made: dict[str, Any]) -> dict[str, Any]:
    """The task after somebody agreed with all of it."""
    if tool == "prodigy":
        return {**made, "answer": "accept"}
    results = made["predictions"][0]["result"] if "predictions" in made else [result("pairwise", {"selected": "left"})]
    return {"id": 1, "data": made["data"], "annotations": [{"result": results}]}


def back(tool: str, example: Example, answers: Any = None) -> Example:
    (made,) = tasks(tool, [example], answers)  # type: ignore[arg-type]
    row = json.loads(json.dumps(annotated(tool, made)))
    return (Prodigy() if tool == "prodigy" else LabelStudio()).format(row)


@pytest.mark.parametrize("tool", TOOLS)
@given(prompt=prompts(), said=words, other=words)
def test_what_is_exported_and_agreed_with_comes_back(
    tool: str, prompt: tuple[Message, ...], said: str, other: str
) -> None:
    answer = (*prompt, Message("assistant", said))
    assert back(tool, Example(messages=answer)).messages == answer
    assert back(tool, Example(messages=answer), {"tuned": [other], "base": ["x"]}).messages[-1].content == other
    for label in (said, (said, other + "2")):
        example = back(tool, Example(messages=prompt, label=label))
        assert (example.messages, example.label) == (prompt, label)
    if said != other:
        example = back(tool, Example(chosen=answer, rejected=(*prompt, Message("assistant", other))))
        assert (example.chosen, example.rejected[-1].content) == (answer, other)


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
