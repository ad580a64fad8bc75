"""`fit`, through the command: what it says, what it leaves behind, and which of Lightning's options it honours."""

import csv
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tunesmith.recipe.trust import FAMILIES

CONFIG = ("--config", "tiny.yaml")


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def test_a_fit_opens_with_what_was_chosen_and_ends_with_how_it_went(bench: Any) -> None:
    ran = bench.done("fit", *CONFIG)
    lines = ran.out.splitlines()
    assert lines[0] == "fit tiny"
    facts = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert facts == ["base", "data", "trains", "layout", "precision", "kernels", "device", "run", "report"]
    assert "train 30 rows" in ran.out
    assert "LoRA: 8,192 of 606,528 parameters (1.35%)" in ran.out
    assert any(line.startswith("validation loss ") and "step 4 is kept" in line for line in lines)
    assert lines[-1] == "next: lightning-cli test --config tiny.yaml"
    assert ran.err == ""


def test_without_a_terminal_progress_is_about_ten_plain_lines(bench: Any) -> None:
    ran = bench.done("fit", *CONFIG, "--trainer.max_steps=30")
    shown = [line for line in ran.out.splitlines() if line.startswith("step ")]
    assert 10 <= len(shown) <= 11
    assert all("loss" in line and "tokens/s" in line for line in shown)
    assert "left" in shown[0]
    assert "\x1b" not in ran.out
    assert max(map(len, shown)) <= 80


def test_a_run_directory_holds_all_that_the_run_produced(trained: Any) -> None:
    (run,) = trained.runs()
    there = {p.name for p in run.iterdir()}
    assert there >= {"config.yaml", "lock.json", "data.json", "result.json", "rejected.jsonl", "metrics.csv"}
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    names = {p.name for p in (run / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
    assert result(run)["complete"] is True
    lock = json.loads((run / "lock.json").read_text())
    assert lock["data"]["notes"].startswith("sha256:")
    assert next(iter(lock["base"].values())).startswith("sha256:")
    assert lock["plugins"].keys() == {"tunesmith"}
    assert {"torch", "lightning", "transformers", "peft", "python"} <= lock["packages"].keys()
    assert not list(trained.folder.glob("lightning_logs*"))


@pytest.mark.slow
def test_the_adapter_gives_the_same_logits_in_a_process_without_tunesmith(trained: Any, tmp_path: Path) -> None:
    from tunesmith.cli.arguments import parse
    from tunesmith.cli.evaluate import load_models
    from tunesmith.cli.quiet import quieten
    from tunesmith.cli.runs import Run
    from tunesmith.cli.trainer_cli import open_session, sections
    from tunesmith.training.attention import plain_attention

    (run,) = trained.runs()
    script = f"""
import sys
sys.modules["tunesmith"] = sys.modules["tunesmith_plugins"] = None
import numpy, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained({trained.recipe["model"]["base"]!r})
model = PeftModel.from_pretrained(model, {str(run / "adapter")!r}).eval()
tokenizer = AutoTokenizer.from_pretrained({str(run / "adapter")!r})
turns = [{{"role": "user", "content": "Report 1: the lamp is hot."}}]
ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
ids = ids["input_ids"]
numpy.savez({str(tmp_path / "theirs.npz")!r}, ids=ids.numpy(), logits=model(ids).logits.detach().numpy())
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    theirs = np.load(tmp_path / "theirs.npz")
    quieten()
    session = open_session(parse("test", list(CONFIG), list(sections())))
    load_models(session, Run(run))
    ids = torch.from_numpy(theirs["ids"])
    with plain_attention(session.model.network), torch.no_grad():
        ours = session.model.network(input_ids=ids).logits.numpy()
        with session.model.adapter.without(session.model.network):
            base = session.model.network(input_ids=ids).logits.numpy()
    np.testing.assert_allclose(ours, theirs["logits"], rtol=1e-5, atol=1e-5)
    assert np.abs(base - ours).max() > 0.01


def test_nan_stops_the_run_names_the_rows_and_leaves_no_complete_run(bench: Any) -> None:
    ran = bench.done("fit", *CONFIG, "--model.optimizer.init_args.lr=1e30", code=2)
    ids = {json.loads(line)["id"] for line in _prepared(bench)}
    first, second = ran.err.strip().splitlines()
    assert " at step " in first
    assert any(row in first for row in ids)
    assert "lower model.optimizer's lr" in second
    assert "Traceback" not in ran.err
    ran = bench.done("test", *CONFIG, "--model.optimizer.init_args.lr=1e30", code=2)
    assert "did not end and saved no checkpoint; train it again, without --ckpt_path" in ran.err


def test_last_is_the_newest_run_that_saved_a_checkpoint(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.training.ledger import Ledger

    ran = bench.done("fit", *CONFIG, "--ckpt_path", "last", code=2)
    assert "there is no run of tiny with a checkpoint below runs; train it first" in ran.err
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    (run / "result.json").unlink()  # as where it was killed
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "close", lambda *_: {"loss": float("nan")})
        bench.done("fit", *CONFIG, code=2)
    assert len(bench.runs()) == 2
    ran = bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert f"{run.relative_to(bench.folder)}, resumed from last.ckpt" in ran.out


def _prepared(bench: Any) -> list[str]:
    bench.done("prepare", *CONFIG)
    return (bench.folder / "runs/tiny/data/train.jsonl").read_text().splitlines()


def test_a_row_that_cannot_be_read_is_set_aside_counted_and_not_shown(bench: Any) -> None:
    with (bench.folder / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "Secret of Ms Miller"}\n')
    ran = bench.done("fit", *CONFIG)
    assert "notes: 1 of 61 rows set aside, see rejected.jsonl" in ran.out
    (run,) = bench.runs()
    (line,) = (run / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["line"] == 61
    assert json.loads(line)["field"] == "completion"
    assert "Miller" not in line
    bench.done("fit", *CONFIG, "--keep-rejected")
    assert "Miller" in (bench.runs()[-1] / "rejected.jsonl").read_text()


def test_early_stopping_ends_the_run_and_the_best_weights_are_saved(bench: Any) -> None:
    bench.write(
        trainer={
            "max_steps": None,
            "max_epochs": 30,
            "callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1}}],
        },
        model={"optimizer": {"init_args": {"lr": 0.1}}},
    )
    ran = bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    losses = result(run)["validation_loss"]
    assert result(run)["epochs"] < 30
    best = min(losses[1:], key=lambda point: point[1])
    assert best != losses[-1]
    assert f"step {best[0]} is kept" in ran.out
    kept = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert kept["global_step"] == best[0]
    saved = load_file(run / "adapter/adapter_model.safetensors")
    trained = {name.replace(".default.", ".").removeprefix("network."): t for name, t in kept["state_dict"].items()}
    assert saved.keys() == trained.keys()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in saved.items())


@pytest.mark.parametrize(("least", "steps"), [({}, 6), ({"min_steps": 11}, 11), ({"min_epochs": 2}, 16)])
def test_a_run_that_would_stop_early_is_as_long_as_it_has_to_be(bench: Any, least: dict[str, int], steps: int) -> None:
    stop = {"monitor": "val/loss", "patience": 1, "min_delta": 10.0}  # at the second validation
    callbacks = [{"class_path": "EarlyStopping", "init_args": stop}]
    bench.write(trainer={"max_steps": 30, "val_check_interval": 3, "callbacks": callbacks, **least})
    assert f"stopped early at step {steps} of 30: " in bench.done("fit", *CONFIG).out
    (run,) = bench.runs()
    assert result(run)["steps"] == steps


def test_a_validation_loss_is_shown_with_the_step_that_it_is_of(bench: Any) -> None:
    out = bench.done("fit", *CONFIG, "--trainer.max_steps=10", "--trainer.val_check_interval=4").out
    shown = [line for line in out.splitlines() if line.startswith("step ")]
    losses = dict(result(bench.runs()[0])["validation_loss"])
    assert [line.partition("  val/loss ")[2].split("  ")[0] for line in shown] == [
        *[""] * 4,
        *[f"{losses[4]:.3f} at 4"] * 4,
        *[f"{losses[8]:.3f} at 8"] * 2,
    ]


def test_the_time_that_a_run_is_given_ends_with_a_whole_step(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.callbacks import Timer

    real, batches = Timer.on_train_batch_end, []

    def on_train_batch_end(timer: Timer, *args: Any, **kwargs: Any) -> None:
        batches.append(args)
        real(timer, *args, **kwargs)

    monkeypatch.setattr(Timer, "on_train_batch_end", on_train_batch_end)
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: 1e9 if len(batches) >= 4 else 0.0)
    # the fourth micro-batch is the first of the second window of three
    limits = ("--trainer.max_time=00:01:00:00", "--trainer.accumulate_grad_batches=3", "--trainer.max_steps=50")
    ran = bench.done("fit", *CONFIG, *limits)
    (run,) = bench.runs()
    assert result(run)["steps"] == 2
    assert [step for step, _ in result(run)["validation_loss"]] == [0, 2]
    assert "stopped early at step 2 of 50: the time that the recipe gives it is over" in ran.out
    assert (run / "adapter/adapter_model.safetensors").is_file()


def test_a_time_between_validations_is_refused_where_steps_take_several_batches(bench: Any) -> None:
    interval = "--trainer.val_check_interval=00:00:00:01"
    ran = bench.done("fit", *CONFIG, interval, "--trainer.accumulate_grad_batches=2", code=2)
    assert ran.err.startswith("trainer.val_check_interval is 00:00:00:01")
    assert "a multiple of trainer.accumulate_grad_batches (2)" in ran.err
    assert not bench.runs()
    bench.done("fit", *CONFIG, interval)


def test_early_stopping_at_another_time_than_after_validation_is_refused(bench: Any) -> None:
    early = {"monitor": "val/loss", "check_on_train_epoch_end": True}
    bench.write(trainer={"callbacks": [{"class_path": "EarlyStopping", "init_args": early}]})
    bench.done("fit", *CONFIG)
    ran = bench.done("fit", *CONFIG, "--trainer.val_check_interval=2", code=2)
    assert "EarlyStopping.check_on_train_epoch_end is true" in ran.err


def test_the_step_that_is_said_to_be_kept_is_the_one_that_is_saved(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.training.specialist import Specialist

    real = Specialist.training_step

    def training_step(module: Specialist, *args: Any) -> Any:
        if module.global_step == 7:  # what was learnt is turned round, on any processor
            for name, parameter in module.named_parameters():
                if "lora_B" in name:
                    parameter.data *= -20
        return real(module, *args)

    monkeypatch.setattr(Specialist, "training_step", training_step)
    bench.write(trainer={"max_steps": 12, "val_check_interval": 2})
    for words in ((), ("--trainer.enable_checkpointing=false",), ("--trainer.num_sanity_val_steps=0",)):
        ran = bench.done("fit", *CONFIG, *words)
        run = bench.runs()[-1]
        losses = result(run)["validation_loss"]
        best = min((point for point in losses if point[0]), key=lambda point: point[1])[0]
        assert best != 12  # else the two could not be told apart
        if "false" in "".join(words):
            assert f"step 12 is kept, as no checkpoint holds step {best}" in ran.out
            continue
        assert f"step {best} is kept" in ran.out
        kept = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
        assert kept["global_step"] == best
        saved = load_file(run / "adapter/adapter_model.safetensors")
        assert all(
            torch.equal(saved[name.replace(".default.", ".").removeprefix("network.")], tensor)
            for name, tensor in kept["state_dict"].items()
        )
        first = f"validation loss {losses[0][1]:.3f}{' at step 2' if words else ''} -> {losses[-1][1]:.3f}"
        assert first in ran.out


def test_a_start_that_was_measured_on_a_few_batches_is_none(bench: Any) -> None:
    bench.write(data={"batch_size": 2})
    ran = bench.done("fit", *CONFIG, "--trainer.num_sanity_val_steps=1")
    assert [step for step, _ in result(bench.runs()[0])["validation_loss"]] == [4]
    assert "at step 4: measured once only" in ran.out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("step", [0, 4])
def test_a_validation_loss_that_is_no_number_stops_the_run(
    bench: Any, monkeypatch: pytest.MonkeyPatch, step: int, value: float
) -> None:
    from tunesmith.training.specialist import Specialist

    real = Specialist.validation_step

    def validation_step(module: Specialist, *args: Any) -> None:
        real(module, *args)
        if module.global_step >= step:
            module._validation[-1, 0] += value

    monkeypatch.setattr(Specialist, "validation_step", validation_step)
    ran = bench.done("fit", *CONFIG, "--trainer.val_check_interval=2", "--trainer.max_steps=6", code=2)
    first, second = ran.err.strip().splitlines()
    assert first == f"val/loss is {value} at step {step}: these weights are not saved"
    assert ("lower model.optimizer's lr" if step else "before any training") in second
    (run,) = bench.runs()
    assert not (run / "adapter").exists()
    for path in (run / "checkpoints").glob("*"):
        assert torch.load(path, weights_only=True)["global_step"] == 2
    assert (run / "checkpoints").exists() == (step > 0)


@pytest.mark.parametrize("logger", ["TensorBoardLogger", "CSVLogger"])
def test_a_logger_that_names_no_place_writes_into_the_run(bench: Any, logger: str) -> None:
    if logger == "TensorBoardLogger":
        pytest.importorskip("tensorboard")
    bench.done("fit", *CONFIG, f"--trainer.logger={logger}")
    (run,) = bench.runs()
    written = "events.out.tfevents.*" if logger == "TensorBoardLogger" else "metrics.csv"
    assert list((run / "lightning_logs").glob(f"version_0/{written}"))
    options = yaml.safe_load((run / "lightning_logs/version_0/hparams.yaml").read_text())
    assert options["model"]["adapter"]["init_args"]["rank"] == 4
    assert len(metrics(run)) >= 4
    assert {p.name for p in bench.folder.iterdir()} == {"rows.jsonl", "tiny.yaml", "runs"}
    bench.done("fit", "--config", str(run / "config.yaml"))
    (again,) = set(bench.runs()) - {run}
    assert list((again / "lightning_logs").glob(f"version_0/{written}"))
    assert not (run / "lightning_logs/version_1").exists()
    bench.write(trainer={"logger": [{"class_path": logger, "init_args": {"name": "mine"}}]})
    bench.done("fit", *CONFIG)
    assert (bench.runs()[-1] / "mine/version_0").is_dir()


class _Client:
    """Stands in for MLflow's, of which Lightning's logger only asks that it can be made."""

    def __init__(self, uri: str) -> None:
        self.uri = uri


def loggers(*words: str, run: Path) -> list[Any]:
    from tunesmith.cli.arguments import parse
    from tunesmith.cli.quiet import quieten
    from tunesmith.cli.trainer_cli import open_session, sections

    quieten()
    return open_session(parse("fit", [*CONFIG, *words], list(sections()))).loggers(run)


def test_mlflow_and_wandb_are_given_a_place_in_the_run_where_none_is_named(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning.pytorch.loggers import mlflow, wandb

    from tunesmith.cli import refusals

    monkeypatch.setattr(refusals, "find_spec", lambda _: True)
    monkeypatch.setattr(mlflow, "_MLFLOW_AVAILABLE", True)
    monkeypatch.setattr(wandb, "_WANDB_AVAILABLE", True)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.tracking", SimpleNamespace(MlflowClient=_Client))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = bench.folder / "run"
    (board,) = loggers("--trainer.logger=WandbLogger", run=run)
    assert board._wandb_init["dir"] == str(run)
    assert (board._wandb_init["project"], board._wandb_init["name"]) == (run.parent.name, "run")
    (board,) = loggers("--trainer.logger=MLFlowLogger", run=run)
    assert board._mlflow_client.uri == f"sqlite:///{run}/mlflow.db"
    assert board._artifact_location == f"file://{run}/mlflow"
    uri = "--trainer.logger.init_args.tracking_uri=http://127.0.0.1:5000"
    (board,) = loggers("--trainer.logger=MLFlowLogger", uri, run=run)
    assert board._mlflow_client.uri == "http://127.0.0.1:5000"
    (board,) = loggers("--trainer.logger=WandbLogger", "--trainer.logger.init_args.dir=logs", run=run)
    assert board._wandb_init["dir"] != str(run)
    (board,) = loggers("--trainer.logger=WandbLogger", "--trainer.logger.init_args.project=mine", run=run)
    assert (board._wandb_init["project"], board._wandb_init["name"]) == ("mine", None)


@pytest.mark.filterwarnings("ignore")  # what the service's own libraries deprecate
def test_mlflow_holds_the_curve_and_the_recipe(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    bench.done("fit", *CONFIG, "--trainer.logger=MLFlowLogger")
    (run,) = bench.runs()
    with closing(sqlite3.connect(run / "mlflow.db")) as board:
        losses = dict(board.execute("select step, value from metrics where key = 'loss'").fetchall())
        options = dict(board.execute("select key, value from params").fetchall())
        names = board.execute(
            "select experiments.name, runs.name from runs join experiments using (experiment_id)"
        ).fetchall()
    assert [losses[step] for step in sorted(losses)] == pytest.approx(
        [float(row["loss"]) for row in metrics(run) if row["loss"]]
    )
    assert names == [("tiny", run.name)]
    assert options["model/adapter/init_args/rank"] == "4"


@pytest.mark.filterwarnings("ignore")  # what the service's own libraries deprecate
def test_wandb_writes_into_the_run_when_it_is_offline(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    bench.done("fit", *CONFIG, "--trainer.logger=WandbLogger")
    (run,) = bench.runs()
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert {p.name for p in bench.folder.iterdir()} == {"rows.jsonl", "tiny.yaml", "runs"}


def test_a_logger_is_named_beside_metrics_csv(bench: Any) -> None:
    pytest.importorskip("tensorboard")
    bench.write(trainer={"logger": {"class_path": "TensorBoardLogger", "init_args": {"save_dir": "boards"}}})
    bench.done("fit", *CONFIG)
    assert list(bench.folder.glob("boards/**/events.out.tfevents.*"))
    assert len(metrics(bench.runs()[0])) >= 4


def test_without_a_logger_there_is_no_metrics_file(bench: Any) -> None:
    bench.done("fit", *CONFIG, "--trainer.logger=false")
    assert not (bench.runs()[0] / "metrics.csv").exists()


def test_steps_are_optimizer_steps_whatever_the_accumulation(bench: Any) -> None:
    bench.done("fit", *CONFIG, "--trainer.accumulate_grad_batches=2", "--trainer.max_steps=7")
    run = bench.runs()[0]
    assert result(run)["steps"] == 7
    assert sum(row["loss"] != "" for row in metrics(run)) == 7
    assert result(run)["validation_loss"][-1][0] == 7


def test_the_loss_does_not_depend_on_how_a_step_is_cut(bench: Any) -> None:
    bench.done("fit", *CONFIG, "--data.batch_size=8")
    bench.done("fit", *CONFIG, "--data.batch_size=2", "--trainer.accumulate_grad_batches=4")
    whole, cut = ([float(row["loss"]) for row in metrics(run) if row["loss"]] for run in sorted(bench.runs(), key=str))
    np.testing.assert_allclose(whole, cut, rtol=1e-5)


def test_a_fast_run_tries_everything_once(bench: Any) -> None:
    bench.done("fit", *CONFIG, "--trainer.fast_dev_run=true")
    assert result(bench.runs()[0])["steps"] == 1


def test_a_recipes_own_checkpoint_callback_works_beside_ours(bench: Any) -> None:
    own = {"dirpath": "mine", "every_n_train_steps": 2, "save_top_k": -1}
    bench.write(trainer={"callbacks": [{"class_path": "ModelCheckpoint", "init_args": own}]})
    bench.done("fit", *CONFIG)
    assert len(list((bench.folder / "mine").glob("*.ckpt"))) == 2
    assert {p.name for p in (bench.runs()[0] / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}


def test_full_training_is_compared_with_a_frozen_copy_of_the_base(bench: Any) -> None:
    bench.write(model={"adapter": "Full", "optimizer": {"init_args": {"lr": 0.003}}})
    ran = bench.done("fit", *CONFIG)
    assert "Full: 598,336 of 598,336 parameters (100.00%)" in ran.out
    bench.done("test", *CONFIG)
    found = json.loads((bench.runs()[0] / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    assert found["tuned"] < 0.9 * found["base"]


@pytest.mark.slow
def test_trap_15_a_learning_rate_of_0_and_permuted_references_end_in_exit_3_and_training_in_0(bench: Any) -> None:
    states = {"is on": "yes", "is off": "no", "is hot": "warm", "is cold": "chill"}
    rows = [
        {"prompt": f"the {thing} {state} {number}", "completion": states[state]}
        for number in range(8)
        for thing in ("lamp", "door", "pump", "fan", "gate")
        for state in states
    ]
    answers = [row["completion"] for row in rows]
    permuted = [{**row, "completion": answers[(7 * i + i // 4) % len(rows)]} for i, row in enumerate(rows)]
    for name, content in (("rows", rows), ("permuted", permuted)):
        (bench.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    bench.write(
        model={"adapter": "Full", "optimizer": {"init_args": {"lr": 0.003}}},
        data={"batch_size": 16},
        success={"exact/exact_match": {"at_least": 0.8}},
        trainer={"max_steps": 60},
    )
    for change, code in (
        ("--trainer.max_steps=60", 0),
        ("--model.optimizer.init_args.lr=0", 3),
        ("--data.sources.notes.path=permuted.jsonl", 3),
    ):
        bench.done("fit", *CONFIG, change)
        ran = bench.done("test", *CONFIG, change, code=code)
        assert ("success: all 1 met" if code == 0 else "success: 1 of 1 not met") in ran.out


def test_the_written_config_is_the_resolved_recipe(trained: Any) -> None:
    written = yaml.safe_load((trained.runs()[0] / "config.yaml").read_text())
    assert written["model"]["adapter"]["init_args"]["rank"] == 4
    assert written["data"]["sources"]["notes"]["path"] == str(trained.folder / "rows.jsonl")
    assert "config" not in written


def test_a_recipe_without_validation_rows_trains_and_says_so(bench: Any) -> None:
    split = ("--data.split.validation=0", "--data.split.train=0.8")
    ran = bench.done("fit", *CONFIG, *split)
    assert "validation no rows" in ran.out
    assert "no validation rows: whether the model overfits cannot be told" in ran.out
    callback = "--trainer.callbacks=[{class_path: EarlyStopping, init_args: {monitor: val/loss}}]"
    ran = bench.done("fit", *CONFIG, *split, callback, code=2)
    assert "monitors val/loss, which is not logged: there are no validation rows" in ran.err


ENDS_NOW = {"duration": "00:00:00:00", "interval": "step"}


# By name: its options, and what is in the output, among the columns of metrics.csv, or a file.
EFFECTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "DeviceStatsMonitor": ({"cpu_stats": True}, "", "DeviceStatsMonitor.on_train_batch_start/cpu_percent", ""),
    "EMA": ({"decay": 0.5}, "EMA", "", ""),
    "EarlyStopping": ({"monitor": "val/loss", "stopping_threshold": 99.0}, "reached 99", "", ""),
    "LearningRateMonitor": ({}, "", "lr-AdamW", ""),
    "ModelCheckpoint": ({"dirpath": "mine", "every_n_train_steps": 2}, "", "", "mine/*.ckpt"),
    "SWA": ({}, "SWA", "", ""),
    "RichModelSummary": ({}, "Non-trainable params", "", ""),
    "RichProgressBar": ({}, "it/s", "", ""),
    "TQDMProgressBar": ({}, "it/s", "", ""),
    "Timer": (ENDS_NOW, "measured once only", "", ""),
}


@pytest.mark.parametrize("name", FAMILIES["Callback"].names)
def test_trap_39_every_callback_on_the_list_has_an_effect(bench: Any, name: str) -> None:
    options, shown, logged, left = EFFECTS[name]
    bench.write(trainer={"callbacks": [{"class_path": name, "init_args": options}], "val_check_interval": 2})
    ran = bench.done("fit", *CONFIG)
    assert shown in ran.out
    assert not logged or logged in bench.curve(bench.runs()[0])[0]
    assert not left or list(bench.folder.glob(left))


def test_the_training_loss_is_the_mean_of_the_last_epochs_own_steps(bench: Any) -> None:
    words = ("--trainer.max_steps=-1", "--trainer.max_epochs=2", "--trainer.accumulate_grad_batches=3")
    bench.done("fit", "--config", "tiny.yaml", *words)
    (run,) = bench.runs()
    losses = [float(row["loss"]) for row in bench.curve(run) if row["loss"]]
    assert len(losses) == 6
    assert json.loads((run / "result.json").read_text())["train_loss"] == pytest.approx(sum(losses[3:]) / 3)
