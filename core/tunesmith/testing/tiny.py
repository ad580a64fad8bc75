"""What is small enough to train in a second: rows, a base, and a recipe over both."""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.recipe.draft import EMBEDDED
from tunesmith.recipe.package_fs import installed

_THINGS = ("lamp", "door", "pump", "fan", "gate", "belt", "valve", "bell")
_STATES = ("is on", "is off", "is hot", "is cold", "is stuck", "is loud")


def make_rows(count: int) -> list[dict[str, Any]]:
    """Notes with what has to be said about them (`prompt`, `completion`); no two alike, and the same every time."""
    draw = random.Random(3)  # noqa: S311  rows, not secrets
    rows = []
    for number in range(count):
        thing, state = draw.choice(_THINGS), draw.choice(_STATES)
        rows.append({"prompt": f"Report {number}: the {thing} {state}.", "completion": f"{thing} {state}"})
    return rows


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line; returns the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_base(directory: Path) -> Path:
    """Write a random Mistral of two layers and 64 wide, with the embedded base's tokenizer and chat template.

    Args:
        directory: Where; it must exist.

    Returns:
        The directory.
    """
    import torch
    import transformers

    config = transformers.MistralConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MistralForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(installed(EMBEDDED)).save_pretrained(directory)
    return directory


def tiny_recipe(base: Path) -> dict[str, Any]:
    """A recipe that trains LoRA on `rows.jsonl` beside it, four steps of four rows."""
    return {
        "seed_everything": 1,
        "model": {
            "base": str(base),
            "objective": "NextToken",
            "precision": "fp32",  # on any processor, in processes of their own as well
            "adapter": {"class_path": "LoRA", "init_args": {"rank": 4, "alpha": 8}},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        },
        "data": {
            "sources": {"notes": {"path": "rows.jsonl", "formatter": "PromptCompletion"}},
            "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
            "batch_size": 4,
        },
        "generation": {"max_new_tokens": 4},
        "evaluators": {"perplexity": "Perplexity", "exact": "ExactMatch"},
        "trainer": {"max_steps": 4, "accelerator": "cpu", "log_every_n_steps": 1},
    }


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One recipe's settings changed by others, as a later `--config` changes an earlier one.

    Maps are merged key by key, all else is replaced, None removes; another class drops the former one's options.
    """
    out = dict(below)
    for key, value in above.items():
        former = out.get(key)
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(former, Mapping) and not _another_class(former, value):
            out[key] = merged(former, value)
        else:
            out[key] = value
    return out


def _another_class(former: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    return "class_path" in value and former.get("class_path") != value["class_path"]
