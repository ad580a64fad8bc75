"""Optimizers that a recipe may name: fused, or with states in 8 bit; they resume like the plain one."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tunesmith.training.optimizer import build, options_of, parameter_groups, reapply, scheduler
from tunesmith.training.schedule import Schedule


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


class Growing(SGD):
    """Keeps in its groups how far it is, as Prodigy, D-Adaptation and schedule-free optimizers do."""

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0, slack: int = 0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        for group in self.param_groups:
            group |= {"slack": slack, "k": 0, "found": torch.zeros(2), "seen": []}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["k"] += 1
            group["found"] += 1
            group["seen"].append(group["k"])
        return super().step(closure)


@pytest.mark.parametrize("old", [False, True], ids=["", "a checkpoint that did not note them"])
def test_a_resumed_optimizer_takes_what_the_recipe_changed_and_keeps_what_it_found(old: bool) -> None:
    def made(**options: Any) -> tuple[Growing, Any, list[dict[str, Any]]]:
        weights = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
        optimizer = build(lambda groups: Growing(groups, **options), parameter_groups(weights))
        rates = scheduler(optimizer, Schedule("constant", warmup=0), 10)
        assert isinstance(optimizer, Growing)
        return optimizer, rates, options_of(optimizer)

    first, _, then = made(lr=0.1, weight_decay=0.1, slack=1)
    for group in first.param_groups:
        group["params"][0].grad = torch.ones_like(group["params"][0])
    for _ in range(3):
        first.step()
    again, rates, now = made(lr=0.1, weight_decay=0.2, slack=1)
    again.load_state_dict(first.state_dict())
    reapply(now, again, rates, None if old else then)
    matrices, vectors = again.param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.2, 0.0)
    for group in again.param_groups:
        assert (group["k"], group["seen"], group["slack"], group["lr"]) == (3, [1, 2, 3], 1, 0.1)
        assert group["found"].tolist() == [3, 3]
    faster, rates, now = made(lr=0.5, slack=1)
    faster.load_state_dict(first.state_dict())
    reapply(now, faster, rates, None if old else then)
    assert [group["lr"] for group in faster.param_groups] == [0.5, 0.5]


GROWING = """
import torch

class Growing(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["k"] = 0

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] += 1
            group["lr"] /= group["k"]
        loss = super().step(closure)
        for group in self.param_groups:
            group["lr"] *= group["k"]
        return loss
"""


def test_trap_27_an_optimizer_that_keeps_its_state_in_groups_resumes_bit_by_bit(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.folder / "growing.py").write_text(GROWING)
    monkeypatch.syspath_prepend(bench.folder)
    bench.write(
        model={
            "optimizer": {"class_path": "growing.Growing", "init_args": {"lr": 0.5}},
            "schedule": {"name": "constant", "warmup": 0},
        },
        trainer={"val_check_interval": 2},
    )
    bench.fit_whole_and_in_two_parts("tiny.yaml", "--trust", "growing")
