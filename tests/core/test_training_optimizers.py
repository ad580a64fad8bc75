"""Optimizers that a recipe may name: fused, or with states in 8 bit; they resume like the plain one."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tunesmith.training.optimizer import build, parameter_groups


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


def steps(optimizer: Optimizer, weight: nn.Parameter) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(0)
    for _ in range(4):
        weight.grad = torch.randn(weight.shape, generator=numbers)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize(
    ("said", "fused"), [({}, True), ({"fused": False}, False), ({"foreach": True}, None), ({"amsgrad": True}, True)]
)
def test_adamw_steps_in_one_kernel_unless_the_recipe_says_otherwise(said: dict[str, Any], fused: bool | None) -> None:
    start = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    built = build(lambda groups: AdamW(groups, lr=0.1, weight_decay=0.1, **said), parameter_groups([ours]))
    assert [group["fused"] for group in built.param_groups] == [fused]
    reference = AdamW([plain], lr=0.1, weight_decay=0.1, amsgrad="amsgrad" in said)
    torch.testing.assert_close(steps(built, ours), steps(reference, plain), rtol=1e-6, atol=1e-6)
    assert not torch.equal(ours, start)


def test_an_optimizer_without_that_kernel_is_left_as_it_is() -> None:
    built = build(lambda groups: SGD(groups, lr=0.1), parameter_groups([nn.Parameter(torch.ones(2, 2))]))
    assert built.param_groups[0]["fused"] is None
