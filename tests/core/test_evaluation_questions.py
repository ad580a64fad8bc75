"""Template-free text that a model goes on with: what it is shown, what is wanted, and rows that need no answer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import AutoTokenizer

from tunesmith import DataError, Evaluator, Example, Measure, Message, RecipeError, Sample, Segment, TunesmithError
from tunesmith.data.render import ChatRenderer
from tunesmith.evaluation.baseline import Baseline, Endpoint, Rival
from tunesmith.evaluation.collect import collect
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.questions import answered, prompt_ids
from tunesmith.evaluation.run_test import evaluate

ASKED = Example(messages=(Message("user", "q"), Message("assistant", "a")), id="turns")
TEXT = Example(segments=(Segment("once upon", 0.0), Segment(" a time"), Segment(" there", 0.0)), id="text")


class Noting:
    """Answers and scores anything, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.scored: list[Any] = []

    def answers(
        self,
        prompts: Sequence[Any],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        self.asked += prompts
        return [Answer(f"to {prompt[0]}", True, 3) for prompt in prompts]

    def logprob(self, conversations: Sequence[Any], tools: Any = None, progress: Any = None) -> list[tuple[float, int]]:
        self.scored += conversations
        return [(-1.0, 2)] * len(conversations)

    def generate(self, prompts: Sequence[Any]) -> list[str]:
        raise NotImplementedError

    def classify(self, prompts: Any, labels: Any, tools: Any = None, progress: Any = None) -> list[list[float]]:
        raise NotImplementedError

    def embed(self, texts: Any) -> Any:
        raise NotImplementedError

    def baseline(self, name: str = "base") -> Any:
        raise NotImplementedError


class Rows(Evaluator):
    """Brings rows, all of which are scored, and some answered."""

    needs: ClassVar[frozenset[Any]] = frozenset({"output", "logprob"})

    def __init__(self, rows: Sequence[Example], silent: str = "", of_silent: Sequence[Any] = ("logprob",)) -> None:
        self.rows = rows
        self.silent = silent
        self.of_silent = of_silent

    def own_rows(self) -> Sequence[Example]:
        return self.rows

    def needs_of(self, row: Example) -> frozenset[Any]:
        return frozenset(self.of_silent) if self.silent and row.id.startswith(self.silent) else self.needs

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("said", [float(bool(sample.output)) for sample in samples])]


def test_a_text_is_gone_on_with_from_before_its_first_weight() -> None:
    model = Noting()
    (sample,) = collect(model, [TEXT], {"output", "logprob"})
    assert model.asked == model.scored == [TEXT.segments]
    assert sample.reference == " a time"
    assert sample.prompt == (Message("user", "once upon"),)
    (whole,) = collect(model, [Example(segments=(Segment("t"),), id="w")], {"logprob"})
    assert (whole.prompt, whole.reference) == ((), "")
    with pytest.raises(DataError, match="no prompt to answer, first blank"):
        collect(model, [Example(segments=(Segment(" ", 0.0), Segment("t")), id="blank")], {"output"})


def test_the_prompt_of_a_text_is_what_training_shows_of_it(tiny_base: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_base)
    renderer = ChatRenderer(tokenizer)
    for before, after in (("The lamp is", " on"), ("The lamp is ", "on"), ("The la", "mp is on"), ("Notes:\n", "on")):
        whole = renderer.text([(before, 0.0), (after, 1.0)])
        ids = list(prompt_ids(renderer, (Segment(before, 0.0), Segment(after)), ()))
        assert ids == list(whole.ids[: len(ids)])
        assert all(weight == 0 for weight in whole.weights[: len(ids)])
        assert whole.weights[len(ids)] == 1
        said = tokenizer.decode(ids, skip_special_tokens=True)
        assert before.startswith(said)
        assert len(said) >= len(before) - 2
    asked = renderer.prompt(ASKED.prompt)
    assert prompt_ids(renderer, ASKED.prompt, ()) == asked.ids


def test_classes_stand_behind_a_text_in_place_of_what_follows_it() -> None:
    assert answered(TEXT.segments, " an hour") == [Segment("once upon", 0.0), Segment(" an hour")]


def test_rows_of_an_evaluator_that_need_no_answer_get_none() -> None:
    rows = [ASKED.with_(id=f"{'silent' if at % 3 == 0 else 'loud'} {at}") for at in range(7)]
    model = Noting()
    found = evaluate(model, None, [ASKED], {"own": Rows(rows, "silent")}, {})
    assert len(model.asked) == 4
    assert len(model.scored) == 7
    assert found.tuned_measures["own/said"].values == [0, 1, 1, 0, 1, 1, 0]
    assert [one.id for one in found.own["own"].tuned] == [row.id for row in rows]


def test_rows_that_need_no_answer_need_no_prompt() -> None:
    text = Example(segments=(Segment("t"),), id="silent text")
    found = evaluate(Noting(), None, [ASKED], {"own": Rows([ASKED, text], "silent")}, {})
    assert found.tuned_measures["own/said"].values == [1, 0]
    model = Noting()
    with pytest.raises(DataError, match="no prompt to answer, first silent text"):
        evaluate(model, None, [ASKED], {"own": Rows([ASKED, text])}, {})
    assert model.asked == []


def test_a_row_that_needs_more_than_its_evaluator_is_named() -> None:
    with pytest.raises(TunesmithError, match=r"evaluators\.own: .*needs_of gives latency for turns"):
        evaluate(Noting(), None, [ASKED], {"own": Rows([ASKED], "turns", ("latency",))}, {})


@pytest.mark.parametrize("own", [True, False])
def test_a_server_of_chats_is_refused_before_a_model_goes_on_with_a_text(own: bool) -> None:
    model = Noting()
    large = Endpoint(Baseline(endpoint="http://127.0.0.1:1/v1"), "large", Generation())
    others = {"large": Rival(large, lambda row: row)}
    evaluators: dict[str, Evaluator] = {"own": Rows([TEXT])} if own else {"said": Said()}
    with pytest.raises(RecipeError, match=r"baselines\.large\.endpoint .*, and text is template-free"):
        evaluate(model, None, [ASKED if own else TEXT], evaluators, {}, others=others)
    assert model.asked == []


class Said(Evaluator):
    """Reads outputs."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("said", [float(bool(sample.output)) for sample in samples])]


def test_what_a_baseline_was_asked_is_shown() -> None:
    (sample,) = Rival(Noting(), lambda row: row).collect([TEXT], {"output"}, None, "other")
    assert sample.prompt == (Message("user", "once upon"),)
