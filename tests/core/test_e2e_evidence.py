"""`test`, `validate`, `predict` and `audit`, through the command."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from rich.console import Console

CONFIG = ("--config", "tiny.yaml")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_verdict_is_the_exit_code(trained: Any) -> None:
    bound = "--success.perplexity/perplexity.at_most"
    met = trained.done("test", *CONFIG, f"{bound}=1e9")
    assert "success: all 1 met" in met.out
    missed = trained.done("test", *CONFIG, f"{bound}=1", code=3)
    assert "success: 1 of 1 not met" in missed.out
    record = json.loads((trained.runs()[0] / "test/metrics.json").read_text())
    assert record["met"] is False
    about = {key: record[key] for key in ("recipe", "run", "split", "seed", "checkpoint")}
    run = str(trained.runs()[0].relative_to(trained.folder))
    assert about == {"recipe": "tiny", "run": run, "split": "test", "seed": 1, "checkpoint": None}
    assert record["verdicts"][0]["key"] == "perplexity/perplexity"


def test_a_threshold_of_base_is_a_share_of_the_bases_own_value(trained: Any) -> None:
    bound = "--success.perplexity/perplexity"
    trained.done("test", *CONFIG, f"{bound}.at_most=0.95", f"{bound}.of=base")
    record = json.loads((trained.runs()[0] / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    assert record["tuned"] < 0.95 * record["base"]
    share = 0.5 * record["tuned"] / record["base"]
    trained.done("test", *CONFIG, f"{bound}.at_most={share}", f"{bound}.of=base", code=3)


def test_the_table_shows_base_beside_tuned_within_80_columns(trained: Any) -> None:
    ran = trained.done("test", *CONFIG)
    shown = ran.out.splitlines()
    assert shown[0] == f"run {trained.runs()[0].relative_to(trained.folder)}"
    (heading,) = [line.split() for line in shown if line.split()[:3] == ["metric", "base", "tuned"]]
    assert heading[3] == "difference"
    assert any(line.split()[:1] == ["perplexity/perplexity"] for line in shown)
    assert max(len(line.rstrip()) for line in shown) <= 80
    assert "the recipe states no `success`, so nothing was decided" in ran.out
    assert ran.err == ""


def test_predictions_hold_every_row_side_by_side(trained: Any) -> None:
    trained.done("test", *CONFIG)
    rows = lines(trained.runs()[0] / "test/predictions.jsonl")
    assert len(rows) == json.loads((trained.runs()[0] / "test/metrics.json").read_text())["n"]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["base"]["output"] is not None
        assert row["tuned"]["measures"].keys() == row["base"]["measures"].keys()
        assert row["reference"]
        assert row["prompt"][-1]["role"] == "user"


def test_a_corpus_metric_is_that_of_the_written_rows_and_can_be_bounded(trained: Any) -> None:
    added = ("--evaluators.bleu=BLEU", "--evaluators.chrf=ChrF", "--evaluators.read=Readability")
    ran = trained.done("test", *CONFIG, *added, "--success.bleu/bleu.at_least=101", code=3)
    assert "bleu/bleu" in ran.out
    run = trained.runs()[0]
    rows = lines(run / "test/predictions.jsonl")
    record = json.loads((run / "test/metrics.json").read_text())
    for model in ("base", "tuned"):
        outputs, references = [row[model]["output"] for row in rows], [[row["reference"] for row in rows]]
        found = {name: record["metrics"][name][model] for name in ("bleu/bleu", "chrf/chrf")}
        assert found["bleu/bleu"] == pytest.approx(sacrebleu.corpus_bleu(outputs, references, force=True).score)
        assert found["chrf/chrf"] == pytest.approx(sacrebleu.corpus_chrf(outputs, references).score)
    assert [verdict["met"] for verdict in record["verdicts"]] == [False]
    assert {"read/grade", "read/ease", "read/fog"} <= record["metrics"].keys()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("Readability", "{band: [9, 6]}", "Readability.band is [9.0, 6.0]; give two grades, the lower one first"),
        ("ChrF", "{word_order: -1}", "ChrF.word_order is -1; it is 0 for letters alone"),
        ("Classification", "{labels: [bill, Bill.]}", "Classification.labels is ['bill', 'Bill.']; give two or more"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "preview"])
def test_options_of_evaluators_that_cannot_be_are_refused_before_anything_runs(
    bench: Any, verb: str, name: str, options: str, said: str
) -> None:
    ran = bench.run(verb, *CONFIG, f"--evaluators.e={{class_path: {name}, init_args: {options}}}")
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not bench.runs()


def test_validate_measures_the_validation_split_and_decides_nothing(trained: Any) -> None:
    ran = trained.done("validate", *CONFIG, "--success.perplexity/perplexity.at_most=1")
    assert "success" not in ran.out
    run = trained.runs()[0]
    asked = {row["id"] for row in lines(run / "validate/predictions.jsonl")}
    trained.done("test", *CONFIG)
    assert asked.isdisjoint({row["id"] for row in lines(run / "test/predictions.jsonl")})


def test_a_chosen_checkpoint_is_measured(trained: Any) -> None:
    trained.done("test", *CONFIG)
    record = trained.runs()[0] / "test/metrics.json"
    best = json.loads(record.read_text())["metrics"]
    trained.done("test", *CONFIG, "--ckpt_path", "last")
    assert json.loads(record.read_text())["metrics"] == best
    wrong = trained.done("test", *CONFIG, "--ckpt_path", "worst.ckpt", code=2)
    assert "holds: best.ckpt, last.ckpt" in wrong.err


def test_predict_answers_a_prompt_with_base_and_tuned(trained: Any) -> None:
    ran = trained.done("predict", *CONFIG, "--prompt", "Report 5: the door is on.")
    labels = [line.split()[0] for line in ran.out.splitlines() if line.startswith(" ") and line.split()]
    assert labels[:3] == ["prompt", "base", "tuned"]


def test_predict_answers_rows_that_have_no_answer(trained: Any) -> None:
    asked = trained.folder / "asked.jsonl"
    asked.write_text("".join(json.dumps({"prompt": f"Report {i}: the fan is on."}) + "\n" for i in range(5)))
    ran = trained.done("predict", *CONFIG, "--input", "asked.jsonl", "--output", "out/answers.jsonl")
    answers = lines(trained.folder / "out/answers.jsonl")
    assert [row["prompt"][-1]["content"] for row in answers] == [f"Report {i}: the fan is on." for i in range(5)]
    assert all(row["reference"] == "" and "output" in row["tuned"] for row in answers)
    assert "out/answers.jsonl (5 rows)" in ran.out


def test_predict_says_which_rows_it_does_not_answer(trained: Any) -> None:
    rows = [{"prompt": f"Report {i}"} for i in range(29)] + [{"question": "?"}]
    (trained.folder / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = trained.done("predict", *CONFIG, "--input", "mixed.jsonl", "--output", "mixed-answers.jsonl")
    assert "1 rows of mixed.jsonl cannot be read" in ran.err
    assert len(lines(trained.folder / "mixed-answers.jsonl")) == 29


def test_predict_needs_no_training_data(trained: Any) -> None:
    rows = trained.folder / "rows.jsonl"
    rows.rename(trained.folder / "elsewhere.jsonl")
    try:
        ran = trained.done("predict", *CONFIG, "--prompt", "Report 5: the door is on.")
        assert "tuned" in ran.out
    finally:
        (trained.folder / "elsewhere.jsonl").rename(rows)


@pytest.mark.parametrize("words", [[], ["--prompt", "a", "--input", "b"], ["--prompt", " "], ["--input", "none.jsonl"]])
def test_predict_without_a_question_is_a_mistake(words: list[str], trained: Any) -> None:
    ran = trained.done("predict", *CONFIG, *words, code=2)
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) <= 2


INDOOR, OUTDOOR = ["lamp", "door", "fan", "bell"], ["gate", "pump", "valve", "belt"]


def audited(bench: Any, **more: Any) -> None:
    """A recipe in a folder of its own, with a lexicon beside it."""
    place = {"groups": {"indoor": INDOOR, "outdoor": OUTDOOR}, "compared": ["indoor", "outdoor"]}
    folder = bench.folder / "deep"
    folder.mkdir(exist_ok=True)
    (folder / "words.json").write_text(json.dumps({"categories": {"place": place}}))
    init = {"lexicon": "words.json", "categories": ["place"], "min_examples": 5}
    source = {"notes": {"path": "../rows.jsonl"}}
    audit = {"class_path": "Representation", "init_args": init}
    bench.write("deep/audited.yaml", audits={"balance": audit}, data={"sources": source}, **more)


def test_an_audit_of_the_data_needs_no_run(bench: Any) -> None:
    audited(bench)
    ran = bench.done("audit", "--config", "deep/audited.yaml")
    assert "audit balance: severity" in ran.out
    assert "indoor" in ran.out
    found = json.loads((bench.folder / "runs/audited/audit/findings.json").read_text())
    assert 0 <= found["balance"]["metrics"]["imbalance"] < 0.99


def test_a_missed_threshold_of_an_audit_is_exit_3(bench: Any) -> None:
    audited(bench)
    audited(bench, success={"balance/imbalance": {"between": [0.99, 1.0]}})
    ran = bench.done("audit", "--config", "deep/audited.yaml", code=3)
    assert "success: 1 of 1 not met" in ran.out


def test_an_audit_of_data_cannot_be_a_multiple_of_the_base(bench: Any) -> None:
    audited(bench)
    audited(bench, success={"balance/imbalance": {"at_most": 2.0, "of": "base"}})
    ran = bench.done("audit", "--config", "deep/audited.yaml", code=2)
    assert "audits the data, which is the same for both models" in ran.err


def test_a_place_for_answers_that_cannot_be_written_is_refused_before_a_model_is_asked(trained: Any) -> None:
    (trained.folder / "asked.jsonl").write_text('{"prompt": "Report 1: the lamp is on."}\n')
    words = ("predict", *CONFIG, "--input", "asked.jsonl", "--output")
    folder = trained.done(*words, ".", code=2)
    assert "--output . is a folder; name the file that the answers go to" in folder.err
    assert "answers" not in folder.out
    below = trained.done(*words, "asked.jsonl/answers.jsonl", code=2)
    assert below.err.splitlines()[-1].startswith("free that place, or choose another: ")
    assert "asked.jsonl" in below.err
    assert "Traceback" not in below.err


def test_preview_marks_the_trained_tokens_and_counts_the_steps(bench: Any) -> None:
    ran = bench.done("preview", *CONFIG, "--examples=1", "--trainer.max_steps=25")
    opened, closed = ran.out.index("⟦"), ran.out.index("⟧")
    assert ran.out[opened + 1 : closed].endswith("|<|end|>|")
    assert ran.out.count("ids ") == 1
    assert "train 30 rows" in ran.out
    assert "25 optimizer steps: 8 micro-batches an epoch, 1 a step" in ran.out
    assert "GiB" in ran.out
    assert ran.err == ""
    assert [path.name for path in bench.folder.glob("runs/tiny/*")] == ["cache"]


def test_preview_colours_the_trained_tokens_and_no_others(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.cli import preview

    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, color_system="standard", soft_wrap=True, highlight=False)
    monkeypatch.setattr(preview, "console", terminal)
    bench.done("preview", *CONFIG, "--examples=1", "--trainer.max_steps=1")
    coloured = "".join(re.findall(r"\x1b\[1;32m(.*?)\x1b\[0m", screen.getvalue()))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).replace("|", "")
    assert coloured.endswith("<|end|>")
    assert plain.strip().endswith(f"<assistant>{coloured}".replace("|", ""))
    assert "⟦" not in plain


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--success.exact/extra.at_least=1",), "success.exact/extra is not measured"),
        (("--generation.temperature=-1",), "temperature"),
        (("--model.optimizer.init_args.lr=-1",), "model.optimizer.init_args.lr is -1; AdamW takes 0.0 <= lr"),
        (("--trainer.accumulate_grad_batches=0",), "trainer.accumulate_grad_batches is 0; give a number above 0"),
        (("--trainer.gradient_clip_val=-1",), "; give 0 for none, or a number above 0"),
        (("--trainer.max_steps=0",), "trainer.max_steps is 0; give a number above 0"),
        (("--evaluators.c.class_path=CriticalErrors", "--evaluators.c.init_args.fields=[dose]"), "dose"),
    ],
)
def test_preview_refuses_what_fit_would_and_neither_leaves_a_run(bench: Any, words: Any, said: str) -> None:
    for verb in ("preview", "fit"):
        assert said in bench.done(verb, *CONFIG, *words, code=2).err
    assert [path.name for path in bench.folder.glob("runs/tiny/*/")] in ([], ["cache"])


def test_rows_without_the_column_that_keeps_rows_together_are_told(bench: Any) -> None:
    (bench.folder / "more.jsonl").write_text('{"prompt": "Who?", "completion": "Ann", "patient": "7"}\n')
    more = {"path": "more.jsonl", "formatter": "PromptCompletion"}
    bench.write(data={"sources": {"more": more}, "split": {"keep_together": "patient"}})
    assert "60 rows have no patient and are split one by one" in bench.done("preview", *CONFIG, "--examples=0").out


def test_preview_counts_each_source_in_each_split(bench: Any) -> None:
    rows = [{"prompt": f"Other {number}: a valve hums.", "completion": "valve hums"} for number in range(20)]
    (bench.folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = {"path": "more.jsonl", "formatter": "PromptCompletion"}
    bench.write(data={"sources": {"more": more}})
    out = bench.done("preview", *CONFIG, "--examples=0").out
    told = [line for line in out.splitlines() if re.search(r"(train|validation|test): \d", line)]
    assert len(told) == 3
    for source, expected in (("notes", 60), ("more", 20)):
        assert sum(int(n) for line in told for n in re.findall(rf"(\d+) {source}", line)) == expected


def test_prepare_writes_every_row_with_its_split(bench: Any) -> None:
    bench.done("prepare", *CONFIG)
    folder = bench.folder / "runs/tiny/data"
    split = {name: lines(folder / f"{name}.jsonl") for name in ("train", "validation", "test")}
    assert sum(map(len, split.values())) == 60
    assert split["train"][0]["messages"][-1]["role"] == "assistant"
    counts = json.loads((folder / "counts.json").read_text())
    assert counts["sources"]["notes"]["read"] == 60
