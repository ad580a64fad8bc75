"""An evaluation from examples to verdicts, files and tables, with models that say what they are told to."""

import datetime
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tunesmith import (
    Audit,
    DataError,
    Evaluator,
    Example,
    Findings,
    Mark,
    Measure,
    Message,
    Origin,
    RecipeError,
    Sample,
    Segment,
    Subject,
    Table,
    TunesmithError,
)
from tunesmith.evaluation.baseline import ROW, Baseline, Endpoint, Rival
from tunesmith.evaluation.collect import collect
from tunesmith.evaluation.compare import compare_all
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.logged import logged_samples
from tunesmith.evaluation.metric_name import MetricName
from tunesmith.evaluation.records import Told, plain, prediction_records, write_evaluation, write_predictions
from tunesmith.evaluation.run_test import Evaluation, audits_of, evaluate, examine
from tunesmith.evaluation.slices import Comparing
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.tables import metrics_table, show_evaluation, show_findings
from tunesmith.evaluation.threshold import Threshold


@dataclass
class Scripted:
    """Answers by a function of the last turn; counts what it was asked for."""

    say: Callable[[str], str]
    logprob_of: float = -1.0
    stopped: bool = True
    tokens: int = 2
    asked: list[str] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    scored: list[Any] = field(default_factory=list)
    weighed: list[Any] = field(default_factory=list)

    def answers(
        self,
        prompts: Sequence[Sequence[Message]],
        tools: Sequence[Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        self.asked += [prompt[-1].content for prompt in prompts]
        self.tools += tools or []
        if progress is not None:
            progress(len(prompts), len(prompts))
        return [Answer(self.say(prompt[-1].content), self.stopped, 3) for prompt in prompts]

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [answer.text for answer in self.answers(prompts)]

    def logprob(self, conversations: Sequence[Any], tools: Any = None, progress: Any = None) -> list[tuple[float, int]]:
        self.tools += tools or []
        self.scored += conversations
        return [(self.logprob_of, self.tokens)] * len(conversations)

    def classify(self, prompts: Any, labels: Any, tools: Any = None, progress: Any = None) -> list[list[float]]:
        self.tools += tools or []
        self.weighed += [(prompt[-1].content, *labels) for prompt in prompts]
        return [[1.0, *[0.0] * (len(labels) - 1)]] * len(prompts)

    def embed(self, texts: Any) -> Any:
        raise NotImplementedError

    def baseline(self, name: str = "base") -> "Scripted":
        return self


class Equal(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("share", [float(s.output == s.reference) for s in samples])]


class Surprise(Evaluator):
    needs: ClassVar[frozenset[Any]] = frozenset({"logprob"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("nats", [-s.logprob for s in samples], higher_is_better=False, unit="nats")]


class Gold(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        if any("gold" not in s.extras for s in samples):
            msg = "no column gold"
            raise RecipeError(msg)
        return [Measure("hit", [float(s.output == s.extras["gold"]) for s in samples])]

    def columns(self) -> Sequence[str]:
        return ["gold"]


class Some(Evaluator):
    """Two metrics of every other row, the second with a note."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        hits = [float(s.output == s.reference) if i % 2 else math.nan for i, s in enumerate(samples)]
        return [Measure("hit", hits), Measure("miss", [1 - hit for hit in hits], higher_is_better=False, note="odd")]


class Weighed(Evaluator):
    """How likely the first of its classes is."""

    needs: ClassVar[frozenset[Any]] = frozenset({"classes"})

    def __init__(self, *named: str) -> None:
        self.named = named

    def classes(self) -> Sequence[str]:
        return self.named

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("share", [s.probabilities.get(next(iter(self.named), ""), math.nan) for s in samples])]


class Length(Audit):
    """Mean length of outputs."""

    needs: ClassVar[frozenset[Any]] = frozenset({"outputs"})

    def produces(self) -> list[Measure]:
        return [Measure("mean", [], higher_is_better=False)]

    def examine(self, subject: Subject) -> Findings:
        lengths = [len(s.output) for s in subject.outputs or ()]
        mean = sum(lengths) / len(lengths) if lengths else math.nan
        table = Table("lengths", ("length", "rows"), tuple((n, lengths.count(n)) for n in sorted(set(lengths))))
        return Findings("Outputs have lengths.", "low", {"mean": mean}, (table,), ("e1", "e2"), "write less")


class Rows(Audit):
    """Number of examples."""

    def produces(self) -> list[Measure]:
        return [Measure("count", [])]

    def examine(self, subject: Subject) -> Findings:
        return Findings("Rows.", "none", {"count": float(sum(map(len, subject.examples.values())))})


def examples(count: int) -> list[Example]:
    return [
        Example(
            messages=(Message("system", "be brief"), Message("user", f"q{i}"), Message("assistant", f"a{i}")),
            id=f"e{i}",
            origin=Origin("intake", "rows.jsonl", i + 1),
            extras={"gold": f"a{i}"},
        )
        for i in range(count)
    ]


def right(prompt: str) -> str:
    return prompt.replace("q", "a")


def run(count: int = 30, success: Mapping[str, Threshold] | None = None, **rest: Any) -> Evaluation:
    tuned, base = (
        Scripted(right, -1.0),
        Scripted(lambda p: right(p) if int(p[1:]) % 3 == 0 else "?", -4.0, stopped=False),
    )
    options = {"evaluators": {"same": Equal(), "nll": Surprise()}} | rest
    return evaluate(tuned, base, examples(count), success=success or {}, **options)


# ---- collecting


def test_only_what_is_needed_is_computed() -> None:
    model = Scripted(right)
    [sample] = collect(model, examples(1), {"output"})
    assert (sample.output, sample.reference, sample.stopped, model.scored) == ("a0", "a0", True, [])
    assert math.isnan(sample.logprob)
    model = Scripted(right)
    [sample] = collect(model, examples(1), {"logprob"})
    assert (sample.output, sample.logprob, sample.tokens, model.asked) == ("", -1.0, 2, [])


def test_only_the_reference_is_scored() -> None:
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))
    model = Scripted(right)
    collect(model, [Example(messages=turns, id="x"), Example(segments=(Segment("t"),), id="y")], {"logprob"})
    assert [turn.weight for turn in model.scored[0]] == [0, 0, 0, 1]
    assert model.scored[1] == (Segment("t"),)


def test_tools_of_an_example_reach_the_prompt() -> None:
    model = Scripted(right)
    collect(model, [examples(1)[0].with_(tools=({"name": "f"},))], {"output", "logprob"})
    assert model.tools == [({"name": "f"},)] * 2


def test_an_example_that_cannot_be_asked_or_scored_is_named() -> None:
    text = Example(segments=(Segment("t"),), id="raw", origin=Origin("s", "f.txt", 4))
    with pytest.raises(DataError, match=r"1 of 2 examples have no prompt to answer, first raw \(f\.txt:4\)"):
        collect(Scripted(right), [*examples(1), text], {"output"})
    question = Example(messages=(Message("user", "q1"),), id="open")
    with pytest.raises(DataError, match="have no reference to score, first open"):
        collect(Scripted(right), [question], {"logprob"})
    assert collect(Scripted(right), [question], {"output"})[0].output == "a1"


def test_classes_of_all_evaluators_are_weighed_once(tmp_path: Path) -> None:
    model = Scripted(right)
    evaluators = {"one": Weighed("a", "b"), "two": Weighed("b", "c"), "same": Equal()}
    found = evaluate(model, None, examples(2), evaluators, {})
    assert model.weighed == [("q0", "a", "b", "c"), ("q1", "a", "b", "c")]
    assert found.tuned[0].probabilities == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert (found.tuned_measures["one/share"].value, found.tuned_measures["two/share"].value) == (1.0, 0.0)
    write_evaluation(found, tmp_path)
    assert [one.probabilities for one in logged_samples(tmp_path / "predictions.jsonl")] == [
        one.probabilities for one in found.tuned
    ]


def test_what_is_scored_of_pairs_and_labels_come_back_from_the_file(tmp_path: Path) -> None:
    asked = Message("user", "Hot?")
    rows = [
        Example(chosen=(asked, Message("assistant", "Yes")), rejected=(asked, Message("assistant", "No")), id="pair"),
        Example(messages=(asked, Message("assistant", "Never")), id="unwanted", label=False),
        Example(messages=(asked, Message("assistant", "a")), id="classes", label=("a", "b")),
    ]
    evaluator = type("Pairs", (Equal,), {"needs": frozenset({"output", "logprob", "rejected"})})()
    found = evaluate(Scripted(right), None, rows, {"pairs": evaluator}, {})
    assert found.tuned[0].rejected_tokens > 0
    write_evaluation(found, tmp_path)
    for mine, read in zip(found.tuned, logged_samples(tmp_path / "predictions.jsonl"), strict=True):
        assert (read.label, read.rejected_tokens) == (mine.label, mine.rejected_tokens)
        assert read.rejected == mine.rejected or (math.isnan(read.rejected) and math.isnan(mine.rejected))


def test_classes_are_weighed_with_the_tools_of_the_example() -> None:
    model = Scripted(right)
    collect(model, [examples(1)[0].with_(tools=({"name": "f"},))], {"classes"}, classes=["a"])
    assert model.tools == [({"name": "f"},)]


def test_an_endpoint_says_no_probabilities() -> None:
    endpoint = Endpoint(Baseline(endpoint="http://127.0.0.1:1/v1"), "large", Generation())
    [sample] = collect(endpoint, examples(1), {"classes"}, classes=["a", "b"])
    assert sample.probabilities == {}


def test_an_evaluator_that_needs_classes_and_names_none_is_named() -> None:
    model = Scripted(right)
    with pytest.raises(TunesmithError, match=r"evaluators\.none: .* needs classes, and classes\(\) names none"):
        evaluate(model, None, examples(1), {"none": Weighed()}, {})
    assert model.asked == []


# ---- the whole way


def test_an_evaluation_compares_row_by_row_and_decides() -> None:
    success = {"same/share": Threshold(at_least=0.9), "nll/nats": Threshold(at_most=0.2, of="base")}
    found = run(success=success)
    share = found.comparisons["same/share"]
    assert (share.tuned, share.base, share.n, share.change) == (1, pytest.approx(1 / 3), 30, "better")
    assert found.comparisons["nll/nats"].difference == -3
    assert [(v.key, v.met) for v in found.verdicts] == [("same/share", True), ("nll/nats", False)]
    assert not found.met
    assert run(success={"same/share": Threshold(at_least=0.9)}).met
    assert [s.id for s in found.tuned] == [f"e{i}" for i in range(30)]


def test_thresholds_are_checked_before_a_model_runs() -> None:
    model = Scripted(right)
    with pytest.raises(RecipeError, match="did you mean same/share"):
        evaluate(model, None, examples(3), {"same": Equal()}, {"same/shar": Threshold(at_least=1)})
    assert model.asked == []


def test_gold_columns_are_checked_before_a_model_runs_for_each_source() -> None:
    other = [e.with_(id="o" + e.id, origin=Origin("other", "o.csv", 1), extras={}) for e in examples(2)]
    model = Scripted(right)
    with pytest.raises(RecipeError, match="no column gold"):
        evaluate(model, None, [*examples(3), *other], {"gold": Gold()}, {})
    assert model.asked == []


def test_a_gold_column_that_only_later_rows_lack_is_found_before_a_model_runs() -> None:
    model = Scripted(right)
    with pytest.raises(RecipeError, match="no column gold"):
        evaluate(model, None, [*examples(3), examples(1)[0].with_(id="x", extras={})], {"gold": Gold()}, {})
    assert model.asked == []


def test_without_examples_nothing_is_claimed() -> None:
    with pytest.raises(DataError, match="no examples to measure: the split is empty"):
        run(0)


def test_one_value_a_sample_is_enforced() -> None:
    class Short(Evaluator):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [Measure("m", [1.0])]

    with pytest.raises(TunesmithError, match=r"evaluators\.short: Short failed .* m has 1 values for 30 samples"):
        run(evaluators={"short": Short()})


class Words(Evaluator):
    """A metric for each word that a model says, as an evaluator of ten lines may count them."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        said = sorted({s.output for s in samples if "q1" in s.prompt[-1].content})
        return [Measure(word, [float(s.output == word) for s in samples]) for word in said]


def test_metrics_that_change_with_the_answers_are_the_evaluators_fault() -> None:
    said = r"evaluators\.w: Words failed .*: measures .*, and produces\(\) says nothing: give the same metrics"
    with pytest.raises(TunesmithError, match=said):
        run(evaluators={"w": Words()})

    class Twice(Equal):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [*super().measure(samples), *(super().measure(samples) if samples else [])]

    with pytest.raises(TunesmithError, match=r"measures share, share, and produces\(\) says share: .* each once"):
        run(evaluators={"t": Twice()})


@pytest.mark.parametrize("where", ["measure", "produces"])
def test_an_evaluator_that_fails_is_named_with_its_line(where: str) -> None:
    class Broken(Evaluator):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [Measure("m", [1 / (where != "measure")] * len(samples))]

        def produces(self) -> list[Measure]:
            return [Measure("m", [1 / (where != "produces")])]

    with pytest.raises(TunesmithError) as caught:
        run(evaluators={"mine": Broken()})
    said = str(caught.value)
    assert said.startswith("evaluators.mine: Broken failed with ZeroDivisionError: division by zero (")
    assert re.search(rf"{re.escape(__file__)}:\d+\)\n", said)
    assert caught.value.exit_code == 1


def test_progress_names_model_and_work() -> None:
    told: list[tuple[str, int, int]] = []
    run(5, progress=lambda *step: told.append(step))
    assert ("base answers", 5, 5) in told
    assert ("tuned answers", 5, 5) in told


def test_audits_share_the_name_space_of_success() -> None:
    success = {"size/mean": Threshold(at_most=1.5, of="base"), "data/count": Threshold(at_least=7)}
    audits = {"size": Length(), "data": Rows(), "other": Rows()}
    named = audits_of(success, audits)
    assert list(named) == ["size", "data"]
    splits = {"train": examples(5), "test": examples(4)}
    found = run(4, success=success, audits=named, splits=splits)
    assert [(v.key, v.value, v.met) for v in found.verdicts] == [("size/mean", 2, True), ("data/count", 9, True)]
    assert found.verdicts[0].base == pytest.approx((2 + 1 + 1 + 2) / 4)


def test_audits_of_outputs_make_the_models_answer() -> None:
    found = run(3, evaluators={"nll": Surprise()}, audits={"size": Length()})
    assert [s.output for s in found.tuned] == ["a0", "a1", "a2"]


@pytest.mark.parametrize(
    ("key", "message"), [("data/count", "audits the data, which is the same for both"), ("same/share", "no base is")]
)
def test_a_multiple_of_a_base_that_is_not_measured_is_refused(key: str, message: str) -> None:
    base = Scripted(right) if key == "data/count" else None
    success = {key: Threshold(at_least=1, of="base")}
    with pytest.raises(RecipeError, match=message):
        evaluate(Scripted(right), base, examples(2), {"same": Equal()}, success, audits={"data": Rows()})


def test_an_audit_that_measures_more_than_it_says_is_refused() -> None:
    class Chatty(Rows):
        def produces(self) -> list[Measure]:
            return []

    said = r"audits\.data: Chatty failed .* produces\(\) does not say that it measures count"
    with pytest.raises(TunesmithError, match=said):
        examine({"data": Chatty()}, AuditSubject({"train": []}))


# ---- files


def test_metrics_and_predictions_are_plain_json(tmp_path: Path) -> None:
    found = run(4, success={"same/share": Threshold(at_least=0.9, because="it must")}, audits={"size": Length()})
    write_evaluation(found, tmp_path / "test")
    metrics = json.loads((tmp_path / "test" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["n"], metrics["met"]) == (4, True)
    share = metrics["metrics"]["same/share"]
    assert (share["tuned"], share["base"], share["interval"], share["n"]) == (1, 0.5, None, 4)
    assert share["higher_is_better"] is True
    assert share["notes"] == ["undecided: fewer than 20 rows give no interval"]
    [verdict] = metrics["verdicts"]
    assert (verdict["key"], verdict["met"], verdict["because"], verdict["high"]) == (
        "same/share",
        True,
        "it must",
        None,
    )
    lines = (tmp_path / "test" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    row = json.loads(lines[1])
    assert row["origin"] == {"source": "intake", "file": "rows.jsonl", "line": 2}
    assert row["prompt"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q1"}]
    assert (row["id"], row["reference"], row["base"]["output"], row["tuned"]["output"]) == ("e1", "a1", "?", "a1")
    assert row["tuned"]["measures"] == {"same/share": 1, "nll/nats": 1}
    assert (row["tuned"]["stopped"], row["base"]["stopped"]) == (True, False)
    findings = json.loads((tmp_path / "test" / "findings.json").read_text(encoding="utf-8"))
    assert findings["size"]["metrics"] == {"mean": 2}
    assert findings["size"]["tables"][0]["rows"] == [[2, 4]]


def test_the_files_say_what_was_measured_and_which_columns_decided(tmp_path: Path) -> None:
    found = run(4, evaluators={"gold": Gold(), "some": Some()})
    write_evaluation(found, tmp_path, {"recipe": "tiny", "split": "test", "seed": 3})
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics)[:4] == ["recipe", "split", "seed", "n"]
    assert metrics["metrics"]["some/hit"]["n"] == 2
    first, second = map(json.loads, (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[:2])
    assert first["columns"] == {"gold": "a0"}
    assert first["tuned"]["measures"] == {"gold/hit": 1, "some/hit": None, "some/miss": None}
    assert second["tuned"]["measures"] == {"gold/hit": 1, "some/hit": 1, "some/miss": 0}


def test_columns_of_any_kind_are_written(tmp_path: Path) -> None:
    when, half = datetime.date(2020, 1, 2), "\ud800"
    rows = [examples(1)[0].with_(extras={"when": when, "half": half, "unread": 1})]
    samples = collect(Scripted(right), rows, {"output"})
    write_predictions(
        prediction_records(rows, {"tuned": Told(samples)}, ["when", "half", "gone"]), tmp_path / "p.jsonl"
    )
    assert json.loads((tmp_path / "p.jsonl").read_text(encoding="utf-8"))["columns"] == {
        "when": "2020-01-02",
        "half": half,
    }


def test_what_json_cannot_say_is_null() -> None:
    assert plain({"a": (math.nan, math.inf, 1.5), "b": {"c": -math.inf}}) == {"a": [None, None, 1.5], "b": {"c": None}}


def test_predictions_without_a_base_or_measures() -> None:
    rows = examples(2)
    [first, _] = prediction_records(rows, {"tuned": Told(collect(Scripted(right), rows, {"output"}))})
    assert set(first) == {*ROW, "tuned"}
    counted = {"prompt_tokens": 0, "answer_tokens": 3}
    assert first["tuned"] == {"output": "a0", "stopped": True, **counted, "measures": {}}


# ---- tables


def shown(show: Callable[[Console], None], width: int = 80, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(Console(file=stream, width=width, force_terminal=False))
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return text


def test_the_table_shows_base_tuned_interval_and_verdict_in_80_columns() -> None:
    because = "forty per cent fewer critical errors than the base, as the clinic asked of us in the first meeting"
    success = {"same/share": Threshold(at_least=0.9), "nll/nats": Threshold(at_most=0.2, of="base", because=because)}
    found = run(success=success, audits={"size": Length()})
    text = shown(lambda console: show_evaluation(found, console, samples=1))
    assert "30 examples" in text
    share = next(line for line in text.splitlines() if line.strip().startswith("same/share"))
    assert "0.333" in share
    assert "1.000" in share
    assert "+0.667 ▲" in share
    assert "..+0." in share
    assert "success: 1 of 2 not met" in text
    assert "✓" in text
    assert "✗" in text
    assert "because: forty per cent" in text
    assert "30 of 30 answers of base were cut at generation.max_new_tokens" in text
    assert "[cut]" in text
    assert "audit size: severity low" in text
    assert "advice: write less" in text


def test_the_table_needs_no_unicode() -> None:
    found = run(success={"same/share": Threshold(at_least=0.9), "nll/nats": Threshold(at_most=0.1)})
    text = shown(lambda console: show_evaluation(found, console), encoding="ascii")
    assert "+0.667 +" in text
    assert ">= 0.9" in text
    assert "NO" in text


def test_long_names_and_markup_in_outputs_survive() -> None:
    class Long(Equal):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [Measure("unreadable_rate_of_all_critical_fields", [0.5 for _ in samples])]

    model = Scripted(lambda p: "[bold]x[/] :smile:")
    found = evaluate(model, None, examples(3), {"a_rather_long_name": Long()}, {})
    text = shown(lambda console: show_evaluation(found, console, samples=2))
    assert "[bold]x[/] :smile:" in text
    assert "0.500" in text


class Many(Equal):
    """Names that no column of a table at 80 columns is wide enough for."""

    names = ("invented/citations", "invented/numbers", "unreadable_rate_of_all_critical_fields", "f1/not urgent")

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        (share,) = super().measure(samples)
        return [replace(share, name=name, unit="tokens") for name in self.names]


def test_names_of_metrics_are_broken_between_their_words() -> None:
    rows = [
        example.with_(task="intake" if at < 30 else "discharge summaries") for at, example in enumerate(examples(60))
    ]
    comparing = Comparing(["task"])
    found = evaluate(Scripted(right), Scripted(str), rows, {"grounded_in_facts": Many()}, {}, comparing=comparing)
    text = shown(lambda console: show_evaluation(found, console))
    pieces = {line[:22].split("  ")[0].strip() for line in text.splitlines()}
    words = {word for piece in pieces for word in re.findall(r"[^/_ ]+", piece)}
    assert {"grounded", "facts", "invented", "citations", "numbers", "unreadable", "critical", "urgent"} <= words
    assert "invented/" in pieces


def test_scores_of_other_tokens_are_said_to_be_incomparable() -> None:
    others = {name: Rival(Scripted(right, -2.0, tokens=n), lambda row: row) for name, n in (("like", 2), ("other", 3))}
    found = run(others=others)
    notes = {name: beside.comparisons["nll/nats"].notes for name, beside in found.others.items()}
    assert notes == {"like": (), "other": ("of other tokens than the tuned model's: cannot be compared",)}
    assert found.others["other"].comparisons["same/share"].notes == ()
    text = shown(lambda console: show_evaluation(found, console))
    assert text.count("of other tokens than the tuned model's: cannot be compared: nll/nats") == 1


def test_large_numbers_leave_room_for_names() -> None:
    mine, theirs = (Measure("perplexity", [size + at for at in range(30)], False) for size in (10.0, 34_000.0))
    theirs = replace(theirs, values=[value * (1 + at / 30) for at, value in enumerate(theirs.values)])
    found = compare_all({"kept/perplexity": mine}, {"kept/perplexity": theirs}, 0)
    text = shown(lambda console: console.print(metrics_table(found, 30), highlight=False))
    assert "kept/perplexity" in text
    low, high = (f"{end:+.4g}" for end in found["kept/perplexity"].interval or ())
    assert f"{low}.." in text
    assert high in text


@given(st.lists(st.text("ab_ -日", min_size=1, max_size=12), min_size=1, max_size=5), st.integers(2, 30))
def test_a_broken_name_is_the_name(parts: list[str], width: int) -> None:
    name = "/".join(parts)
    lines = MetricName(name).lines(width)
    assert "".join(lines) == name
    assert all(cell_len(line) <= width for line in lines)
    if max(cell_len(part) for part in parts) < width:
        assert all(line.endswith("/") for line in lines[:-1])


def test_few_rows_are_said_to_be_undecided() -> None:
    text = shown(lambda console: show_evaluation(run(5), console))
    assert "undecided: fewer than 20 rows give no interval: all metrics" in [x.strip() for x in text.splitlines()]


def test_the_legend_has_every_sign_and_fits() -> None:
    text = shown(lambda console: show_evaluation(run(), console))
    legend = next(line for line in text.splitlines() if "better" in line)
    for sign in ("\u25b2 better", "\u25bc worse", "~ undecided", "= no difference", "p: by chance alone (Holm)"):
        assert sign in legend


def test_metrics_of_some_rows_say_how_many_and_notes_are_shown() -> None:
    text = shown(lambda console: show_evaluation(run(60, evaluators={"same": Equal(), "some": Some()}), console))
    notes = [line.strip() for line in text.splitlines()]
    assert {"on fewer examples: 30 for some/*", "odd: some/miss"} <= set(notes)
    assert not [line for line in notes if line.startswith(("base:", "tuned:"))]
    assert "undecided:" not in text


def test_a_note_on_one_metric_of_several_evaluators_is_short() -> None:
    text = shown(
        lambda console: show_evaluation(run(60, evaluators={n: Some() for n in "ab"} | {"c": Equal()}), console)
    )
    notes = [line.strip() for line in text.splitlines()]
    assert {"on fewer examples: 30 for a/*, b/*", "odd: */miss"} <= set(notes)


def test_a_note_of_one_model_says_whose_it_is() -> None:
    class Answered(Equal):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            (share,) = super().measure(samples)
            return [replace(share, note=f"{sum(s.output == '?' for s in samples)} rows answered by ?")]

    text = shown(lambda console: show_evaluation(run(evaluators={"same": Answered()}), console))
    notes = [line.strip() for line in text.splitlines()]
    assert {"base: 20 rows answered by ?: all metrics", "tuned: 0 rows answered by ?: all metrics"} <= set(notes)


def test_findings_show_tables_advice_and_evidence() -> None:
    found = Findings(
        "Two groups differ.",
        "high",
        {"gap": 0.25, "none": math.nan},
        (Table("groups", ("group", "share"), (("a", 0.5), ("b", 0.25))),),
        tuple(f"r{i}" for i in range(8)),
        "balance them",
    )
    text = shown(lambda console: show_findings({"balance": found}, console))
    assert "severity high" in text
    assert "0.250" in text
    assert "metrics: balance/gap 0.250\n" in text
    assert "evidence: rows r0, r1, r2, r3, r4 and 3 more" in text
    long = replace(found, tables=(Table("measures", ("name",), tuple((f"m{k}",) for k in range(40))),))
    text = shown(lambda console: show_findings({"balance": long}, console))
    assert "m11 " in text
    assert "m12 " not in text
    assert "and 28 more rows, in findings and report" in text


def test_columns_that_slices_are_cut_by_are_written(tmp_path: Path) -> None:
    rows = [example.with_(extras={"ward": "a", "other": 1}) for example in examples(3)]
    found = evaluate(Scripted(right), None, rows, {"same": Equal()}, {}, comparing=Comparing(["ward", "source"]))
    write_evaluation(found, tmp_path)
    said = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [row["columns"] for row in said] == [{"ward": "a"}] * 3


def test_slices_of_a_kind_stand_below_each_other() -> None:
    rows = [example.with_(task="a" if at < 40 else "b") for at, example in enumerate(examples(60))]
    found = evaluate(Scripted(right), Scripted(str), rows, {"same": Equal()}, {}, comparing=Comparing(["task"]))
    text = shown(lambda console: show_evaluation(found, console))
    assert "by task, the smallest of 20 rows" in text
    lines = [line.split() for line in text.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["a"], ["b"])] == [["a", "40"], ["b", "20"]]
    assert lines.index(["same/share"]) + 1 == next(at for at, line in enumerate(lines) if line[:1] == ["a"])


def test_names_of_metrics_and_slices_are_whole_beside_wide_values() -> None:
    class Wide(Evaluator):
        def measure(self, samples: Sequence[Sample]) -> list[Measure]:
            return [Measure("answer_tokens", [57.46 + (s.model == "tuned") for s in samples], unit="tokens")]

    rows = [example.with_(task="patients" if at < 40 else "nurses") for at, example in enumerate(examples(60))]
    found = evaluate(Scripted(right), Scripted(str), rows, {"cost": Wide()}, {}, comparing=Comparing(["task"]))
    text = shown(lambda console: show_evaluation(found, console))
    words = text[text.index("by task") :].split()
    assert [words.count(word) for word in ("cost/", "answer_tokens", "patients", "nurses")] == [1, 1, 1, 1]


class Points(Equal):
    def marks(self, samples: Sequence[Sample]) -> list[list[Mark]]:
        return [[] if s.output == s.reference else [Mark("wrong", "", 0, len(s.output))] for s in samples]


class PointsAtOne(Equal):
    def marks(self, samples: Sequence[Sample]) -> list[list[Mark]]:
        return [[]]


def test_what_an_evaluator_points_at_is_written_with_the_answers(tmp_path: Path) -> None:
    evaluators, rival = {"same": Points(), "plain": Equal()}, Rival(Scripted(lambda _: "what"), lambda row: row)
    found = evaluate(Scripted(right), Scripted(lambda _: "no"), examples(3), evaluators, {}, others={"rival": rival})
    write_evaluation(found, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    wrong = {"what": "wrong", "kind": "", "start": 0, "end": 2, "where": "output"}
    assert [row["base"]["marks"] for row in rows] == [{"same": [wrong]}] * 3
    assert [row["rival"]["marks"] for row in rows] == [{"same": [wrong | {"end": 4}]}] * 3
    assert not any("marks" in row["tuned"] for row in rows)
    with pytest.raises(TunesmithError, match="marks gives 1 lists for 3 samples; give one each"):
        evaluate(Scripted(right), None, examples(3), {"same": PointsAtOne()}, {})
