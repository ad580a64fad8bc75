"""Base and rows of train.py, written once for all sides: `python train_rows.py TASK`.

Rows are pieces of the text of the synthetic intake notes, of log-normal length, cut evenly on both sides of the median,
so that the median stays; the last fifth of a row is supervised. The last line printed is JSON: what the rows are, and
the numbers of weights.
"""

import json
import math
import random
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

from train_meter import Weights

NOTES = Path(__file__).resolve().parents[2] / "recipes" / "data" / "medsync.jsonl"
SUPERVISED = 5  # one token in so many
SHAPES: dict[str, dict[str, Any]] = {
    "llama-3-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rope_theta": 500000.0,
    },
    "tiny": {
        "vocab_size": 4096,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
    },
}
Row = dict[str, list[int]]


def lengths(number: int, median: int, spread: float, longest: int, seed: int = 5) -> list[int]:
    """Lengths of rows in random order: quantiles of a log-normal distribution cut at `median² / longest` and `longest`.

    Quantiles instead of draws, so that few rows have the distribution's median and spread as well as many.

    Args:
        number: Of rows.
        median: Tokens.
        spread: Standard deviation of the natural logarithm, before it is cut.
        longest: Tokens at most.
        seed: Of the order.
    """
    if not 2 <= median < longest:
        msg = f"a median of {median} tokens needs rows longer than that, and {longest} is the longest"
        raise ValueError(msg)
    normal = NormalDist()
    low = normal.cdf(-math.log(longest / median) / spread)
    shares = (low + (1 - 2 * low) * (place + 0.5) / number for place in range(number))
    drawn = [max(2, round(median * math.exp(spread * normal.inv_cdf(share)))) for share in shares]
    random.Random(seed).shuffle(drawn)
    return drawn


def cut(stream: list[int], sizes: list[int]) -> list[Row]:
    """Pieces of a text one after the other, begun anew where it ends; the last part of each is supervised."""
    rows, place = [], 0
    for size in sizes:
        piece = [stream[(place + at) % len(stream)] for at in range(size)]
        place += size
        prompt = size - max(1, size // SUPERVISED)
        rows.append({"input_ids": piece, "labels": [-100] * prompt + piece[prompt:]})
    return rows


def read(path: Path) -> list[tuple[str, str]]:
    """Prompts and completions of a file."""
    return [(row["prompt"], row["completion"]) for row in map(json.loads, path.read_text().splitlines())]


def render(pairs: list[tuple[str, str]], tokenizer: Any, longest: int) -> list[Row]:
    """Prompts and completions in the base's chat template; longer rows are dropped."""
    from tunesmith.data.encode import encode_split
    from tunesmith.data.example import Example, Message
    from tunesmith.data.render import ChatRenderer
    from tunesmith_plugins.objectives.next_token import NextToken

    examples = [
        Example(id=str(place), messages=(Message("user", prompt), Message("assistant", completion)))
        for place, (prompt, completion) in enumerate(pairs)
    ]
    split = encode_split(examples, NextToken(), ChatRenderer(tokenizer), longest, "drop")
    return [
        {"input_ids": list(s.ids), "labels": [t if w else -100 for t, w in zip(s.ids, s.weights, strict=True)]}
        for row in split.rows
        for s in row.sequences
    ]


def weights(model: Any, rank: int) -> Weights:
    """Numbers of parameters under LoRA of that rank on all linear layers but the head."""
    from torch import nn

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    outside = {id(head.weight), id(embedding.weight)}
    body = sum(p.numel() for p in model.parameters() if id(p) not in outside)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    trained = sum(rank * (m.in_features + m.out_features) for m in linear)
    return Weights(body=body, head=head.weight.numel(), trained=trained)


def write_base(base: str, shape: str | None, random_weights: bool, directory: Path, rank: int) -> tuple[Any, Weights]:
    """Write the base as a plain directory, without weights where they are random; returns its tokenizer as well."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from tunesmith.training.base import load_base

    model, tokenizer = load_base(base, from_scratch=shape is not None or random_weights)
    tokenizer.save_pretrained(directory)
    if shape is None and not random_weights:
        model.save_pretrained(directory)
        return tokenizer, weights(model, rank)
    config = model.config if shape is None else LlamaConfig(**SHAPES[shape])
    config.vocab_size = max(config.vocab_size, len(tokenizer))
    config.save_pretrained(directory)
    with torch.device("meta"):  # 8 billion parameters are counted, not made
        return tokenizer, weights(AutoModelForCausalLM.from_config(config), rank)


def main() -> None:
    """Write all that the sides read."""
    task = json.loads(sys.argv[1])
    tokenizer, numbers = write_base(task["source"], task["shape"], task["random"], Path(task["base"]), task["rank"])
    sizes = {"warm_rows": task["warm"] * task["batch"], "rows": task["steps"] * task["batch"]}
    number = sum(sizes.values())
    if task["file"]:
        made = render(read(Path(task["file"])), tokenizer, task["longest"])[:number]
        if len(made) < number:
            sys.exit(f"{len(made)} rows of at most {task['longest']} tokens; {number} are needed")
    else:
        stream = tokenizer(" ".join(" ".join(pair) for pair in read(NOTES)), add_special_tokens=False)["input_ids"]
        drawn = [lengths(size, task["median"], task["spread"], task["longest"]) for size in sizes.values() if size]
        made = cut(stream, [length for part in drawn for length in part])
    parts = {"warm_rows": made[: sizes["warm_rows"]], "rows": made[sizes["warm_rows"] :]}
    for name, rows in parts.items():
        Path(task[name]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"\n{json.dumps({'lengths': [len(row['input_ids']) for row in parts['rows']], 'weights': vars(numbers)})}")


if __name__ == "__main__":
    main()
