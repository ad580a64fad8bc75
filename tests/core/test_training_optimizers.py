"""Optimizers that a recipe may name: fused, or with states in 8 bit; they resume like the plain one."""

from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    ("name", "options"),
    [("torch.optim.AdamW", {"fused": True}), ("bitsandbytes.optim.AdamW8bit", {}), ("torch.optim.Adafactor", {})],
)
def test_optimizers_of_other_kinds_train_and_resume_bit_by_bit(bench: Any, name: str, options: dict[str, Any]) -> None:
    bench.write(
        model={
            # rank 64: bitsandbytes keeps tensors of less than 4,096 numbers in 32 bit
            "adapter": {"class_path": "LoRA", "init_args": {"rank": 64, "alpha": 64}},
            "optimizer": {"class_path": name, "init_args": {"lr": 0.003, **options}},
            "schedule": {"name": "constant", "warmup": 0},
        },
        trainer={"val_check_interval": 2},
    )
    whole = bench.fit_whole_and_in_two_parts()
    validated = [float(row["val/loss"]) for row in bench.curve(whole) if row["val/loss"]]
    assert validated[-1] < validated[0]
    if "8bit" in name:
        state = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
        nested = [inner for s in state.values() for inner in s.get("__bnb_optimizer_quant_state__", {}).values()]
        assert any(tensor.dtype == torch.uint8 for tensor in nested)
