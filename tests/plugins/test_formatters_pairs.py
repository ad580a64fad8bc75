"""Rows that say which answer is better, wanted, right, or what a text is: every refusal names its column."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Formatter, RowError
from tunesmith_plugins.formatters.context_qa import ContextQA
from tunesmith_plugins.formatters.multiple_choice import MultipleChoice
from tunesmith_plugins.formatters.preference import Preference
from tunesmith_plugins.formatters.prompt_only import PromptOnly
from tunesmith_plugins.formatters.ranked_answers import RankedAnswers
from tunesmith_plugins.formatters.segments import Segments
from tunesmith_plugins.formatters.stepwise import Stepwise
from tunesmith_plugins.formatters.text_label import TextLabel
from tunesmith_plugins.formatters.unpaired_preference import UnpairedPreference
from tunesmith_plugins.objectives.next_token import NextToken

ASK = {"role": "user", "content": "Hot?"}
YES, NO = {"role": "assistant", "content": "Yes."}, {"role": "assistant", "content": "No."}
PAIR = {"prompt": "Hot?", "chosen": "Yes.", "rejected": "No."}


def refusal(formatter: Formatter, row: dict[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        formatter.format(row)
    return str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        PAIR,
        {"prompt": [ASK], "chosen": [YES], "rejected": [NO]},
        {"prompt": "Hot?", "chosen": [ASK, YES], "rejected": [ASK, NO]},
        {"chosen": [ASK, YES], "rejected": [ASK, NO]},
        {"messages": [ASK, YES], "rejected_response": [NO]},
        {"messages": [ASK, YES], "rejected_messages": [ASK, NO]},
        {"messages": [ASK], "chosen": YES, "rejected": NO},
        {"instruction": "Hot?", "input": "", "chosen": "Yes.", "rejected": "No."},
        {
            "conversations": [{"from": "human", "value": "Hot?"}],
            "chosen": {"from": "gpt", "value": "Yes."},
            "rejected": NO,
        },
        {"prompt": "Hot?", "chosen": '[{"role": "assistant", "content": "Yes."}]', "rejected": "No."},
    ],
)
def test_all_spellings_of_a_pair_are_one_pair(row: dict[str, Any]) -> None:
    example = Preference().format({**row, "more": 1})
    assert [(m.role, m.content) for m in example.chosen] == [("user", "Hot?"), ("assistant", "Yes.")]
    assert [(m.role, m.content) for m in example.rejected] == [("user", "Hot?"), ("assistant", "No.")]
    assert example.extras == {"more": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hot?"}, "chosen: is not a column"),
        ({"prompt": "Hot?", "chosen": "Yes."}, "rejected: is not a column"),
        ({**PAIR, "rejected": " "}, "rejected: is empty"),
        ({**PAIR, "rejected": "Yes."}, "rejected: is the same as the better answer"),
        ({**PAIR, "rejected": [ASK]}, "rejected: does not end with an assistant's turn"),
        ({"chosen": "Yes.", "rejected": "No."}, "chosen: begins with the answer, and there is no column of the prompt"),
        ({**PAIR, "chosen": [{**ASK, "content": "Cold?"}, YES]}, "chosen: begins with turns that differ"),
        ({"chosen": [ASK, YES], "rejected": [{**ASK, "content": "Cold?"}, NO]}, "rejected: begins with another prompt"),
        ({"chosen": [ASK, YES], "rejected": [ASK, YES, ASK, NO]}, "rejected: is how the better answer goes on"),
        ({"system": "s", "chosen": [ASK, YES], "rejected": [ASK, NO]}, "system: is filled, and there is no column"),
        ({"messages": [ASK, YES]}, "rejected_response: is not a column"),
    ],
)
def test_pairs_that_are_none_are_refused(row: dict[str, Any], message: str) -> None:
    assert refusal(Preference(), row).startswith(message)


@given(st.permutations([("Yes.", 1), ("Hm.", 2), ("No.", 3)]))
def test_ranks_and_not_places_decide(answers: list[tuple[str, int]]) -> None:
    row = {"prompt": "Hot?", "answers": [{"answer": text, "rank": rank} for text, rank in answers]}
    for against, worse in (("last", "No."), ("second", "Hm.")):
        example = RankedAnswers(against).format(row)  # type: ignore[arg-type]
        assert (example.chosen[-1].content, example.rejected[-1].content) == ("Yes.", worse)
        assert example.extras == {"answers": row["answers"]}


def ranked(*answers: tuple[Any, Any]) -> dict[str, Any]:
    return {"prompt": "Hot?", "answers": [{"answer": text, "rank": rank} for text, rank in answers]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ranked(("a", 1)), "answers: is no list of two"),
        (ranked(("a", 1), ("b", 1)), "answers: has no best answer"),
        (ranked(("a", 1), ("a", 2)), "answers: has no best answer"),
        (ranked(("a", 1), ("b", "2")), "answers[1]: has text for a rank"),
        (ranked(("a", 1), ("", 2)), "answers[1].answer: is empty"),
        ({"answers": ranked(("a", 1), ("b", 2))["answers"]}, "prompt: is not a column"),
    ],
)
def test_ranks_that_say_nothing_are_refused(row: dict[str, Any], message: str) -> None:
    assert refusal(RankedAnswers(), row).startswith(message)


@pytest.mark.parametrize(("value", "label"), [(True, True), (0, False), ("True", True), ("0", False)])
def test_unpaired_answers_are_wanted_or_not(value: Any, label: bool) -> None:
    row = {"prompt": "Hot?", "completion": "Yes.", "label": value}
    assert UnpairedPreference().format(row).label is label


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "completion": "b"}, "label: is not a column"),
        ({"prompt": "a", "completion": "b", "label": 0.5}, "label: is a number; true or false is wanted"),
        ({"prompt": "a", "completion": "b", "label": None}, "label: is empty"),
        ({"messages": [ASK], "label": True}, "messages: does not end with an assistant's turn"),
    ],
)
def test_unpaired_rows_without_answer_or_label_are_refused(row: dict[str, Any], message: str) -> None:
    assert refusal(UnpairedPreference(), row).startswith(message)


def test_unwanted_answers_are_not_learnt_as_if_they_were_wanted() -> None:
    class Renderer:
        def conversation(self, messages: Any, tools: Any = ()) -> str:
            return "rendered"

    row = {"prompt": "Hot?", "completion": "Yes."}
    wanted, unwanted = (UnpairedPreference().format({**row, "label": label}) for label in (True, False))
    assert NextToken().encode(wanted, Renderer()) == ["rendered"]  # type: ignore[arg-type]
    with pytest.raises(RowError, match="label: the answer is marked as unwanted"):
        NextToken().encode(unwanted, Renderer())  # type: ignore[arg-type]


def test_steps_are_lines_and_only_right_ones_weigh() -> None:
    row = {"prompt": "3+4*2?", "completions": ["4*2=8", "3+8=12"], "labels": [True, False]}
    example = Stepwise().format(row)
    assert [(s.text, s.weight) for s in example.segments] == [("3+4*2?", 0), ("\n4*2=8", 1), ("\n3+8=12", 0)]
    assert example.label == (True, False)
    assert refusal(Stepwise(), {**row, "labels": [True]}) == "labels: has 1 entries for 2 steps"
    assert refusal(Stepwise(), {**row, "labels": [1, 0]}).startswith("labels[0]: is a number")
    assert refusal(Stepwise(), {**row, "completions": []}) == "completions: is empty"


@pytest.mark.parametrize(
    ("value", "numbers", "label"),
    [
        ("hot", False, "hot"),
        (3, False, "3"),
        (True, False, "true"),
        (0.5, False, 0.5),
        ("0.5", False, "0.5"),
        ("0.5", True, 0.5),
        (3, True, 3.0),
        ("[1, 0]", False, ("1", "0")),
        ([0.5, 2.0], False, (0.5, 2.0)),
        ([1, 0.5], True, (1.0, 0.5)),
    ],
)
def test_a_label_is_a_class_or_a_number(value: Any, numbers: bool, label: Any) -> None:
    example = TextLabel(numbers=numbers).format({"text": "It glows.", "label": value})
    assert (example.label, type(example.label)) == (label, type(label))
    assert TextLabel(numbers=numbers).question({"text": "It glows."}).segments == example.segments


@pytest.mark.parametrize(
    ("row", "numbers", "message"),
    [
        ({"text": "a"}, False, "label: is not a column"),
        ({"text": "a", "label": ""}, False, "label: is empty"),
        ({"text": "a", "label": [[]]}, False, "label[0]: is a list; a class or a number is wanted"),
        ({"text": "a", "label": [1, 0.5]}, False, "label: mixes classes and numbers"),
        ({"text": "a", "label": [[1]]}, False, "label[0]: is a list"),
        ({"text": "a", "label": "hot"}, True, "label: is text that is no finite number"),
        ({"text": "a", "label": "1e999"}, True, "label: is text that is no finite number"),
        ({"text": "a", "label": True}, True, "label: is true or false that is no finite number"),
        ({"text": " ", "label": 1}, False, "text: is empty"),
    ],
)
def test_labels_that_are_none_are_refused(row: dict[str, Any], numbers: bool, message: str) -> None:
    assert refusal(TextLabel(numbers=numbers), row).startswith(message)


@pytest.mark.parametrize(
    "answers",
    ["Yes.", ["Yes.", "Hot."], {"text": ["Yes."], "answer_start": [3]}, '{"text": ["Yes."]}', [{"text": "Yes."}]],
)
def test_a_question_about_a_text_has_its_first_answer(answers: Any) -> None:
    row = {"context": "It glows.", "question": "Hot?", "answers": answers}
    example = ContextQA().format(row)
    assert [m.content for m in example.messages] == ["It glows.\n\nHot?", "Yes."]
    assert example.extras == {"answers": answers}
    assert ContextQA().question({**row, "answers": None}).messages == example.messages[:1]
    assert refusal(ContextQA(), {**row, "answers": []}).startswith("answers: is empty: the question has no answer")
    assert refusal(ContextQA(), {"question": "Hot?", "answers": "x"}).startswith("context: is not a column")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "segments: is empty"),
        ({"text": "a"}, "segments: is a map"),
        ([{"text": "a", "label": False}], "segments: has no text whose label is true"),
        ([{"text": "a", "label": 1}], "segments[0].label: is a number; true or false is wanted"),
        ([{"text": 1, "label": True}], "segments[0].text: is a number; text is wanted"),
        (["a"], "segments[0]: is text"),
        ([{"text": " ", "label": True}], "segments: is empty"),
    ],
)
def test_segments_that_are_none_are_refused(value: Any, message: str) -> None:
    assert refusal(Segments(), {"segments": value}).startswith(message)


def test_a_prompt_alone_ends_with_what_is_asked() -> None:
    assert PromptOnly().format({"prompt": "a", "gold": 3}).extras == {"gold": 3}
    assert refusal(PromptOnly(), {"prompt": [ASK, YES]}).startswith("prompt: ends with an assistant's turn")
    assert refusal(PromptOnly(), {"prompt": [{"role": "system", "content": "a"}]}).startswith("prompt: has no turn but")


CHOICES = {"question": "What is hot?", "choices": ["a cup", "a lamp", "7"]}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"solution": "a lamp"}, "a lamp"),
        ({"answer": 1}, "a lamp"),
        ({"answer": "1"}, "a lamp"),
        ({"answerKey": "B"}, "a lamp"),
        ({"answer": "7"}, "7"),
        ({"answer": 1, "explanation": "It glows."}, "It glows.\na lamp"),
        ({"answer": None, "explanation": "It glows."}, "It glows."),
        ({"choices": '["a cup", "a lamp"]', "answer": "B"}, "a lamp"),
        ({"choices": {"x": "a cup", "y": "a lamp"}, "answer": "y"}, "a lamp"),
        ({"choices": {"text": ["a cup", "a lamp"], "label": ["1", "2"]}, "answerKey": "2"}, "a lamp"),
        ({"choices": "a cup / a lamp", "answer": "B"}, "B"),
    ],
)
def test_the_right_choice_is_said_as_it_is_written_among_the_choices(changes: dict[str, Any], answer: str) -> None:
    row = {**CHOICES, **changes}
    asked, said = MultipleChoice().format(row).messages
    shown = "a cup / a lamp" if row["choices"] == "a cup / a lamp" else "- a cup\n- a lamp"
    assert asked.content.startswith(f"What is hot?\n{shown}")
    assert said.content == answer
    before, _ = MultipleChoice().format({**row, "context": "A lamp glows."}).messages
    assert before.content == f"A lamp glows.\n\n{asked.content}"
    without = {name: value for name, value in row.items() if name in CHOICES}
    assert MultipleChoice().question(without).messages == (asked,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "solution: is not a column"),
        ({"answer": ""}, "answer: is empty"),
        ({"answer": "a door"}, "answer: is none of the choices: not the text of one, nor its label, nor its number"),
        ({"answer": 3}, "answer: is none of the choices"),
        ({"choices": ["1", "2"], "answer": 1}, "answer: is the text or label of one choice and the number of another"),
        ({"choices": ["1", "1"], "answer": 1}, "choices: holds one choice twice"),
        ({"choices": ["1"], "answer": 0}, "choices: holds fewer than two choices"),
        ({"choices": 5, "answer": 0}, "choices: is a number; a list of choices is wanted"),
        ({"choices": ["a", ["b"]], "answer": 0}, "choices: is a list; text is wanted"),
        ({"question": " ", "answer": 0}, "question: is empty"),
    ],
)
def test_choices_that_do_not_say_which_is_right_are_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(MultipleChoice(), {**CHOICES, **changes})
