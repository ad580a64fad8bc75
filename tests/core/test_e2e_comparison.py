"""Baselines, slices and thresholds of `test`, through the command."""

import json
from pathlib import Path
from typing import Any
from weakref import WeakSet
from xml.etree import ElementTree

import pytest

from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")
BOUND = "--success.exact/exact_match"


def last_word(question: str) -> dict[str, Any]:
    """An answer that was cut after the last word of the question."""
    message = {"content": question.split()[-1]}
    return {
        "choices": [{"message": message, "finish_reason": "length"}],
        "usage": {"completion_tokens": 3, "prompt_tokens": 20},
    }


def result_of(bench: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The newest `metrics.json`, and the rows of `predictions.jsonl`."""
    folder = bench.runs()[-1] / "test"
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    return json.loads((folder / "metrics.json").read_text()), [json.loads(line) for line in lines]


def test_baselines_answer_the_same_rows_beside_the_base(trained: Any, chat_server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    chat_server.say = last_word
    run = trained.runs()[0].relative_to(trained.folder)
    baselines = {
        "three": {"shots": 3},
        "strict": {"system": "Say the state alone."},
        "again": {"run": str(run)},
        "last": {"checkpoint": "last"},
        "large": {"endpoint": chat_server.address, "model": "big", "shots": 1, "system": "Be brief."},
    }
    trained.write("rivals.yaml", baselines=baselines)
    models, held, load = WeakSet[Any](), [], Specialist.load

    def loading(self: Specialist) -> None:
        models.add(self)
        held.append(len(models))
        load(self)

    monkeypatch.setattr(Specialist, "load", loading)
    changes = ("--success.perplexity/perplexity.not_worse_than=again", f"{BOUND}.improves_by=0", f"{BOUND}.of=large")
    # the runs of tiny.yaml are found by --run: the overlay has another name
    ran = trained.done("test", "--config", "rivals.yaml", "--run", str(run), *changes)
    # the one under test, and one of two other runs at a time
    assert max(held) == 2
    metrics, rows = result_of(trained)
    assert list(metrics["baselines"]) == ["three", "strict", "again", "last", "large"]
    assert metrics["baselines"]["last"]["perplexity/perplexity"]["change"] == "same"
    again = metrics["baselines"]["again"]["perplexity/perplexity"]
    assert (again["base"], again["change"]) == (again["tuned"], "same")
    three = metrics["baselines"]["three"]["perplexity/perplexity"]
    assert three["base"] != metrics["metrics"]["perplexity/perplexity"]["base"]
    assert three["tuned"] == metrics["metrics"]["perplexity/perplexity"]["tuned"]
    for row in rows:
        assert row["again"]["output"] == row["tuned"]["output"]
        assert row["large"]["output"] == row["prompt"][-1]["content"].split()[-1]
        assert row["large"]["stopped"] is False
        assert [turn["role"] for turn in row["prompt"]] == ["user"]
    assert {row["three"]["output"] for row in rows} != {row["base"]["output"] for row in rows}
    assert metrics["baselines"]["large"]["perplexity/perplexity"]["base"] is None
    # a token beforehand, and each row
    assert [chat_server.asked[0]["max_tokens"], len(chat_server.asked)] == [1, 1 + len(rows)]
    asked = chat_server.asked[1]
    assert [turn["role"] for turn in asked["messages"]] == ["system", "user", "assistant", "user"]
    assert asked["messages"][0]["content"] == "Be brief."
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("big", 4, 0)
    assert set(chat_server.keys) == {"Bearer secret"}
    shown = {turn["content"] for body in chat_server.asked for turn in body["messages"][1:-1]}
    questions = {row["prompt"][-1]["content"] for row in rows}
    assert len(shown) == 2
    assert not shown & questions
    assert " as good as again " in ran.out
    assert [line.split()[1] for line in ran.out.splitlines() if line.strip().startswith("metric ")] == [
        "base",
        "three",
        "strict",
        "again",
        "last",
        "large",
    ]


def test_slices_are_shown_and_judged(trained: Any) -> None:
    slices = ("--comparison.slices=[length, source]", "--comparison.smallest=5")
    bound = "--success.perplexity/perplexity@length.at_most"
    ran = trained.done("test", *CONFIG, *slices, f"{bound}=1e9", "--success.exact/exact_match@source.at_least=0")
    metrics, rows = result_of(trained)
    lengths = [one for one in metrics["slices"] if one["kind"] == "length"]
    assert sum(one["n"] for one in lengths) == len(rows)
    assert "by length, the smallest of " in ran.out
    assert "by source, the smallest of " in ran.out
    ids = {len(row["prompt"][-1]["content"].split()) for row in rows}
    assert len(lengths) == min(4, len(ids))
    assert max(map(len, map(str.rstrip, ran.out.splitlines()))) <= 80
    missed = trained.done("test", *CONFIG, *slices, f"{bound}=1", code=3)
    assert "length " in missed.out
    assert "; 0 of " in missed.out
    refused = trained.done("test", *CONFIG, "--comparison.slices=[sorce]", code=2)
    assert "comparison.slices: no row of the test set has a column sorce; did you mean source?" in refused.err


def test_verdicts_are_junit_too(trained: Any) -> None:
    changes = (f"{BOUND}.at_least=2", f"{BOUND}.because=it must", "--success.perplexity/perplexity.at_most=1e9")
    trained.done("test", *CONFIG, *changes, code=3)
    suite = ElementTree.parse(trained.runs()[0] / "test/junit.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("tiny", "2", "1")
    bad, good = suite
    assert (bad.get("name"), bad[0].tag) == ("exact/exact_match", "failure")
    assert bad[0].get("message") == "0 < 2\nbecause: it must"
    assert good[0].tag == "system-out"


def test_an_improvement_can_be_asked_for_with_confidence(trained: Any) -> None:
    bound = "--success.perplexity/perplexity"
    ran = trained.done("test", *CONFIG, f"{bound}.improves_by=0", f"{bound}.confidence=0.9")
    metrics, _ = result_of(trained)
    (verdict,) = metrics["verdicts"]
    assert verdict["sentence"].endswith("(asked: no worse), with 90 % confidence")
    assert (verdict["state"], verdict["met"]) == ("met", True)
    assert "success: all 1 met" in ran.out
    exact = metrics["metrics"]["exact/exact_match"]
    assert (exact["p_adjusted"], exact["effect_size"], exact["rows_needed"]) == (1.0, None, None)
    perplexity = metrics["metrics"]["perplexity/perplexity"]
    assert perplexity["p_value"] < perplexity["p_adjusted"] <= 2 * perplexity["p_value"]
    assert perplexity["effect_size"] < 0
    few = trained.done("test", *CONFIG, f"{BOUND}.improves_by=0.5", f"{BOUND}.confidence=0.9", code=3)
    assert "success: 1 of 1 not met" in few.out


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ({"shots": 0}, "baselines.b is the base as it is, which is compared with anyway; give shots, system, run"),
        ({"checkpoint": "none.ckpt"}, "baselines.b.checkpoint none.ckpt is no checkpoint; "),
        ({"shots": -1}, "baselines.b.shots is -1; it must be 0 or more"),
        ({"shots": 500}, "baselines.b.shots is 500, and "),
        ({"run": "runs/none"}, "baselines.b.run: runs/none is not a run directory"),
        (
            {"endpoint": "http://example.com/v1"},
            "baselines.b.endpoint: rows would be sent to example.com, which is not",
        ),
        ({"run": "x", "endpoint": "http://localhost/v1"}, "baselines.b names run and endpoint; a baseline is one of"),
        ({"shots": 1, "model": "x"}, "baselines.b.model is x, and nothing reads it: it goes with endpoint"),
        ({"shots": 1, "timeout": 0}, "baselines.b.timeout is 0.0; it must be above 0"),
        ({"shot": 1}, "did you mean shots?"),
    ],
)
def test_baselines_that_cannot_be_are_refused(trained: Any, baseline: dict[str, Any], said: str) -> None:
    trained.write("wrong.yaml", baselines={"b": baseline})
    run = str(trained.runs()[0].relative_to(trained.folder))
    ran = trained.done("test", "--config", "wrong.yaml", "--run", run, code=2)
    assert said in ran.err


def test_a_server_that_does_not_answer_is_found_before_a_model_does(trained: Any, monkeypatch: Any) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("tunesmith.cli.evaluate.load_models", never)
    gone = {"endpoint": "http://127.0.0.1:1/v1"}
    (trained.folder / "rubric.md").write_text("Polite.")
    judge = {"class_path": "Rubric", "init_args": {"rubric": "rubric.md", **gone}}
    run = str(trained.runs()[0].relative_to(trained.folder))
    for verb, part, said in (
        ("test", {"baselines": {"b": gone}}, "baselines.b.endpoint: http://127.0.0.1:1/v1/chat/completions cannot be"),
        ("test", {"evaluators": {"grade": judge}}, "Rubric.endpoint: http://127.0.0.1:1/v1/chat/completions cannot be"),
        ("validate", {"evaluators": {"grade": judge}}, "Rubric.endpoint: "),
    ):
        trained.write("gone.yaml", **part)
        assert said in " ".join(trained.done(verb, "--config", "gone.yaml", "--run", run, code=2).err.split())
        # whoever only reads the recipe asks nobody
        trained.done("recipes", "check", "gone.yaml", "--rows", "0")


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("tuned", "the model under test"),
        ("base", "the base itself"),
        ("prompt", "a field of predictions.jsonl, where answers lie by baseline"),
    ],
)
def test_a_baseline_has_a_name_of_its_own(trained: Any, name: str, whose: str) -> None:
    trained.write("wrong.yaml", baselines={name: {"shots": 1}})
    refused = trained.done("recipes", "check", "wrong.yaml", "--rows", "0", code=2)
    said = " ".join((refused.out + refused.err).split())
    assert f"baselines.{name}: {name} is the name of {whose}; rename it" in said


@pytest.mark.parametrize("name", ["", "a/b", "a@b"])
@pytest.mark.parametrize("kind", ["evaluators", "audits"])
def test_names_that_success_cannot_say_are_refused(trained: Any, kind: str, name: str) -> None:
    plugin = {"evaluators": "ExactMatch", "audits": "Representation"}[kind]
    trained.write("wrong.yaml", **{kind: {name: plugin}})
    refused = trained.done("recipes", "check", "wrong.yaml", "--rows", "0", code=2)
    said = " ".join((refused.out + refused.err).split())
    assert (f"{kind}.{name}: the name holds" if name else f"{kind} has an entry whose name is empty") in said


def test_fit_finds_what_a_baseline_lacks_before_it_trains(bench: Any) -> None:
    bench.write(baselines={"many": {"shots": 99}}, comparison={"slices": ["nobody"]})
    before = list(Path(bench.folder).glob("runs/*/*/checkpoints"))
    refused = bench.done("fit", *CONFIG, code=2)
    assert "baselines.many.shots is 99, and 30 training rows have question and answer" in refused.err
    assert list(Path(bench.folder).glob("runs/*/*/checkpoints")) == before


def test_fit_says_before_it_trains_what_too_few_rows_will_leave_undecided(bench: Any) -> None:
    words = ("fit", *CONFIG, "--trainer.max_steps=1")

    def told(*more: str) -> str:
        ran = bench.done(*words, *more)
        return " ".join((ran.out + ran.err).split())

    assert "undecided" not in told()
    few = told(f"{BOUND}@source.at_least=0")
    count = int(few.split("test rows are too few to tell")[0].split()[-1])
    assert 0 < count < 20
    assert "below 20, what rests on a comparison with the base will be undecided" in few
    slices = f"no source has the 20 test rows that comparison.smallest asks for (the largest has {count})"
    assert f"success.exact/exact_match@source will be undecided: {slices}" in few
    enough = told(
        f"{BOUND}@source.at_least=0", "--comparison.smallest=5", "--data.split.train=0.2", "--data.split.test=0.6"
    )
    assert "undecided" not in enough


def test_a_baseline_whose_questions_are_too_long_is_named(trained: Any) -> None:
    trained.write("long.yaml", baselines={"few": {"shots": 1}, "many": {"shots": 20}}, evaluators={"perplexity": None})
    refused = trained.done("test", "--config", "long.yaml", "--run", str(trained.runs()[0]), code=2)
    assert "baselines.many: prompt 1 has " in refused.err
    assert "the base reads 256" in refused.err


def test_an_endpoint_is_asked_once_and_goes_on_where_it_failed(trained: Any, chat_server: Any) -> None:
    trained.write("kept.yaml", baselines={"large": {"endpoint": chat_server.address}})
    words = ("test", "--config", "kept.yaml", "--run", str(trained.runs()[0]))

    def fails(question: str) -> Any:
        if len(chat_server.asked) < 10:
            return last_word(question)
        chat_server.code = 429
        chat_server.asked.pop()
        return "too many requests"

    def asked() -> list[dict[str, Any]]:
        """But for the word that each `test` asks for at its begin."""
        return [body for body in chat_server.asked if body["max_tokens"] > 1]

    chat_server.say = fails
    trained.done(*words, "--generation.batch_size=1", code=2)
    chat_server.say, chat_server.code = last_word, 200
    trained.done(*words)
    _, rows = result_of(trained)
    assert len(asked()) == len(rows)
    assert {body["messages"][-1]["content"] for body in asked()} == {row["prompt"][-1]["content"] for row in rows}
    for row in rows:
        assert row["large"]["output"] == row["prompt"][-1]["content"].split()[-1]
        assert (row["large"]["stopped"], row["large"]["answer_tokens"]) == (False, 3)
    cost = {"class_path": "Cost", "init_args": {"per_million_in": 3.0, "per_million_out": 15.0}}
    evaluators = {"rouge": "ROUGE", "cost": cost}
    trained.write("kept.yaml", baselines={"large": {"endpoint": chat_server.address}}, evaluators=evaluators)
    trained.done(*words)
    assert len(asked()) == len(rows)
    metrics, rows = result_of(trained)
    assert rows[0]["large"]["measures"].keys() >= {"rouge/rougeL"}
    # 1,000 answers of 20 tokens in and 3 out
    assert metrics["baselines"]["large"]["cost/price"]["base"] == pytest.approx(20 * 3.0 / 1000 + 3 * 15.0 / 1000)
    for other in ("--baselines.large.model=other", "--generation.max_new_tokens=5", "--generation.cache=false"):
        chat_server.asked.clear()
        trained.done(*words, other)
        assert len(asked()) == len(rows), other
