"""What `preview` says of optimizers' states, against what a step on the model's own weights leaves behind."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, AdamW, Optimizer

from tunesmith.cli.arguments import parse
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import open_session, sections
from tunesmith.training import optimizer_states
from tunesmith.training.optimizer import build, parameter_groups
from tunesmith.training.optimizer_states import optimizer_bytes
from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")
Factory = Callable[[Iterable[Any]], Optimizer]


class Unwilling(SGD):
    """Steps on nothing but the weights that it was made for."""

    def step(self, closure: Any = None) -> Any:
        """Refuse."""
        raise ValueError("not these")


def loaded(*words: str) -> Specialist:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    session.model.load()
    return session.model


def named(name: str) -> Factory:
    import bitsandbytes

    kinds = {"Adafactor": Adafactor, "AdamW": AdamW, "PagedAdamW8bit": bitsandbytes.optim.PagedAdamW8bit}
    return lambda groups: kinds[name](groups, lr=0.01)


def left_behind(model: Specialist) -> int:
    """Bytes of the states after a step on copies of all weights."""
    copies = [nn.Parameter(p.detach().clone()) for p in model.parameters() if p.requires_grad]
    for copy in copies:
        copy.grad = torch.full_like(copy, 1e-3)
    optimizer = build(model.optimizer_factory, parameter_groups(copies))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bitsandbytes has no pages on a CPU
        optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(value.numel() * value.element_size() for value in states)


@pytest.mark.parametrize("whole", [2**22, 2**14], ids=["whole", "in parts"])
@pytest.mark.parametrize("name", ["Adafactor", "PagedAdamW8bit", "AdamW"])
def test_states_are_those_that_a_step_leaves(
    bench: Any, monkeypatch: pytest.MonkeyPatch, name: str, whole: int
) -> None:
    monkeypatch.setattr(optimizer_states, "_WHOLE", whole)  # the embeddings have 2 ** 18 elements
    model = loaded("--model.adapter=Full")
    model.optimizer_factory = named(name)
    said = optimizer_bytes(model)
    assert not said.assumed
    assert said.held == pytest.approx(left_behind(model), rel=0.01)
    if name == "Adafactor":
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        assert said.held < trained / 4, "no table of the size of a weight"


def test_what_is_assumed_of_an_optimizer_is_called_so(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded()
    own = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    model.optimizer_factory = lambda groups: Unwilling(groups, lr=0.1)
    assert optimizer_bytes(model)[::2] == (8 * own, True)
    words = ("preview", *CONFIG, "--examples=0")
    assert "assumed" not in bench.done(*words).out + bench.done(*words, "--gpu=24").out
    monkeypatch.setattr(optimizer_states, "_stepped", Unwilling.step)
    out = " ".join(bench.done(*words).out.split())
    assert "; the optimizer's states are assumed: 8 bytes a weight)" in out
    out = " ".join(bench.done(*words, "--gpu=24").out.split())
    assert "trained weights and the optimizer's states (assumed: 8 bytes a weight)" in out
