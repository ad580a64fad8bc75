"""A `fit` that was stopped goes on as if nothing had happened; several processes train as one does."""

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.training import checkpoint
from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")
STEPS = 24


def slow_recipe(bench: Any, **trainer: Any) -> None:
    """Validation, and with it a checkpoint, in mid-epoch; a penalty makes every step a little longer."""
    bench.write(
        model={"regularizers": {"anchor": {"class_path": "KLToBase", "init_args": {"weight": 0.1}}}},
        trainer={"max_steps": STEPS, "val_check_interval": 3, **trainer},
    )


@pytest.mark.slow
def test_trap_27_a_fit_killed_in_mid_epoch_resumes_to_the_same_curve_and_adapter(bench: Any, apart: Any) -> None:
    slow_recipe(bench)
    bench.done("fit", *CONFIG)
    (whole,) = bench.runs()
    process = apart.start("fit", *CONFIG, cwd=bench.folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any((run / "checkpoints/last.ckpt").exists() for run in bench.runs() if run != whole):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = next(run for run in bench.runs() if run != whole)
    assert not (killed / "result.json").exists()
    at = torch.load(killed / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < at < STEPS
    ran = bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert f"{killed.relative_to(bench.folder)}, resumed from last.ckpt" in ran.out
    bench.assert_same(killed, whole)


def killed(bench: Any, patch: pytest.MonkeyPatch, saves: int) -> Path:
    """A run that dies as soon as it has saved so many times."""
    real, done, before = checkpoint.save, [], bench.runs()

    def save(trainer: Any, *targets: Path) -> None:
        real(trainer, *targets)
        done.append(targets)
        if len(done) == saves:
            raise SystemExit(1)

    with patch.context() as within:
        within.setattr(checkpoint, "save", save)
        bench.done("fit", *CONFIG, code=130)
    (run,) = set(bench.runs()) - set(before)
    return Path(run)


def test_a_family_that_lacks_a_gpus_kernels_says_so_in_whole_words_and_the_library_nothing(
    bench: Any, tiny_base: Path
) -> None:
    import transformers

    config = transformers.Qwen3NextConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        layer_types=["linear_attention", "full_attention"],
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    )
    base = bench.folder / "qwen3-next"
    with torch.random.fork_rng():
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(base)
    bench.write(model={"base": str(base)}, trainer={"max_steps": 1})
    bench.read()
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("transformers").addHandler(handler)
    type(transformers.utils.logging.get_logger()).warning_once.cache_clear()  # it says them once a process
    try:
        ran = bench.done("fit", *CONFIG)
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert not heard
    assert ran.err == ""
    why = (
        "layout padded: Qwen3NextForCausalLM does not run packed documents (`chunk_gated_delta_rule` can't keep packed "
        "sequences apart without `flash-linear-attention`. Install `flash-linear-attention` to train on packed "
        "sequences)"
    )
    assert why in " ".join(ran.out.split())


def test_a_padded_family_says_why_and_is_resumed_exactly(
    bench: Any, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    config = transformers.StableLmConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    base = bench.folder / "stablelm"
    with torch.random.fork_rng():
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(base)
    bench.write(model={"base": str(base)}, trainer={"max_steps": 9, "val_check_interval": 3})
    said = " ".join(bench.done("fit", *CONFIG).out.split())
    assert said.count(" layout padded: StableLmForCausalLM does not run packed documents (") == 1
    (whole,) = bench.runs()
    again = killed(bench, monkeypatch, 2)
    bench.done("fit", *CONFIG, "--ckpt_path", str(again / "checkpoints/last.ckpt"))
    bench.assert_same(again, whole)


@pytest.mark.parametrize(
    ("file", "workers"),
    [
        ("checkpoints/.last.ckpt.part", 0),
        ("checkpoints/.last.ckpt.part", 2),
        ("metrics.csv", 0),
        ("adapter/adapter_config.json", 0),
    ],
)
def test_a_full_disk_is_said_in_a_few_lines_and_the_run_goes_on_when_there_is_room(
    bench: Any, monkeypatch: pytest.MonkeyPatch, file: str, workers: int
) -> None:
    bench.recipe["data"]["workers"] = workers
    slow_recipe(bench, max_steps=9)
    bench.done("fit", *CONFIG)
    (whole,) = bench.runs()
    real, done = checkpoint.save, []

    def save(trainer: Any, *targets: Path) -> None:
        if done:
            full = targets[-1].parents[1] / file
            full.parent.mkdir(exist_ok=True)
            full.unlink(missing_ok=True)
            full.symlink_to("/dev/full")
        real(trainer, *targets)
        done.append(targets)

    rows = bench.curve(whole)
    with monkeypatch.context() as within:
        within.setattr(checkpoint, "save", save)
        ran = bench.done("fit", *CONFIG, code=2)
    (full,) = set(bench.runs()) - {whole}
    assert "No space left on device" in ran.err
    assert "Traceback" not in ran.err
    assert not (full / "result.json").exists()
    if file == "metrics.csv":
        (full / file).unlink()
        (full / file).write_text((whole / file).read_text())
    else:
        where, kept = ran.err.splitlines()[-2:]
        assert "could not be written: " in where
        assert str(Path(file).parent) in where
        go_on = "make room, then go on with: lightning-cli fit --config tiny.yaml --ckpt_path last"
        assert kept == f"{(full / 'checkpoints/last.ckpt').relative_to(bench.folder)} is whole; {go_on}"
        (full / file).unlink(missing_ok=True)
        assert not list((full / "checkpoints").glob(".*"))
    bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert bench.curve(full) == rows
    bench.assert_same(full, whole)


def test_a_full_disk_at_the_first_save_says_that_nothing_was_kept(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint.save

    def save(trainer: Any, *targets: Path) -> None:
        targets[-1].parent.mkdir(parents=True, exist_ok=True)
        targets[-1].with_name(f".{targets[-1].name}.part").symlink_to("/dev/full")
        real(trainer, *targets)

    monkeypatch.setattr(checkpoint, "save", save)
    ran = bench.done("fit", *CONFIG, code=2)
    said = "the run has no checkpoint yet; make room, then go on with: lightning-cli fit --config tiny.yaml"
    assert ran.err.splitlines()[-1] == said


# a gain that small steps near the end cannot make, whatever they are rounded to
STOP_EARLY = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1, "min_delta": 0.05}}
HIGH = {"optimizer": {"init_args": {"lr": 0.1}}}


def test_a_run_that_was_left_at_an_epochs_last_step_tells_of_the_next_epoch_alone(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(
        model={"schedule": {"name": "constant", "warmup": 0}}, trainer={"max_steps": 12, "val_check_interval": 3}
    )
    bench.done("fit", *CONFIG)
    (whole,) = bench.runs()
    assert json.loads((whole / "result.json").read_text())["epochs"] == 2
    real = Specialist.training_step

    def stopping(self: Specialist, batch: Any, index: int) -> Any:
        if index == 7:
            signal.raise_signal(signal.SIGTERM)
        return real(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Specialist, "training_step", stopping)
        bench.done("fit", *CONFIG, code=143)
    (left,) = set(bench.runs()) - {whole}
    assert torch.load(left / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 8
    bench.done("fit", *CONFIG, "--ckpt_path", "last", "--run", str(left))
    bench.assert_same(left, whole)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", [{"max_steps": None, "max_epochs": 30}, {"val_check_interval": 3}], ids=str)
def test_a_run_that_stops_early_is_resumed_to_the_same_stop(
    bench: Any, monkeypatch: pytest.MonkeyPatch, trainer: dict[str, Any]
) -> None:
    bench.write(trainer={"max_steps": 100, **trainer, "callbacks": [STOP_EARLY]}, model=HIGH)
    said = bench.done("fit", *CONFIG).out
    (whole,) = bench.runs()
    steps = json.loads((whole / "result.json").read_text())["steps"]
    assert f"stopped early at step {steps} of " in said
    assert "EarlyStopping: val/loss did not improve the last time" in said
    validations = len(json.loads((whole / "result.json").read_text())["validation_loss"]) - 1
    for saves in (1, validations):  # the last of them is made after the decision to stop
        for name in ("last", "best"):
            run = killed(bench, monkeypatch, saves)
            bench.done("fit", *CONFIG, "--ckpt_path", str(run / f"checkpoints/{name}.ckpt"))
            bench.assert_same(run, whole)


def test_a_run_that_stopped_early_goes_on_with_more_patience(bench: Any) -> None:
    bench.write(trainer={"max_steps": 60, "callbacks": [STOP_EARLY]}, model=HIGH)
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    before = json.loads((run / "result.json").read_text())["steps"]
    patient = {**STOP_EARLY, "init_args": {"monitor": "val/loss", "patience": 100}}
    bench.write(trainer={"max_steps": 60, "callbacks": [patient]}, model=HIGH)
    ran = bench.done("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last")
    assert before < json.loads((run / "result.json").read_text())["steps"] == 60
    assert "stopped early" not in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_fit_saves_and_says_how_to_go_on(bench: Any, apart: Any, number: signal.Signals) -> None:
    slow_recipe(bench, max_steps=4000)
    process = apart.start("fit", *CONFIG, cwd=bench.folder)
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline and process.poll() is None and not list(bench.folder.glob("runs/*/*/checkpoints/*"))
    ):
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, out + err
    assert f"stopped by {number.name} after step " in out
    assert out.splitlines()[-1] == "go on with: lightning-cli fit --config tiny.yaml --ckpt_path last"
    assert "Traceback" not in err
    (run,) = bench.runs()
    at = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert f"after step {at};" in out


def test_a_finished_run_can_be_resumed_with_more_epochs(bench: Any) -> None:
    bench.write(trainer={"max_steps": None, "max_epochs": 1})
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    before = bench.curve(run)
    ran = bench.done("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_epochs=2")
    assert "warning: this run goes on with another recipe: trainer.max_epochs was 1, is 2" in ran.err
    assert bench.curve(run)[: len(before)] == before
    assert json.loads((run / "result.json").read_text())["epochs"] == 2
    bench.done("test", *CONFIG, "--trainer.max_epochs=2")


def test_a_checkpoint_can_be_named(bench: Any) -> None:
    slow_recipe(bench, max_steps=6)
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    ran = bench.done("fit", *CONFIG, "--ckpt_path", str(run / "checkpoints/best.ckpt"))
    assert "resumed from best.ckpt" in ran.out
    stray = bench.folder / "stray.ckpt"
    stray.write_bytes(b"")
    wrong = bench.done("fit", *CONFIG, "--ckpt_path", str(stray), code=2)
    assert "does not lie in a run directory" in wrong.err


@pytest.mark.slow
def test_of_two_processes_one_says_that_the_loss_is_no_number(bench: Any, apart: Any) -> None:
    two = ("--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp")
    process = apart.start("fit", *CONFIG, "--model.optimizer.init_args.lr=1e30", *two, cwd=bench.folder, ranks=2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert err.count("no weight was changed by it") == 1, err
    assert "Traceback" not in err


@pytest.mark.slow
def test_trap_02_two_processes_train_as_one_does(bench: Any, apart: Any) -> None:
    pytest.importorskip("torch.distributed")
    # not Adam, which divides a gradient that is nearly 0 by its own size: a rounding in the seventh digit would show
    plain = ("--trainer.max_steps=8", "--model.optimizer={class_path: torch.optim.SGD, init_args: {lr: 0.5}}")
    bench.done("fit", *CONFIG, "--data.batch_size=8", *plain)
    (one,) = bench.runs()
    ranks = ("--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp")
    words = ("fit", *CONFIG, "--data.batch_size=4", *plain, *ranks)
    process = apart.start(*words, cwd=bench.folder, ranks=2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    (two,) = (run for run in bench.runs() if run != one)
    assert out.count("fit tiny\n") == 1
    assert out.count("validation loss ") == 1
    assert "2 x cpu" in out
    theirs = bench.adapter(two)
    for name, tensor in bench.adapter(one).items():
        np.testing.assert_allclose(theirs[name], tensor, rtol=1e-5, atol=1e-7)
    losses = [[float(row["loss"]) for row in bench.curve(run) if row["loss"]] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_second_interrupt_stops_at_once_and_says_how_to_go_on(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch import Trainer

    def stopped(*_: Any, **__: Any) -> None:
        sys.exit(1)  # as Lightning does after KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", stopped)
    ran = bench.done("fit", *CONFIG, code=130)
    assert "lightning-cli fit --config tiny.yaml --ckpt_path=last" in ran.err


def test_a_run_goes_on_in_the_number_format_that_auto_chose_at_its_begin(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(model={"precision": "auto"}, trainer={"max_steps": 1})
    assert "fp32 (chosen: the processor has no AMX)" in bench.done("fit", *CONFIG).out
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)  # another machine
    again = ("fit", *CONFIG, "--trainer.max_steps=2", "--ckpt_path=last", f"--run={bench.runs()[0]}")
    said = bench.done(*again, code=2).err
    assert "number format model.precision is not what" in said
    assert "fp32 then, bf16 now" in said
    assert "bf16 (chosen: the processor has AMX)" in bench.done(*again, "--relock").out
