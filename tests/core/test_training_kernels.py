"""`model.kernels`: layers of ours, or those of transformers and peft; the result is the same."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith import fused_kernels
from tunesmith.training.attention import RAGGED, RAGGED_PLAIN
from tunesmith.training.fused_rotary import turns_fused
from tunesmith.training.kernels import choosing
from tunesmith.training.probe import documents_of
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken

EMBEDDED = "package://tunesmith_plugins/bases/tiny-mistral"  # of widths that 4-bit weights can have


def loaded(base: Path, **options: Any) -> Specialist:
    torch.manual_seed(0)
    model = Specialist(str(base), NextToken(), LoRA(rank=4), **options)
    model.load()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model


def learned(model: Specialist) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss = model.objective.loss(model.passes(documents_of((30, 12), 90))).sum
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", 0.1)])
def test_a_model_of_plain_layers_learns_the_same_and_has_none_of_ours(
    tiny_base: Path, precision: Any, near: float
) -> None:
    ours = loaded(tiny_base, precision=precision)
    assert turns_fused(ours.network)
    plain = loaded(tiny_base, precision=precision, kernels="plain")
    assert not turns_fused(plain.network)
    assert (ours.attached.model.config._attn_implementation, ours.layout) == (RAGGED, "ragged")
    assert (plain.attached.model.config._attn_implementation, plain.layout) == (RAGGED_PLAIN, "ragged")
    assert any("forward" in vars(module) for module in ours.network.modules())
    assert not any("forward" in vars(module) for module in plain.network.modules())
    assert not any(getattr(module, "lora_variant", None) for module in plain.network.modules())
    expected, own = learned(plain)
    loss, gradients = learned(loaded(tiny_base, precision=precision))
    assert loss == pytest.approx(expected, rel=near)
    assert gradients.keys() == own.keys()
    for name, gradient in own.items():
        assert (gradients[name] - gradient).norm() <= near * gradient.norm(), name


def test_in_16_bit_plain_kernels_leave_attentions_derivative_to_torch(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr("tunesmith.training.attention.suits", lambda *_: called.append(1) or False)
    for kernels in ("plain", "auto"):
        model = loaded(tiny_base, precision="bf16", kernels=kernels)
        called.clear()
        learned(model)
        assert bool(called) == (kernels == "auto")


def test_an_adapter_is_told_while_it_attaches_only() -> None:
    for context, expected in ((nullcontext(), True), (choosing("plain"), False), (choosing("auto"), True)):
        with context:
            assert fused_kernels() is expected
    assert fused_kernels()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "; ours, for CPUs: norms, positions, LoRA's layers; layers not compiled"),
        (["--model.kernels=plain"], "; layers of transformers and peft (model.kernels is plain); layers not compiled"),
        (["--model.precision=bf16"], "; ours, for CPUs: attention's derivative, norms, positions, LoRA's layers;"),
        (["--model.adapter=Full"], "; ours, for CPUs: positions; "),
        (
            ["--model.adapter=QLoRA", f"--model.base={EMBEDDED}"],
            "; ours, for CPUs: norms, positions, QLoRA's updates; ",
        ),
    ],
)
def test_the_first_lines_of_a_run_say_what_is_ours(bench: Any, options: list[str], expected: str) -> None:
    if not any("adapter" in option for option in options):
        options = ["--model.adapter=LoRA", *options]
    words = ("--config", "tiny.yaml", "--trainer.max_steps=1", *options)
    said = {line for line in bench.done("fit", *words).out.splitlines() if line.startswith("  kernels ")}
    assert said == {line for line in bench.done("preview", *words).out.splitlines() if line.startswith("  kernels ")}
    assert expected in said.pop()
