"""Weights within a turn, through the command: what is written, counted and learnt is what a loop by hand says."""

import json
import math
from typing import Any

import torch
import transformers

from tunesmith.testing.tiny import write_rows

CONFIG = ("--config", "tiny.yaml")
# What the embedded base's tokenizer makes of an answer, and the weight of each token by hand: " pat|ient" is cut.
SAID = "The patient is stable."
DETAIL = [{"begin_offset": 4, "end_offset": 7, "weight": 0.5}, {"begin_offset": 15, "end_offset": 21, "train": True}]
BY_HAND = {"The": 0.0, " pat": 0.5, "ient": 0.0, " is": 0.0, " st": 1.0, "able": 1.0, ".": 1.0, "<|end|>": 1.0}


def row(number: int) -> dict[str, Any]:
    said = {"role": "assistant", "content": SAID, "train_detail": DETAIL}
    return {"messages": [{"role": "user", "content": f"Report {number}?"}, said]}


def loss_by_hand(folder: str, rows: list[dict[str, Any]]) -> float:
    """The mean over supervised tokens of weight times cross-entropy, one row after the other."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    total, count = 0.0, 0
    for each in rows:
        text = tokenizer.apply_chat_template(each["messages"], tokenize=False)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        tokens = [tokenizer.decode([token]) for token in ids]
        begin = tokens.index("<|assistant|>") + 1
        assert tokens[begin:] == list(BY_HAND)
        weights = [0.0] * begin + list(BY_HAND.values())
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= sum(weights[at] * scores[at - 1, ids[at]].item() for at in range(1, len(ids)))
        count += sum(weight != 0 for weight in weights)
    return total / count


def test_a_fit_learns_each_token_with_the_weight_of_its_stretch(bench: Any, tiny_base: Any) -> None:
    rows = [row(number) for number in range(8)]
    write_rows(bench.folder / "train.jsonl", rows)
    write_rows(bench.folder / "held.jsonl", [row(number) for number in range(8, 12)])
    notes = {"path": "train.jsonl", "formatter": "Auto", "split": "train"}
    held = {"path": "held.jsonl", "formatter": "Messages", "split": "validation"}
    bench.recipe["data"] = {"sources": {"notes": notes, "held": held}, "batch_size": 8}
    bench.recipe["data"]["split"] = {"near_duplicates": None}
    bench.write(trainer={"max_steps": 1})
    bench.done("prepare", *CONFIG)
    folder = bench.folder / "runs/tiny/data"
    written = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    shares = [
        (part["begin_offset"], part["end_offset"], part["weight"]) for part in written[0]["messages"][1]["train_detail"]
    ]
    assert shares == [(0, 3, 0.0), (4, 7, 0.5), (8, 14, 0.0), (15, 21, 1.0)]
    supervised = 8 * sum(weight != 0 for weight in BY_HAND.values())
    assert json.loads((folder / "counts.json").read_text())["encoded"]["train"]["supervised"] == supervised
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    curve = [float(each["loss"]) for each in bench.curve(run) if each.get("loss")]
    assert math.isclose(curve[0], loss_by_hand(str(tiny_base), rows), rel_tol=1e-5)
