"""Stages: each is the recipe with its own overrides, and starts from the weights of the one before."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tunesmith.cli import stages
from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import compose

RECIPE = """
model: {base: ./base, adapter: LoRA, objective: NextToken}
data: {sources: {notes: {path: notes.jsonl, formatter: Auto}}}
evaluators: {rouge: ROUGE}
success: {rouge/rougeL: {at_least: 0.5}}
trainer: {max_epochs: 3}
stages:
  adapt:
    model: {adapter: Full}
    data: {sources: {notes: null, docs: {path: docs/*.txt, formatter: RawText}}}
    trainer: {max_epochs: 1}
  instruct: {}
"""


def composed(folder: Path, *overrides: str, stage: str | None = None, text: str = RECIPE) -> dict[str, Any]:
    (folder / "mine.yaml").write_text(text)
    return compose([str(folder / "mine.yaml")], overrides, stage).data


def test_a_stage_is_the_recipe_with_its_overrides_and_the_last_has_the_evidence(tmp_path: Path) -> None:
    last = composed(tmp_path)
    assert last == composed(tmp_path, stage="instruct")
    assert last["model"]["adapter"] == "LoRA"
    assert list(last["data"]["sources"]) == ["notes"]
    assert set(last) == {"model", "data", "evaluators", "success", "trainer"}
    first = composed(tmp_path, stage="adapt")
    assert first["model"] == {"base": str(tmp_path / "base"), "adapter": "Full", "objective": "NextToken"}
    assert first["data"]["sources"] == {"docs": {"path": str(tmp_path / "docs/*.txt"), "formatter": "RawText"}}
    assert set(first) == {"model", "data", "trainer"}
    assert first["trainer"] == {"max_epochs": 1}


def test_the_command_line_changes_all_stages_or_the_one_that_it_names(tmp_path: Path) -> None:
    words = ("--stages.adapt.trainer.max_epochs=9", "--trainer.max_epochs=2", "--success.rouge/rougeL.at_least=0.1")
    assert composed(tmp_path, *words, stage="adapt")["trainer"] == {"max_epochs": 9}
    last = composed(tmp_path, *words)
    assert last["trainer"] == {"max_epochs": 2}
    assert last["success"] == {"rouge/rougeL": {"at_least": 0.1}}


def test_an_overlay_changes_adds_and_removes_stages(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("stages: {adapt: {trainer: {max_steps: 5}}, instruct: null, polish: {}}")
    (tmp_path / "mine.yaml").write_text(RECIPE)
    configs = [str(tmp_path / name) for name in ("mine.yaml", "more.yaml")]
    recipe = compose(configs)
    assert (recipe.stages, recipe.stage) == (["adapt", "polish"], "polish")
    assert compose(configs, stage="adapt").data["trainer"] == {"max_epochs": 1, "max_steps": 5}
    (tmp_path / "more.yaml").write_text("stages: {adapt: null, instruct: null}")
    alone = compose(configs)
    assert alone.stages == []
    assert "stages" not in alone.data


@pytest.mark.parametrize(
    ("stages", "stage", "said"),
    [
        ("{a: {}, b: {}}", "c", "--stage c is no stage of this recipe; .*stages: a, b"),
        ("[a, b]", None, "stages is a map: the name of each stage"),
        ("{a: 3}", None, "stages.a is a map of what the stage changes"),
        ("{a/b: {}}", None, "stages.'a/b' is the name of a folder"),
        ("{a: {plugins: [x]}}", None, "stages.a.plugins holds for the whole recipe"),
        ("{a: {stages: {}}}", None, "stages.a.stages holds for the whole recipe"),
        ("{a: {}, b: {model: {base: x}}}", None, "stages.b.model.base: a stage starts from the weights of the one"),
        ("{a: {}, b: {model: {from_scratch: true}}}", None, "stages.b.model.from_scratch: only the first"),
        ("null", "a", "--stage a: this recipe has no stages"),
    ],
)
def test_stages_that_cannot_be_are_refused(tmp_path: Path, stages: str, stage: str | None, said: str) -> None:
    text = f"{RECIPE.partition('stages:')[0]}stages: {stages}\n"
    with pytest.raises(RecipeError, match=said):
        composed(tmp_path, stage=stage, text=text)


def two_stages(bench: Any, **changes: Any) -> None:
    (bench.folder / "docs.txt").write_text("".join(f"Pump {n} is of steel; it lifts {n} litres.\n" for n in range(24)))
    docs = {"path": "docs.txt", "formatter": "RawText"}
    bench.write(
        stages={
            "adapt": {
                "model": {"adapter": {"class_path": "Full"}, "optimizer": {"init_args": {"lr": 0.003}}},
                "data": {"sources": {"notes": None, "docs": docs}},
                "evaluators": {"perplexity": "Perplexity"},
            },
            "instruct": {},
        },
        **changes,
    )


CONFIG = ("--config", "tiny.yaml")


@pytest.fixture
def copied(apart: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the process of each stage is the copy of one that has loaded the libraries."""

    def run(words: Sequence[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert tuple(words[:3]) == stages._COMMAND
        ran: subprocess.CompletedProcess[str] = apart.command(*words[3:], cwd=Path.cwd())
        print(ran.stdout, end="")
        print(ran.stderr, end="", file=sys.stderr)
        return ran

    return lambda: monkeypatch.setattr(stages, "subprocess", SimpleNamespace(run=run))


@pytest.mark.slow
def test_one_fit_runs_all_stages_each_from_the_weights_before(bench: Any, copied: Callable[[], None]) -> None:
    two_stages(bench)
    bench.done("fit", *CONFIG)
    copied()
    (first,), (last,) = bench.runs("tiny/adapt"), bench.runs()
    # what the first stage trained is what the second started from
    merged, trained = load_file(first / "merged/model.safetensors"), load_file(first / "adapter/model.safetensors")
    assert merged.keys() == trained.keys()
    assert all(torch.equal(merged[name], trained[name]) for name in merged)
    base = load_file(Path(bench.recipe["model"]["base"]) / "model.safetensors")
    assert any(not torch.equal(base[name], merged[name]) for name in base)
    assert yaml.safe_load((last / "config.yaml").read_text())["model"]["base"] == str(first / "merged")
    assert not (last / "merged").exists()

    # `test` judges the last stage, and compares it with the pre-trained model
    bench.done("test", *CONFIG)
    told = json.loads((last / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    bench.write("plain.yaml")
    bench.done("fit", "--config", "plain.yaml")
    bench.done("test", "--config", "plain.yaml")
    (plain,) = bench.runs("plain")
    alone = json.loads((plain / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    assert told["base"] == pytest.approx(alone["base"], rel=1e-5)
    assert told["tuned"] != pytest.approx(alone["tuned"], rel=1e-3)
    assert f"run {first.relative_to(bench.folder)}" in bench.done("test", *CONFIG, "--stage", "adapt").out
    bench.done("test", "--config", str(last / "config.yaml"))

    # nothing is left to do; and what was left is gone on with, and nothing else
    out = bench.done("fit", *CONFIG, "--ckpt_path", "last").out
    assert "stage 1 of 2: adapt: " in out
    assert out.count(" is complete") == 2
    result = (last / "result.json").read_text()
    (last / "result.json").unlink()
    bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert json.loads((last / "result.json").read_text())["steps"] == json.loads(result)["steps"]
    assert len(bench.runs("tiny/adapt")) == len(bench.runs()) == 1
    # of a first stage that is newer, the second is not the successor
    bench.done("fit", *CONFIG, "--stage", "adapt")
    bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert len(bench.runs("tiny/adapt")) == len(bench.runs()) == 2
    newest = yaml.safe_load((bench.runs()[-1] / "config.yaml").read_text())["model"]["base"]
    assert newest == str(bench.runs("tiny/adapt")[-1] / "merged")


def test_a_stage_says_what_it_waits_for_and_what_it_cannot_hand_on(bench: Any) -> None:
    two_stages(bench)
    ran = bench.run("test", *CONFIG)
    assert ran.code == 2
    assert "there is no complete run of tiny/adapt" in ran.err
    ran = bench.run("fit", *CONFIG, "--stage", "instruct")
    assert ran.code == 2
    assert "there is no complete run of tiny/adapt" in ran.err
    bench.done("preview", *CONFIG)  # has the same shape as the recipe's base
    ran = bench.run("fit", *CONFIG, "--stage=adapt", "--stages.adapt.model.adapter=QLoRA")
    assert ran.code == 2
    assert "stage adapt is handed on to instruct as whole weights: model.adapter.init_args.merge_dtype" in ran.err
    ran = bench.run("recipes", "check", "tiny.yaml")
    assert ran.code == 0, ran.out + ran.err
    two_stages(bench, model={"optimizer": {"init_args": {"lr": "x"}}})
    ran = bench.run("recipes", "check", "tiny.yaml")
    assert ran.code == 2
    for words in (("--run", "runs/x"), ("--ckpt_path", "a.ckpt")):
        assert "is of one stage: name it too" in bench.run("fit", *CONFIG, *words).err
    two_stages(bench)
    assert "tiny.lock is not there" in bench.run("fit", *CONFIG, "--locked", "--stage=adapt").err


def test_the_key_that_differs_is_named_where_a_stage_was_trained_otherwise(bench: Any) -> None:
    two_stages(bench)
    bench.done("fit", *CONFIG, "--stage=adapt", "--trainer.max_steps=1")
    (first,) = bench.runs("tiny/adapt")
    ran = bench.run("fit", *CONFIG, "--stage=instruct")
    assert ran.code == 2
    assert "trainer.max_steps was 1 there and is 4 now" in ran.err
    shutil.rmtree(first / "merged")  # as where it was killed before it handed on
    ran = bench.run("fit", *CONFIG, "--stage=instruct", "--trainer.max_steps=1")
    assert ran.code == 2
    assert "instruct starts from the weights of adapt" in ran.err


@pytest.mark.slow
def test_a_run_left_inside_a_later_stage_goes_on_bit_for_bit(bench: Any) -> None:
    ordered = {"curriculum": {"by": "length", "epochs": 2}, "mixture": {"rows": 14}}
    two_stages(bench, model={"schedule": {"name": "constant"}}, data=ordered, trainer={"val_check_interval": 2})
    bench.done("fit", *CONFIG, "--stage=adapt", "--trainer.max_steps=8")
    (first,) = bench.runs("tiny/adapt")
    adapt = "--stages.adapt.trainer.max_steps=8"  # what the stage before was trained with
    run = bench.fit_whole_and_in_two_parts("tiny.yaml", "--stage=instruct", adapt)
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["base"] == str(first / "merged")


def test_what_no_stage_can_start_from_is_refused_before_any_trains(bench: Any) -> None:
    two_stages(bench)
    prompts = "--stages.adapt.model.adapter=PromptTuning"
    said = "stage adapt is handed on to instruct as whole weights: virtual tokens stand before each text"
    assert said in bench.done("fit", *CONFIG, prompts, code=2).err
    classes = "--stages.adapt.model.objective={class_path: Classification, init_args: {labels: [a, b]}}"
    said = "stages.instruct: model.objective NextToken needs a head for tokens, and the stage before, adapt, leaves one"
    for words in ((), ("--stage=instruct",)):
        assert said in bench.done("fit", *CONFIG, classes, "--stages.adapt.evaluators=null", *words, code=2).err
    assert not bench.runs("tiny/adapt")


LOCK = ("recipes", "lock", "tiny.yaml")


def test_a_lock_holds_all_stages(bench: Any, tiny_base: Path) -> None:
    two_stages(bench)
    bench.done(*LOCK)
    text = (bench.folder / "tiny.lock").read_text()
    told = yaml.safe_load(text)
    assert told["stages"] == ["adapt", "instruct"]
    assert {stage: sorted(of) for stage, of in told["data"].items()} == {"adapt": ["docs"], "instruct": ["notes"]}
    assert sum(split["count"] for split in told["rows"]["adapt"].values()) == 24
    assert sum(split["count"] for split in told["rows"]["instruct"].values()) == 60
    # the second starts from what the first trained, which is no part of the recipe
    assert list(told["base"]["adapt"]) == ["revision"]
    assert told["base"]["instruct"] == {}
    assert "base" not in told["configuration"]["instruct"]["model"]
    assert str(bench.folder) not in text
    # a copy elsewhere is the same recipe
    bench.done("recipes", "cp", "tiny.yaml", "there.yaml")
    bench.done("recipes", "lock", "there.yaml", "--check")
    assert yaml.safe_load((bench.folder / "there.lock").read_text()) == told
    (bench.folder / "docs.txt").write_text((bench.folder / "docs.txt").read_text() + "One more.\n")
    assert "  stage adapt: data source docs: sha256:" in bench.done(*LOCK, "--check", code=2).err
    bench.write(stages={"instruct": {}})
    assert "  stages: adapt, instruct then, instruct now\n" in bench.done(*LOCK, "--check", code=2).err


@pytest.mark.slow
def test_a_locked_fit_holds_each_stage_and_the_weights_that_it_starts_from(
    bench: Any, copied: Callable[[], None]
) -> None:
    copied()
    two_stages(bench)
    bench.done(*LOCK)
    fit = ("fit", *CONFIG, "--locked")
    said = bench.done(*fit, "--stage=adapt", "--trainer.max_steps=1", code=2).err
    assert "  stage adapt: trainer.max_steps: 4 then, 1 now\n" in said
    assert "  lock        tiny.lock holds\n" in bench.done(*fit, "--stage=adapt").out
    assert "  lock        tiny.lock holds\n" in bench.done(*fit, "--stage=instruct").out
    (first,) = bench.runs("tiny/adapt")
    (bench.folder / "docs.txt").write_text((bench.folder / "docs.txt").read_text() + "One more.\n")
    bench.done(*fit, code=2)  # which begins with the first stage, in a process of its own
    bench.done(*LOCK)
    # the newest weights of the first stage are of other documents than the lock knows by now
    said = bench.done(*fit, "--stage=instruct", code=2).err
    assert f"  stage instruct: weights of stage adapt ({first.absolute()}), data source docs: sha256:" in said
