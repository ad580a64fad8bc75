"""Loss and gradients of one optimizer window against a plain loop over the examples with transformers alone.

    python tests/benchmarks/exactness.py [--base PATH] [--rows 16]

The window is cut into 1, 2, 4 and 8 micro-batches; full weights and LoRA, fp32. Target: relative differences under
1e-5. The gradients' difference is the norm of the difference over the norm, of all tensors together and of the tensor
where it is largest.
"""

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from machine import CHECKOUT, against, header, table
from peft import PeftModel
from torch import Tensor
from torch.optim import SGD, Optimizer
from transformers import AutoModelForCausalLM

from tunesmith import Adapter
from tunesmith.cli.quiet import quieten
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.module import RecipeData
from tunesmith.data.sources import Source
from tunesmith.data.split import Split
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.objectives.next_token import NextToken

LIMIT = 1e-5
TINY = CHECKOUT / "plugins" / "tunesmith_plugins" / "bases" / "tiny-mistral"
Gradients = dict[str, Tensor]


class Keep(Callback):
    """Keeps the first window's loss and gradients."""

    def __init__(self) -> None:
        self.gradients: Gradients = {}
        self.loss = float("nan")

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Copy the gradients before anything changes them."""
        named = pl_module.named_parameters()
        self.gradients = {n.removeprefix("network."): p.grad.clone() for n, p in named if p.grad is not None}

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Read the loss that was logged for the step."""
        if "loss" in trainer.callback_metrics:
            self.loss = float(trainer.callback_metrics["loss"])


def make(base: Path, adapter: Adapter) -> Specialist:
    """A loaded model whose LoRA matrices are all non-zero, the same in every call."""
    seed_everything(3, verbose=False)
    model = Specialist(
        str(base),
        NextToken(),
        adapter,
        optimizer=lambda groups: SGD(groups, lr=0.0),
        schedule=Schedule("constant", warmup=0),
        precision="fp32",
    )
    model.load()
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    return model


def data(model: Specialist, number: int, micro: int) -> RecipeData:
    """The first rows of the synthetic intake notes, of 24 to some 150 tokens, `micro` a micro-batch."""
    source = Source(str(CHECKOUT / "recipes" / "data" / "medsync.jsonl"), PromptCompletion())
    rows = RecipeData({"intake": source}, split=Split(1.0, 0.0, 0.0), batch_size=micro)
    rows.bind(model.renderer, model.objective, 0, None)
    kept = rows.encoded("train").rows
    # every third row loses most of its supervised tokens, so that a mean of means would be far off
    kept[:] = [shorter(row) if place % 3 == 0 else row for place, row in enumerate(kept[:number])]
    return rows


def shorter(row: EncodedRow) -> EncodedRow:
    """The row with its first two supervised tokens only."""
    (sequence,) = row.sequences
    stop = next(place for place, weight in enumerate(sequence.weights) if weight) + 2
    cut = type(sequence)(sequence.ids[:stop], sequence.weights[:stop])
    return type(row)(row.example, (cut,))


def ours(base: Path, adapter: Adapter, number: int, accumulate: int) -> tuple[float, Gradients, list[EncodedRow]]:
    """Loss and gradients of one window by the whole of tunesmith: loader, layout, head, scale, Trainer."""
    model, keep = make(base, adapter), Keep()
    rows = data(model, number, number // accumulate)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        limit_val_batches=0,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[keep],
    )
    trainer.fit(model, datamodule=rows)
    return keep.loss, keep.gradients, rows.encoded("train").rows


def plain(base: Path, adapter: Adapter, rows: list[EncodedRow]) -> tuple[float, Gradients]:
    """The same by transformers and peft: one example after the other, all logits, one division at the end."""
    network: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if isinstance(adapter, LoRA):
        with tempfile.TemporaryDirectory() as directory:
            make(base, adapter).save_adapter(Path(directory))
            network = PeftModel.from_pretrained(network, directory, is_trainable=True)
    network.train()
    total, tokens = torch.zeros(()), 0
    for row in rows:
        ids, weights = torch.tensor([row.sequences[0].ids]), torch.tensor(row.sequences[0].weights)[1:]
        losses = F.cross_entropy(network(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
        total = total + (losses * weights).sum()
        tokens += int((weights != 0).sum())
    loss = total / tokens
    torch.autograd.backward(loss)
    return float(loss.detach()), {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def differences(got: Gradients, expected: Gradients) -> Iterator[float]:
    """Relative difference of all tensors together, then of each."""
    if got.keys() != expected.keys():
        msg = f"gradients of different tensors: {sorted(got.keys() ^ expected.keys())[:3]}"
        raise RuntimeError(msg)
    apart = {name: float((got[name].double() - expected[name].double()).norm()) for name in got}
    size = {name: float(expected[name].double().norm()) for name in got}
    yield sum(a * a for a in apart.values()) ** 0.5 / sum(s * s for s in size.values()) ** 0.5
    yield from (apart[name] / size[name] for name in got if size[name])


def main() -> None:
    """Compare every layout with the plain loop and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=TINY, help="directory of a model in safetensors")
    parser.add_argument("--rows", type=int, default=16, help="rows of the window, a multiple of 8")
    options = parser.parse_args()
    quieten()
    warnings.filterwarnings("ignore")
    header(f"Exactness: {options.base.name}, {options.rows} rows")
    lines = []
    for name, adapter in (("full", Full()), ("LoRA", LoRA(rank=16, alpha=32))):
        expected: tuple[float, Gradients] | None = None
        for accumulate in (1, 2, 4, 8):
            loss, gradients, rows = ours(options.base, adapter, options.rows, accumulate)
            expected = expected or plain(options.base, adapter, rows)
            whole, *each = differences(gradients, expected[1])
            apart = abs(loss - expected[0]) / abs(expected[0])
            numbers = (f"{apart:.1e}", f"{whole:.1e}", f"{max(each):.1e}", against(max(apart, whole, *each), LIMIT))
            lines.append((f"{name}, {accumulate} x {options.rows // accumulate} rows", f"{loss:.4f}", *numbers))
    table(("window", "loss", "loss apart", "gradients apart", "worst tensor", f"under {LIMIT:.0e}"), lines)


if __name__ == "__main__":
    main()
