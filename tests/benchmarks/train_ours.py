"""tunesmith's sides of train.py: `python train_ours.py TASK`. The last line printed is the meter's result as JSON.

`fit` is Trainer, callbacks and loader as the command puts them together; where layers are compiled, that happens before
the clock starts, and how long it takes is printed. `loop` is the same model, passes, loss,
optimizer, clipping and batches in a loop written by hand: what the one takes more is Lightning.
"""

import json
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from train_meter import Meter

from tunesmith.cli.curve import Curve
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.cli.progress import TrainingProgress
from tunesmith.cli.quiet import quieten
from tunesmith.data.batch import Batch
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training.checkpoint import StepCheckpoint
from tunesmith.training.compiling import compile_layers, trial
from tunesmith.training.optimizer import build, parameter_groups
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith.training.stopping import Stopping
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken

CLIP = 1.0
Task = dict[str, Any]


def load(task: Task) -> Specialist:
    """The model with LoRA, on its device."""
    torch.manual_seed(0)
    model = Specialist(
        task["base"],
        NextToken(),
        LoRA(rank=task["rank"], alpha=task["alpha"]),
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=task["rate"]),
        schedule=Schedule("constant", warmup=0),
        precision=task["precision"],
        from_scratch=task["random"],
        **task.get("model", {}),
    )
    model.load()
    model.to(task["device"])
    model.on_fit_start()  # another device has another attention; a CPU keeps what a step frees
    return model


def loader(rows: list[dict[str, list[int]]], task: Task) -> PlanLoader:
    """Batches of these rows, by number or by tokens."""
    encoded = [
        EncodedRow(Example(id=str(n)), (Encoded(tuple(r["input_ids"]), tuple(float(x != -100) for x in r["labels"])),))
        for n, r in enumerate(rows)
    ]
    units = {unit: [row.units[unit] for row in encoded] for unit in encoded[0].units}
    budget = task["max_tokens"] if task.get("packed") else None
    return PlanLoader(encoded, Plan([r.length for r in encoded], units, batch_size=task["batch"], max_tokens=budget))


def backward(model: Specialist, batch: Batch) -> torch.Tensor:
    """One micro-batch forward and backward; returns the window's share of its loss."""
    assert batch.window is not None
    terms = model.terms(model.passes(batch)).values()
    loss = torch.stack([batch.window.scale(term.sum, term.unit) for term in terms]).sum()
    loss.backward()
    return loss.detach()


def fit(model: Specialist, batches: PlanLoader, meter: Meter, task: Task) -> None:
    """Train by Lightning's Trainer."""

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            note(meter, batch, trainer.callback_metrics["loss"])

    work = Path(task["work"])
    work.mkdir(exist_ok=True)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu" if task["device"] == "cpu" else "gpu",
        devices=1,
        gradient_clip_val=CLIP,
        logger=MetricsFile(work),
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[Watch(), Curve(), StepCheckpoint(work / "checkpoints"), TrainingProgress(), Stopping()],
    )
    with meter:
        trainer.fit(model, batches)


def loop(model: Specialist, batches: PlanLoader, meter: Meter, task: Task) -> None:
    """Train without Lightning."""
    with meter:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        groups = parameter_groups(trained, model.adapter.groups(model.network))
        optimizer = build(model.optimizer_factory, groups)
        for batch in batches:
            batch = batch.to(task["device"])
            loss = backward(model, batch)
            torch.nn.utils.clip_grad_norm_(trained, CLIP)
            optimizer.step()
            optimizer.zero_grad()
            note(meter, batch, loss)


def note(meter: Meter, batch: Batch, loss: torch.Tensor) -> None:
    """Count a step: no token is padding."""
    tokens = len(batch.input_ids)
    meter.saw(tokens, tokens, batch.window and batch.window.counts["token"], loss)


def main() -> None:
    """Load, warm up on rows of their own, and train."""
    task = json.loads(sys.argv[1])
    quieten()
    warnings.filterwarnings("ignore", "The number of training batches")
    model = load(task)
    warm, rows = (
        [json.loads(line) for line in Path(task[name]).read_text().splitlines()] for name in ("warm_rows", "rows")
    )
    if task.get("compiled"):
        begin = time.perf_counter()
        compile_layers(model.passes.model, partial(trial, model))
        print(f"compiled in {time.perf_counter() - begin:.0f} s")
    for batch in loader(warm, task) if warm else ():
        backward(model, batch.to(task["device"]))
    model.zero_grad(set_to_none=True)
    meter = Meter(task["device"])
    {"fit": fit, "loop": loop}[task["kind"]](model, loader(rows, task), meter, task)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"\n{json.dumps(meter.result(trained))}")


if __name__ == "__main__":
    main()
