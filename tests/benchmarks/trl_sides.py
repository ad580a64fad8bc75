"""The two sides of against_trl.py, each in a process of its own: `prepare ...` and `train TASK`.

Runs in two environments, so that tunesmith is imported only on its own side. The last line printed is JSON: processor
and wall seconds of the measured steps, their useful tokens, all tokens computed, and the mean loss of a step.
"""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

RANK, ALPHA = 16, 32
RATE = 2e-4
MEDIAN, SPREAD, SHORTEST = 240, 0.9, 32  # before they are cut at the longest


class Clock:
    """Measures a stretch of steps from inside the process."""

    def __init__(self, warm: int) -> None:
        self.warm = warm
        self.useful = self.computed = self.steps = 0
        self.losses: list[float] = []
        self._begin = (0.0, 0.0)

    def step(self, useful: int, computed: int, loss: float) -> None:
        """Count an optimizer step that has just ended; the last one of the warming up starts the clock."""
        self.steps += 1
        if self.steps == self.warm:
            self._begin = self._now()
        if self.steps > self.warm:
            self.useful += useful
            self.computed += computed
            self.losses.append(loss)
            self._end = self._now()

    def result(self) -> dict[str, float]:
        """What the measured steps took."""
        return {
            "processor": self._end[0] - self._begin[0],
            "wall": self._end[1] - self._begin[1],
            "useful": self.useful,
            "computed": self.computed,
            "loss": sum(self.losses) / len(self.losses),
        }

    @staticmethod
    def _now() -> tuple[float, float]:
        used = os.times()
        return used.user + used.system, time.perf_counter()


def prepare(base: str, directory: str, rows: str, number: str, longest: str, source: str | None = None) -> None:
    """Write the base as a plain model directory, and the rows as token ids with labels."""
    from tunesmith.data.encode import encode_split
    from tunesmith.data.example import Example, Message
    from tunesmith.data.render import ChatRenderer
    from tunesmith.training.base import load_base
    from tunesmith_plugins.objectives.next_token import NextToken

    model, tokenizer = load_base(base)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    pairs = read(Path(source)) if source else draw(tokenizer, int(number), int(longest))
    examples = [
        Example(id=str(place), messages=(Message("user", prompt), Message("assistant", completion)))
        for place, (prompt, completion) in enumerate(pairs)
    ]
    split = encode_split(examples, NextToken(), ChatRenderer(tokenizer), int(longest), "drop")
    if len(split.rows) < int(number):
        sys.exit(f"{len(split.rows)} rows of at most {longest} tokens; {number} are needed")
    with Path(rows).open("w") as file:
        for row in split.rows[: int(number)]:
            (sequence,) = row.sequences
            labels = [token if weight else -100 for token, weight in zip(sequence.ids, sequence.weights, strict=True)]
            file.write(json.dumps({"input_ids": sequence.ids, "labels": labels}) + "\n")


def read(path: Path) -> list[tuple[str, str]]:
    """Prompts and completions of a file."""
    return [(row["prompt"], row["completion"]) for row in map(json.loads, path.read_text().splitlines())]


def draw(tokenizer: Any, number: int, longest: int) -> list[tuple[str, str]]:
    """Rows of log-normal length out of the synthetic intake notes; a fifth of a row is its completion."""
    notes = Path(__file__).resolve().parents[2] / "recipes" / "data" / "medsync.jsonl"
    text = " ".join(" ".join(pair) for pair in read(notes))
    stream = tokenizer(text[: 2000 * number], add_special_tokens=False)["input_ids"]
    generator = random.Random(5)
    pairs: list[tuple[str, str]] = []
    place = 0
    room = longest - 2 * SHORTEST  # the template's own tokens, and what decoding and encoding again may add
    while len(pairs) < number:
        length = round(generator.lognormvariate(0.0, SPREAD) * (MEDIAN - SHORTEST))
        if not SHORTEST <= length <= room:
            continue
        if place + length > len(stream):
            place = 0
        piece = stream[place : place + length]
        place += length
        cut = length * 4 // 5
        pairs.append((tokenizer.decode(piece[:cut]), tokenizer.decode(piece[cut:])))
    return pairs


def ours(task: dict[str, Any], rows: list[dict[str, list[int]]], clock: Clock) -> None:
    """Train by tunesmith: its model, loader and Trainer as `fit` puts them together."""
    import torch
    from lightning.pytorch import Callback, Trainer

    from tunesmith.cli.quiet import quieten
    from tunesmith.data.encode import EncodedRow
    from tunesmith.data.encoded import Encoded
    from tunesmith.data.example import Example
    from tunesmith.data.loader import PlanLoader
    from tunesmith.data.plan import Plan
    from tunesmith.training.schedule import Schedule
    from tunesmith.training.specialist import Specialist
    from tunesmith_plugins.adapters.lora import LoRA
    from tunesmith_plugins.objectives.next_token import NextToken

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            clock.step(len(batch.input_ids), len(batch.input_ids), float(trainer.callback_metrics["loss"]))

    quieten()
    torch.manual_seed(0)
    model = Specialist(
        task["base"],
        NextToken(),
        LoRA(rank=RANK, alpha=ALPHA),
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=RATE),
        schedule=Schedule("constant", warmup=0),
        precision=task["precision"],
    )
    model.load()
    encoded = [
        EncodedRow(Example(id=str(n)), (Encoded(tuple(r["input_ids"]), tuple(float(x != -100) for x in r["labels"])),))
        for n, r in enumerate(rows)
    ]
    units = {unit: [row.units[unit] for row in encoded] for unit in encoded[0].units}
    plan = Plan([row.length for row in encoded], units, batch_size=task["batch"])
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        gradient_clip_val=1.0,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[Watch()],
    )
    trainer.fit(model, PlanLoader(encoded, plan))


def theirs(task: dict[str, Any], rows: list[dict[str, list[int]]], clock: Clock) -> None:
    """Train by TRL's SFTTrainer, with its own padding, its own loss and its own order of rows."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]  # the peer's environment has it

    class Watched(SFTTrainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            mask = inputs["attention_mask"]
            loss = super().training_step(model, inputs, *args, **kwargs)
            seen.append((int(mask.sum()), mask.numel(), float(loss)))
            return loss

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(*seen.pop())

    seen: list[tuple[int, int, float]] = []
    bf16 = task["precision"] == "bf16"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(task["base"], dtype=torch.bfloat16 if bf16 else torch.float32)
    config = SFTConfig(
        output_dir=task["work"],
        use_cpu=True,
        per_device_train_batch_size=task["batch"],
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_length=None,
        gradient_checkpointing=False,
        bf16=bf16,
        train_sampling_strategy="group_by_length" if task["side"].endswith("group_by_length") else "random",
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Watched(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        callbacks=[Watch()],
        processing_class=AutoTokenizer.from_pretrained(task["base"]),
        peft_config=LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "prepare":
        prepare(*sys.argv[2:])
        return
    task = json.loads(sys.argv[2])
    rows = [json.loads(line) for line in Path(task["rows"]).read_text().splitlines()]
    clock = Clock(task["warm"])
    (ours if task["side"] == "tunesmith" else theirs)(task, rows, clock)
    print(f"\n{json.dumps(clock.result())}")


if __name__ == "__main__":
    main()
