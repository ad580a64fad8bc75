"""Adapters through the command: a resumed run is the whole one bit by bit, and answers stand beside the base's."""

import json
from typing import Any

import pytest
import torch

ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {
        "class_path": "LoRA",
        "init_args": {
            "rank": 4,
            "init": "pissa",
            "lr_ratio": 4.0,
            "modules_to_save": ["norm"],
            "trainable_tokens": [5],
        },
    },
    "prefix": {"class_path": "PrefixTuning", "init_args": {"virtual_tokens": 3, "projection": True}},
    "peft": {"class_path": "Peft", "init_args": {"method": "VERA", "options": {"r": 8, "vera_dropout": 0.1}}},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_trap_28_a_resumed_run_of_an_adapter_is_the_whole_one(bench: Any, name: str) -> None:
    model = {"adapter": ADAPTERS[name], "schedule": {"name": "constant", "warmup": 0}}
    bench.write(model=model, trainer={"limit_train_batches": 4})
    whole = bench.fit_whole_and_in_two_parts()
    losses = [float(row["loss"]) for row in bench.curve(whole) if row["loss"]]
    assert len(losses) == 8
    assert all(map(torch.isfinite, torch.tensor(losses)))


@pytest.mark.parametrize("name", ["prompt", "freeze"])
def test_answers_are_compared_with_the_base_that_was_there_before(bench: Any, name: str) -> None:
    adapters = {"prompt": ("PromptTuning", {"virtual_tokens": 3}), "freeze": ("Freeze", {"last": 1})}
    cls, options = adapters[name]
    bench.write(model={"adapter": {"class_path": cls, "init_args": options}})
    bench.done("fit", "--config", "tiny.yaml")
    bench.done("test", "--config", "tiny.yaml")
    (run,) = bench.runs()
    metrics = json.loads((run / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    bench.write("full.yaml", model={"adapter": "LoRA"})
    bench.done("fit", "--config", "full.yaml")
    bench.done("test", "--config", "full.yaml")
    (other,) = bench.runs("full")
    plain = json.loads((other / "test/metrics.json").read_text())["metrics"]["perplexity/perplexity"]
    assert metrics["base"] == pytest.approx(plain["base"], rel=1e-5)
    assert metrics["tuned"] != pytest.approx(metrics["base"], rel=1e-3)
    said = bench.done("predict", "--config", "tiny.yaml", "--prompt", "Report 1: the lamp is hot.").out
    assert "Report 1" in said
