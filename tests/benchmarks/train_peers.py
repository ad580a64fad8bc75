"""The peers' sides of train.py, in their environment: `python train_peers.py TASK`. Prints the meter's result as JSON.

None of it imports tunesmith. Each trains as its makers' own programs do: its padding, its loss, its order of rows.
`probe` says which modules can be imported; `peak` measures what the device can do.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from train_meter import Meter, peak_operations

Task = dict[str, Any]
Rows = list[dict[str, Any]]


def causal(task: Task) -> Any:
    """The base in transformers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    options: dict[str, Any] = {"dtype": torch.bfloat16 if task["precision"] == "bf16" else torch.float32}
    if task.get("attention"):
        options["attn_implementation"] = task["attention"]
    if task["random"]:
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(task["base"]), **options)
    return AutoModelForCausalLM.from_pretrained(task["base"], **options)


def lora(task: Task) -> Any:
    """The method in peft's words."""
    from peft import LoraConfig

    return LoraConfig(
        r=task["rank"], lora_alpha=task["alpha"], lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def arguments(task: Task) -> dict[str, Any]:
    """Options that TRL and transformers share."""
    return {
        "output_dir": task["work"],
        "use_cpu": task["device"] == "cpu",
        "per_device_train_batch_size": 1 if task.get("packed") else task["batch"],
        "num_train_epochs": 1,
        "learning_rate": task["rate"],
        "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
        "bf16": task["precision"] == "bf16",
        "dataloader_pin_memory": task["device"] != "cpu",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def trl(task: Task, warm: Rows, rows: Rows, meter: Meter) -> dict[str, Any]:
    """TRL's SFTTrainer."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]  # the peers' environment has it

    config = SFTConfig(
        max_length=task["max_tokens"] if task.get("packed") else None, **arguments(task), **task.get("config", {})
    )
    trainer = _watched(SFTTrainer, meter)(
        model=causal(task),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(task["base"]),
        peft_config=lora(task),
    )
    _warm_up(trainer, warm, task)
    with meter:
        trainer.train()
    return {"trained": _trained(trainer.model), "leak": _leak(trainer) if trainer.padding_free else 0.0}


def transformers(task: Task, warm: Rows, rows: Rows, meter: Meter) -> dict[str, Any]:
    """transformers' Trainer with peft, as its guides put them together: rows padded, labels beside them."""
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    trainer = _watched(Trainer, meter)(
        model=get_peft_model(causal(task), lora(task)),
        args=TrainingArguments(**arguments(task)),
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(task["base"])),
    )
    _warm_up(trainer, warm, task)
    with meter:
        trainer.train()
    return {"trained": _trained(trainer.model)}


def litgpt(task: Task, warm: Rows, rows: Rows, meter: Meter) -> dict[str, Any]:
    """litgpt's model and loss in the loop of its `finetune_lora`; Llamas only. In bf16 all its weights are."""
    import torch
    from litgpt.lora import GPT, mark_only_lora_as_trainable  # type: ignore[import-not-found]
    from litgpt.utils import chunked_cross_entropy  # type: ignore[import-not-found]

    model = GPT(_litgpt_config(task))
    _litgpt_weights(model, task)
    model.to(device=task["device"], dtype=torch.bfloat16 if task["precision"] == "bf16" else torch.float32)
    mark_only_lora_as_trainable(model)
    model.max_seq_length = max(len(row["input_ids"]) for row in [*warm, *rows])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def backward(batch: dict[str, Any]) -> Any:
        logits = model(batch["input_ids"], lm_head_chunk_size=128)
        logits[-1] = logits[-1][..., :-1, :]
        loss = chunked_cross_entropy(logits, batch["labels"][..., 1:])
        loss.backward()
        return loss.detach()

    random.Random(0).shuffle(rows)
    for batch in _padded(warm, task):
        backward(batch)
    model.zero_grad(set_to_none=True)
    with meter:
        optimizer = torch.optim.AdamW(trained, lr=task["rate"])
        for batch in _padded(rows, task):
            loss = backward(batch)
            optimizer.step()
            optimizer.zero_grad()
            meter.saw(batch["useful"], batch["labels"].numel(), (batch["labels"][:, 1:] != -100).sum(), loss)
    return {"trained": sum(parameter.numel() for parameter in trained)}


def _litgpt_config(task: Task) -> Any:
    from litgpt.lora import Config
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(task["base"])
    if config.model_type != "llama":
        sys.exit(f"the litgpt side knows Llamas only, and the base is a {config.model_type}")
    where = ("query", "key", "value", "projection", "mlp")
    return Config(
        block_size=config.max_position_embeddings,
        vocab_size=config.vocab_size,
        padded_vocab_size=config.vocab_size,
        n_layer=config.num_hidden_layers,
        n_head=config.num_attention_heads,
        n_embd=config.hidden_size,
        n_query_groups=config.num_key_value_heads,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=config.rms_norm_eps,
        mlp_class_name="LLaMAMLP",
        intermediate_size=config.intermediate_size,
        rope_base=int(config.rope_parameters["rope_theta"]),
        lora_r=task["rank"],
        lora_alpha=task["alpha"],
        **{f"lora_{name}": True for name in where},
    )


def _litgpt_weights(model: Any, task: Task) -> None:
    from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama  # type: ignore[import-not-found]

    state: dict[str, Any] = {}
    named = {name: parameter.detach() for name, parameter in causal(task).named_parameters()}
    copy_weights_hf_llama(model.config, {}, state, named)
    # its LoRA layers take a plain layer's names, as in its own checkpoints; only their updates may be missing
    found = model.load_state_dict(state, strict=False)
    if found.unexpected_keys or any("lora" not in key for key in found.missing_keys):
        sys.exit(f"litgpt's weights are not the base's: {found}")


def _padded(rows: Rows, task: Task) -> Iterator[dict[str, Any]]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    for start in range(0, len(rows), task["batch"]):
        part = rows[start : start + task["batch"]]
        batch: dict[str, Any] = {"useful": sum(len(row["input_ids"]) for row in part)}
        for key, filler in (("input_ids", 0), ("labels", -100)):
            padded = pad_sequence([torch.tensor(row[key]) for row in part], batch_first=True, padding_value=filler)
            batch[key] = padded.to(task["device"])
        yield batch


def _watched(trainer: type, meter: Meter) -> Any:
    class Watched(trainer):  # type: ignore[misc]  # a class that only the peers' environment has
        def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            ids, labels = inputs["input_ids"], inputs["labels"]
            useful = inputs["attention_mask"].sum() if "attention_mask" in inputs else ids.numel()
            supervised = (labels[:, 1:] != -100).sum()
            loss = super().training_step(model, inputs, *args, **kwargs)
            if self.state.max_steps:  # 0 while it warms up
                meter.saw(useful, ids.numel(), supervised, loss)
            return loss

    return Watched


def _autocast(task: Task) -> AbstractContextManager[Any]:
    import torch

    return torch.autocast(task["device"], torch.bfloat16, enabled=task["precision"] == "bf16")


def _warm_up(trainer: Any, rows: Rows, task: Task) -> None:
    """Forward and backward as in training, so that memory, threads and kernels are there; weights stay."""
    trainer.current_gradient_accumulation_steps = 1
    for start in range(0, len(rows), task["batch"]):
        with _autocast(task):
            trainer.training_step(trainer.model, trainer.data_collator(rows[start : start + task["batch"]]))
    trainer.model.zero_grad(set_to_none=True)


def _leak(trainer: Any) -> float:
    """How much a document's states change with a token of the one before it in a batch, as a share of the largest."""
    import torch

    model = trainer.model.eval()
    for batch in trainer.get_train_dataloader():
        batch.pop("labels")
        starts = (batch["position_ids"][0] == 0).nonzero().flatten()
        if len(starts) > 1:
            with torch.no_grad():
                before = model.get_base_model().base_model(**batch)[0][0, starts[1] :]
                batch["input_ids"][0, starts[1] // 2] ^= 1
                after = model.get_base_model().base_model(**batch)[0][0, starts[1] :]
            return float((after - before).abs().max() / before.abs().max())
    return 0.0


def _trained(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def probe(task: Task) -> None:
    """Print the versions of those modules that are there."""
    names = [name for name in task["modules"] if find_spec(name)]
    versions = {}
    for name in [*names, "torch"]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "unknown"
    print(f"\n{json.dumps(versions)}")


def peak(task: Task) -> None:
    """Print what the device does at most."""
    speed, source = peak_operations(task["device"], task["precision"])
    print(f"\n{json.dumps({'speed': speed, 'source': source})}")


def main() -> None:
    """Do what the task says."""
    task = json.loads(sys.argv[1])
    if task["kind"] in ("probe", "peak"):
        {"probe": probe, "peak": peak}[task["kind"]](task)
        return
    warm, rows = (
        [json.loads(line) for line in Path(task[name]).read_text().splitlines()] for name in ("warm_rows", "rows")
    )
    meter = Meter(task["device"])
    sides: dict[str, Callable[[Task, Rows, Rows, Meter], dict[str, Any]]] = {
        "trl": trl,
        "transformers": transformers,
        "litgpt": litgpt,
    }
    with tempfile.TemporaryDirectory() as work:
        found = sides[task["kind"]](task | {"work": work}, warm, rows, meter)
    print(f"\n{json.dumps(meter.result(found.pop('trained')) | found)}")


if __name__ == "__main__":
    main()
