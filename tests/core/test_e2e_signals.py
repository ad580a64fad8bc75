"""What a shell, SLURM or systemd sends reaches every process of a run, those that make batches too."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch

CONFIG = ("--config", "tiny.yaml")
WORKERS = ("--data.workers=2", "--trainer.val_check_interval=3")
BOTH = ("--trainer.devices=2", "--trainer.strategy=ddp", "--data.max_tokens=90")


def until(true: Callable[[], Any], seconds: float = 180) -> bool:
    """Wait for something; whether it came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False


def is_empty(group: int) -> bool:
    """Whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "more"),
    [(signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGTERM, BOTH)],
    ids=["SIGTERM", "SIGINT", "SIGTERM to two"],
)
def test_a_signal_to_all_processes_of_a_run_lets_it_save(
    bench: Any, apart: Any, number: signal.Signals, more: tuple[str, ...]
) -> None:
    bench.write(model={"schedule": {"name": "constant", "warmup": 0}})
    process = apart.start("fit", *CONFIG, "--trainer.max_steps=4000", *WORKERS, *more, cwd=bench.folder)
    assert until(lambda: process.poll() is not None or list(bench.folder.glob("runs/*/*/checkpoints/last.ckpt")))
    time.sleep(0.3)  # into an epoch, whose workers run
    os.killpg(process.pid, number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number, out + err
    assert "Traceback" not in err
    assert "DataLoader worker" not in err
    (run,) = bench.runs()
    at = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert f"stopped by {number.name} after step {at};" in out
    assert not list((run / "checkpoints").glob(".*"))
    assert until(lambda: is_empty(process.pid), 20)
    if more:  # of two processes with workers, whose rows a token budget deals out
        words = ("fit", *CONFIG, *WORKERS, *more, f"--trainer.max_steps={at + 3}")
        for one in ((*words, "--run", str(run), "--ckpt_path", "last", "--relock"), words):
            process = apart.start(*one, cwd=bench.folder, ranks=2)
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, out + err
        (whole,) = set(bench.runs()) - {run}
        bench.assert_same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_trap_29_a_killed_run_leaves_no_worker_behind_and_resumes_exactly(bench: Any, apart: Any, method: str) -> None:
    bench.write(trainer={"max_steps": 12, "val_check_interval": 3}, data={"workers": 2})
    bench.done("fit", *CONFIG)
    (whole,) = bench.runs()
    process = apart.start("fit", *CONFIG, cwd=bench.folder, env={"START_METHOD": method})
    made = [process.poll, lambda: len(list(bench.folder.glob("runs/*/*/checkpoints/last.ckpt"))) > 1]
    assert until(lambda: any(ask() for ask in made))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert until(lambda: is_empty(process.pid), 20)
    (killed,) = set(bench.runs()) - {whole}
    assert not (killed / "result.json").exists()
    bench.done("fit", *CONFIG, "--ckpt_path", "last")
    bench.assert_same(killed, whole)


@pytest.mark.slow
def test_a_run_that_fails_in_mid_epoch_ends_with_its_workers(bench: Any, apart: Any) -> None:
    process = apart.start("fit", *CONFIG, *WORKERS, "--model.optimizer.init_args.lr=1e30", cwd=bench.folder)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2, out + err
    assert "no weight was changed by it" in err
    assert "Traceback" not in err
