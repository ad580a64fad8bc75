"""L2SP against closed forms, and of LoRA against peft's own deltas."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith import RecipeError
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.anchors import anchors
from tunesmith_plugins.regularizers.l2sp import L2SP

PASS: Any = SimpleNamespace(hidden=torch.zeros(1, 4))


class Net(nn.Module):
    """Two layers, two of whose weights are one, a norm, experts in one tensor, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(6, 5)
        self.down = nn.Linear(5, 6, bias=False)
        self.tied = nn.Linear(5, 6, bias=False)
        self.tied.weight = self.down.weight
        self.norm = nn.LayerNorm(6)
        self.experts = nn.Module()
        self.experts.weight = nn.Parameter(torch.randn(3, 5, 6))
        self.score = nn.Linear(6, 2, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Something that uses them all."""
        out: Tensor = self.score(self.norm(self.down(self.up(hidden)) + self.tied(hidden[..., :5])))
        return out + (self.experts.weight @ hidden[..., None]).sum()


def net() -> Net:
    torch.manual_seed(3)
    return Net()


def push(model: nn.Module, size: float = 0.1) -> None:
    """Move what trains."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += size * torch.randn_like(parameter)


def test_l2sp_is_half_the_squared_distance_and_pulls_back_with_the_difference() -> None:
    model = net()
    model.up.bias.requires_grad_(False)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    regularizer = L2SP(0.3, new=["score"], new_factor=0.1)
    regularizer.setup(model)
    push(model)
    term = regularizer.penalty(PASS)
    term.sum.backward()
    expected = 0.0
    for name, parameter in model.named_parameters():
        gap = parameter.detach().double() - (0 if name.startswith("score") else start[name].double())
        factor = 0.03 if name.startswith("score") else 0.3
        expected += factor / 2 * float(gap.square().sum()) * parameter.requires_grad
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, (factor * gap).float())
        else:
            assert parameter.grad is None
    assert term.unit == "step"
    assert float(term.sum.detach()) == pytest.approx(expected, rel=1e-5)


def test_l2sp_draws_what_is_new_as_hard_as_the_rest_unless_it_is_told() -> None:
    model = net()
    regularizer = L2SP(0.3, new=["score"])
    regularizer.setup(model)
    expected = 0.15 * float(model.score.weight.detach().square().sum())
    assert float(regularizer.penalty(PASS).sum.detach()) == pytest.approx(expected, rel=1e-6)


KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "gaussian": {"init_lora_weights": "gaussian"},
    "experts": {"target_parameters": ["experts.weight"]},
    "saved": {"modules_to_save": ["score"]},
}


def adapted(**options: Any) -> Any:
    """The net with peft's LoRA; its experts in one tensor too, if they are named."""
    from peft import LoraConfig, get_peft_model

    model: Any = net()
    return get_peft_model(model, LoraConfig(r=2, lora_alpha=6, target_modules=["up", "down"], **options))


def deltas(model: nn.Module) -> dict[str, Tensor]:
    """What peft says that its updates add to each matrix."""
    from peft.tuners.lora import LoraLayer

    found = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    return {name: layer.get_delta_weight("default") for name, layer in found.items()}  # type: ignore[operator]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*'NoneType' object has no attribute.*|.*config:UserWarning")
def test_l2sp_of_lora_is_the_distance_of_the_merged_weights(kind: str) -> None:
    model = adapted(**KINDS[kind])
    before = {name: delta.detach().clone() for name, delta in deltas(model).items()}
    assert len(before) == 2 + (kind == "experts")
    single = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n}
    assert bool(single) == (kind == "saved")
    regularizer = L2SP(0.5)
    regularizer.setup(model)
    assert float(regularizer.penalty(PASS).sum.detach()) == 0
    push(model, 0.01)
    term = regularizer.penalty(PASS)
    term.sum.backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    reference = torch.stack([(delta - before[name]).square().sum() for name, delta in deltas(model).items()]).sum()
    for name, parameter in model.named_parameters():
        if name in single:
            reference = reference + (parameter - single[name]).square().sum()
    (0.25 * reference).backward()
    assert float(term.sum.detach()) == pytest.approx(0.25 * float(reference.detach()), rel=1e-4)
    assert got.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(got[name], parameter.grad, rtol=1e-3, atol=1e-7)


def test_l2sp_of_a_small_way_from_a_large_start_is_not_rounded_away() -> None:
    model = adapted(init_lora_weights="pissa")
    before = {name: delta.detach().double() for name, delta in deltas(model).items()}
    regularizer = L2SP(2.0)
    regularizer.setup(model)
    push(model, 1e-4)
    model.double()
    with torch.no_grad():
        reference = sum(float((delta - before[name]).square().sum()) for name, delta in deltas(model).items())
    model.float()
    assert float(regularizer.penalty(PASS).sum.detach()) == pytest.approx(reference, rel=1e-2)


def test_l2sp_counts_doras_magnitudes_by_themselves() -> None:
    model = adapted(use_dora=True)
    regularizer = L2SP(1.0)
    regularizer.setup(model)
    expected = 0.0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "magnitude" in name:
                parameter += 0.5
                expected += 0.125 * parameter.numel()
    assert expected > 0
    assert float(regularizer.penalty(PASS).sum.detach()) == pytest.approx(expected, rel=1e-5)


def test_l2sp_refuses_what_is_no_name_or_no_factor() -> None:
    with pytest.raises(RecipeError, match=r"no trained weight's name has scor3 in it; did you mean score\?"):
        L2SP(0.1, new=["scor3"]).setup(net())
    with pytest.raises(RecipeError, match=r"new_factor is 0\.1, but `new` names no weights"):
        L2SP(0.1, new_factor=0.1).check(NextToken(), Full())
    for wrong in (L2SP(-1.0), L2SP(0.1, ["a"], -1.0)):
        with pytest.raises(RecipeError, match=r"\.(weight|new_factor) is -1\.0; it must be 0 or more"):
            wrong.check(NextToken(), LoRA())


def test_each_weight_has_one_anchor() -> None:
    model = net()
    assert [anchor.name for anchor in anchors(model)] == [name for name, _ in model.named_parameters()]
    assert next(anchors(model)).weight is model.up.weight
