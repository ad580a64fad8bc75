"""`fit` on two processes with weights in shards, by the key `trainer.strategy` alone, and on two nodes by torchrun."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

CONFIG = ("--config", "tiny.yaml")
OVERLAY = Path(__file__).parents[2] / "recipes/overlays/multi-node.yaml"
# not Adam, which divides a gradient that is nearly 0 by its own size
PLAIN = ("--trainer.max_steps=8", "--model.optimizer={class_path: torch.optim.SGD, init_args: {lr: 0.5}}")
RANKS = (*PLAIN, "--data.batch_size=4", "--trainer.devices=2")
ONE_FILE = "{class_path: ModelParallelStrategy, init_args: {save_distributed_checkpoint: false}}"


# Asks one of the processes to stop, in the window of one step; a penalty of nothing.
TRIP = """
import os, signal
from tunesmith import Forward, Regularizer, Term

class Trip(Regularizer):
    calls = 0

    def penalty(self, forward: Forward) -> Term:
        self.calls += 1
        if os.environ.get("TRIP") == f"{os.environ.get('LOCAL_RANK', '0')}:{self.calls}":
            os.kill(os.getpid(), signal.SIGTERM)
        return Term(forward.hidden.new_zeros(()), "step")
"""


WIDE = {"COLUMNS": "200"}


def torchrun(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The program in a process of its own, and those that it starts."""
    scripts = Path(sys.executable).parent
    environment = {**os.environ, **WIDE, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("TUNESMITH_RUN_DIRECTORY", None)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(scripts / "torchrun"), *words], cwd=folder, env=environment, **pipes)


def done(process: Any, code: int = 0) -> str:
    out, err = process.communicate(timeout=400)
    assert process.returncode == code, out + err[-6000:]
    return str(out if code == 0 else err)


def new_run(bench: Any, before: list[Path]) -> Path:
    (run,) = set(bench.runs()) - set(before)
    return Path(run)


def one_process(bench: Any, **changes: Any) -> Path:
    bench.write(trainer={"val_check_interval": 3, "gradient_clip_val": 0.5}, **changes)
    bench.done("fit", *CONFIG, *PLAIN, "--data.batch_size=8")
    (run,) = bench.runs()
    return Path(run)


def close(run: Path, other: Path) -> None:
    theirs, ours = (load_file(r / "adapter/adapter_model.safetensors") for r in (run, other))
    assert theirs.keys() == ours.keys()
    for name, tensor in ours.items():
        np.testing.assert_allclose(theirs[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_fit_in_shards_is_stopped_resumed_and_ends_with_the_adapter_of_one_process(bench: Any, apart: Any) -> None:
    one = one_process(bench)
    (bench.folder / "trip.py").write_text(TRIP)
    bench.recipe["model"]["regularizers"] = {"trip": "Trip"}
    bench.write(trainer={"val_check_interval": 3, "gradient_clip_val": 0.5})
    sharded = ("--plugin", "trip.py", *RANKS, "--trainer.strategy=ModelParallelStrategy")
    # Lightning starts the second process of this one itself
    stopped = apart.start("fit", *CONFIG, *sharded, cwd=bench.folder, env={**WIDE, "TRIP": "1:5"})
    out, err = stopped.communicate(timeout=400)
    assert stopped.returncode == 128 + signal.SIGTERM, out + err[-6000:]
    assert "2 x cpu, 1 thread, weights in shards" in out
    assert out.count("stopped by ") == 1
    assert "a signal to another process after step 5; saved " in out
    assert "Traceback" not in err
    two = new_run(bench, [one])
    assert torch.load(two / "checkpoints/last.ckpt/meta.pt", weights_only=True)["global_step"] == 5
    place: dict[str, Any] = {"cwd": bench.folder, "env": WIDE, "ranks": 2}
    out = done(apart.start("fit", *CONFIG, *sharded, "--ckpt_path", "last", **place))
    assert f"{two.relative_to(bench.folder)}, resumed from last.ckpt" in out
    assert out.count("validation loss ") == 1
    close(two, one)
    losses = [[float(row["loss"]) for row in bench.curve(run) if row["loss"]] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert (two / "checkpoints/best.ckpt/shard-1.pt").is_file()
    bench.done("predict", *CONFIG, *sharded, "--prompt", "Report 3: the lamp is on.")

    import peft
    import transformers

    base = transformers.AutoModelForCausalLM.from_pretrained(bench.recipe["model"]["base"])
    plain = peft.PeftModel.from_pretrained(base, two / "adapter")
    held = peft.get_peft_model_state_dict(plain)
    assert all(
        torch.equal(held[name], tensor) for name, tensor in load_file(two / "adapter/adapter_model.safetensors").items()
    )

    on = ("--run", str(two), "--ckpt_path", "last", "--trainer.max_steps=10", "--trainer.strategy=ddp")
    assert "fsdp2 alone can read" in done(apart.start("fit", *CONFIG, *sharded, *on, **place), code=2)


@pytest.mark.slow
def test_full_weights_in_shards_are_saved_as_a_plain_model(bench: Any, apart: Any) -> None:
    import transformers

    one = one_process(bench, model={"adapter": "Full"})
    done(apart.start("fit", *CONFIG, *RANKS, f"--trainer.strategy={ONE_FILE}", cwd=bench.folder, ranks=2))
    two = new_run(bench, [one])
    assert (two / "checkpoints/last.ckpt").is_file()
    ours, theirs = (transformers.AutoModelForCausalLM.from_pretrained(r / "adapter") for r in (one, two))
    assert type(theirs) is type(ours)
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(theirs.state_dict()[name], tensor, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_nodes_started_by_torchrun_train_as_one_process_does(bench: Any) -> None:
    one = one_process(bench)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = []
    for node in (0, 1):
        place = ("--nnodes=2", f"--node-rank={node}", "--master-addr=127.0.0.1", f"--master-port={port}")
        fit = ("--no-python", "lightning-cli", "fit", *CONFIG, "--config", str(OVERLAY))
        words = (*place, "--nproc-per-node=1", *fit, *PLAIN, "--data.batch_size=4")
        nodes.append(torchrun(bench.folder, *words))
    first, second = (done(node) for node in nodes)
    assert first.count("validation loss ") == 1
    assert not second
    two = new_run(bench, [one])
    close(two, one)
    shards = sorted(path.name for path in (two / "checkpoints/last.ckpt").iterdir())
    assert shards == ["meta.pt", "shard-0.pt", "shard-1.pt"]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("fsdp", "use fsdp2"),
        ("FSDPStrategy", "use fsdp2"),
        ("fspd2", "did you mean fsdp2?"),
        ("{class_path: ModelParallelStrategy, init_args: {tensor_parallel_size: 2}}", "tensor_parallel_size is 2"),
        ("{class_path: ModelParallelStrategy, init_args: {data_parallel_size: 3}}", "data_parallel_size is 3"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused(bench: Any, strategy: str, said: str) -> None:
    ran = bench.done("fit", *CONFIG, f"--trainer.strategy={strategy}", "--trainer.devices=1", code=2)
    assert "trainer.strategy" in ran.err
    assert said in ran.err


def test_the_overlay_fits_every_recipe_that_comes_along(bench: Any) -> None:
    recipes = [str(path) for path in sorted(OVERLAY.parents[1].glob("*.yaml"))]
    bench.done("recipes", "check", *recipes, "--overlay", str(OVERLAY))


@pytest.mark.slow
def test_no_process_waits_for_a_tower_that_no_text_reaches(bench: Any, apart: Any) -> None:
    import transformers

    vision = {"model_type": "siglip_vision_model", "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"hidden_size": 32, "intermediate_size": 32, "image_size": 28, "patch_size": 14}
    text = {"vocab_size": 4096, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
    config = transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=4001
    )
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(bench.folder / "tower")
    transformers.AutoTokenizer.from_pretrained(bench.recipe["model"]["base"]).save_pretrained(bench.folder / "tower")
    bench.recipe["model"]["base"] = "./tower"
    bench.write()
    one = one_process(bench)
    both = apart.start("fit", *CONFIG, *RANKS, "--trainer.strategy=ddp", cwd=bench.folder, env=WIDE, ranks=2)
    said = "no text reaches model.vision_tower, model.multi_modal_projector: left as they are in the base"
    assert said in done(both)
    two = new_run(bench, [one])
    close(two, one)
    assert not [name for name in load_file(two / "adapter/adapter_model.safetensors") if "vision_tower" in name]
