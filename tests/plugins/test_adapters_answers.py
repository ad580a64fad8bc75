"""Trap 32 with what users run: answers of the embedded base, tuned and untuned, against plain greedy decoding."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith import Example, Message
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.evaluation.decoding import stop_ids
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.training.attention import plain_attention
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.qlora import QLoRA
from tunesmith_plugins.objectives.next_token import NextToken

BASE = "package://tunesmith_plugins/bases/tiny-mistral"
ROWS = Path(__file__).parents[2] / "recipes/data/medsync.jsonl"
ADAPTERS: dict[str, Any] = {"full": Full, "lora": lambda: LoRA(rank=8), "qlora": lambda: QLoRA(rank=8)}
STEPS, LR, MOST = 6, 0.02, 16


def notes(count: int) -> list[tuple[Message, Message]]:
    """Notes cut to lengths far apart, with their summaries."""
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()[:count]]
    return [
        (Message("user", row["prompt"][: 40 + 17 * (7 * at % count)]), Message("assistant", row["completion"]))
        for at, row in enumerate(rows)
    ]


def tuned(adapter: str) -> Specialist:
    """A few steps of Adam: enough that answers are not the base's."""
    torch.manual_seed(0)
    module = Specialist(BASE, NextToken(), ADAPTERS[adapter](), precision="fp32")
    module.load()
    examples = [Example(messages=turns, id=str(at)) for at, turns in enumerate(notes(8))]
    batch = collate([EncodedRow(e, tuple(module.objective.encode(e, module.renderer))) for e in examples])
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=LR if adapter != "full" else LR / 10)
    for _ in range(STEPS):
        (module.objective.loss(module.passes(batch)).sum / len(examples) / 50).backward()
        optimizer.step()
        optimizer.zero_grad()
    return module


def alone(module: Specialist, prompt: list[Message], base: bool) -> str:
    """One row, no padding, no cache: the argmax of a whole forward pass at every step."""
    network = module.load_baseline() if base and not module.adapter.switchable else module.network
    ends = stop_ids(network, module.tokenizer, module.renderer)
    ids = list(module.renderer.prompt(prompt).ids)
    start = len(ids)
    off = module.adapter.without(network) if base and module.adapter.switchable else nullcontext()
    with plain_attention(network), torch.no_grad(), off:
        network.eval()
        while len(ids) < start + MOST and ids[-1] not in ends:
            ids.append(int(network(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return str(module.tokenizer.decode(ids[start:], skip_special_tokens=True))


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_trap_32_answers_of_tuned_and_base_equal_those_to_single_prompts(adapter: str) -> None:
    module = tuned(adapter)
    prompts = [[question] for question, _ in notes(6)]
    assert len({len(module.renderer.prompt(p).ids) for p in prompts}) > 4
    answers = []
    for base in (False, True):
        expected = [alone(module, prompt, base) for prompt in prompts]
        for size in (2, 6):
            model = TransformersModel(module, Generation(max_new_tokens=MOST, batch_size=size))
            model = model.baseline() if base else model
            assert model.generate(prompts) == expected
        answers.append(expected)
    assert answers[0] != answers[1]
    assert len(set(answers[0])) > 1
