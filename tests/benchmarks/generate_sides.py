"""One side of generate.py: `python generate_sides.py SIDE TASK`. The last line printed is JSON."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOTES = Path(__file__).resolve().parents[2] / "recipes" / "data" / "medsync.jsonl"


def write_rows(task: dict[str, Any]) -> dict[str, Any]:
    """The base as a plain folder, and prompts as its template has them."""
    from tunesmith.training.base import load_base

    model, tokenizer = load_base(task["base"])
    folder = Path(task["work"])
    model.float().save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    rows = [json.loads(line) for line in NOTES.read_text().splitlines()][: task["rows"]]
    with (folder / "rows.jsonl").open("w") as file:
        for row in rows:
            turns = [{"role": "user", "content": f"Summarise the note.\n\n{row['prompt']}"}]
            text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            file.write(json.dumps({"prompt": text, "completion": row["completion"]}) + "\n")
    return {}


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a function returns, and its seconds."""
    processor, wall = time.process_time(), time.perf_counter()
    out = work()
    return out, {"processor": time.process_time() - processor, "wall": time.perf_counter() - wall}


def load(task: dict[str, Any]) -> tuple[Any, Any, list[dict[str, str]], list[list[int]]]:
    """Model, tokenizer, rows, and the ids of their prompts."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(task["work"])
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    ids = [tokenizer(row["prompt"], add_special_tokens=False)["input_ids"] for row in rows]
    return model, tokenizer, rows, ids


def loop(task: dict[str, Any]) -> dict[str, Any]:
    """transformers' `generate`, row by row."""
    import torch

    model, tokenizer, _, ids = load(task)
    end = tokenizer.eos_token_id
    ids = ids[: task["loop"]]

    def work() -> list[list[int]]:
        said = []
        for row in ids:
            given = torch.tensor([row])
            with torch.no_grad():
                out = model.generate(
                    input_ids=given,
                    attention_mask=torch.ones_like(given),
                    max_new_tokens=task["tokens"],
                    do_sample=False,
                    eos_token_id=end,
                    pad_token_id=end,
                )
            said.append(out[0, len(row) :].tolist())
        return said

    said, seconds = measured(work)
    answers = [tokenizer.decode(one, skip_special_tokens=True) for one in said]
    return {"rows": len(ids), "tokens": sum(map(len, said)), "answers": answers, **seconds}


def ours(task: dict[str, Any]) -> dict[str, Any]:
    """Ours, and our numbers."""
    import torch

    from tunesmith import Message, Sample
    from tunesmith.evaluation.decoding import decode, row_seeds
    from tunesmith.evaluation.generation import Generation
    from tunesmith_plugins.evaluators.bleu import BLEU
    from tunesmith_plugins.evaluators.exact_match import ExactMatch

    model, tokenizer, rows, ids = load(task)
    generation = Generation(max_new_tokens=task["tokens"], batch_size=task["batch"])

    def work() -> Any:
        with torch.no_grad():
            return decode(model, tokenizer, ids, [tokenizer.eos_token_id], generation, row_seeds(ids, 0))

    said, seconds = measured(work)
    samples = [
        Sample(str(at), (Message("user", row["prompt"]),), row["completion"].strip(), one.text.strip())
        for at, (row, one) in enumerate(zip(rows, said, strict=True))
    ]
    evaluators = [ExactMatch(ignore_space=False), BLEU()]
    measures, measuring = measured(lambda: [m for e in evaluators for m in e.measure(samples)])
    values = {measure.name: measure.value for measure in measures}
    answers = [one.text for one in said]
    numbers = {"exact_match": values["exact_match"], "bleu": values["bleu"], "measuring": measuring["processor"]}
    return {"rows": len(ids), "tokens": sum(one.tokens for one in said), "answers": answers, **numbers, **seconds}


def harness(task: dict[str, Any]) -> dict[str, Any]:
    """lm-evaluation-harness on the same rows, as its Hugging Face model answers them."""
    import sacrebleu
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    _, tokenizer, rows, ids = load(task)
    model = HFLM(
        pretrained=str(Path(task["work"]) / "base"),
        dtype="float32",
        device="cpu",
        batch_size=task["batch"],
        add_bos_token=False,
    )
    way = {"until": [tokenizer.eos_token], "max_gen_toks": task["tokens"], "do_sample": False}
    asked = [
        Instance(request_type="generate_until", doc=row, arguments=(row["prompt"], dict(way)), idx=0) for row in rows
    ]
    answers, seconds = measured(lambda: model.generate_until(asked, disable_tqdm=True))
    said, wanted = [one.strip() for one in answers], [row["completion"].strip() for row in rows]
    exact = sum(a == b for a, b in zip(said, wanted, strict=True)) / len(rows)
    bleu = sacrebleu.corpus_bleu(said, [wanted]).score
    tokens = sum(len(tokenizer(one, add_special_tokens=False)["input_ids"]) for one in answers)
    return {"rows": len(ids), "tokens": tokens, "answers": answers, "exact_match": exact, "bleu": bleu, **seconds}


if __name__ == "__main__":
    side, path = sys.argv[1:]
    sides = {"rows": write_rows, "loop": loop, "ours": ours, "harness": harness}
    print(json.dumps(sides[side](json.loads(Path(path).read_text()))))
