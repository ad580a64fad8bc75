"""All regularizers with every adapter and every objective: finite, weighed as their units say, and adding up."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tunesmith import Adapter, Objective, RecipeError, Regularizer
from tunesmith.plugins.catalog import Catalog
from tunesmith.testing import models
from tunesmith.testing.second_pass import DroppingPasses
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.adversarial_debiasing import AdversarialDebiasing

BUILTINS = [entry.cls for entry in Catalog.load(block=[]).entries if entry.builtin]
REGULARIZERS = [cls for cls in BUILTINS if issubclass(cls, Regularizer)]
ADAPTERS = [trial for cls in BUILTINS if issubclass(cls, Adapter) for trial in cls.trial_instances()]
OBJECTIVES = [trial for cls in BUILTINS if issubclass(cls, Objective) for trial in cls.trial_instances()]


def together(objective: Objective, adapter: Adapter) -> Specialist:
    """A model with all regularizers that the method takes, away from its base; what they look at first is seen."""
    chosen = {}
    for cls in REGULARIZERS:
        # the last one of these reads the whole text, also where all of it is learnt
        regularizer = cls.trial_instances()[-1 if cls is AdversarialDebiasing else 0]
        try:
            regularizer.check(objective, adapter)
        except RecipeError:
            continue
        chosen[cls.__name__] = regularizer
    module = models.specialist(adapter, objective, chosen)
    module.passes = DroppingPasses.of(module.passes)
    for regularizer in chosen.values():
        if type(regularizer).prepare is not Regularizer.prepare:
            rows = models.encoded(module)[:3]
            batches = (models.batch_of(module, [row]) for row in rows)
            regularizer.prepare(module.passes(batch, perturbed=False) for batch in batches)
    with torch.no_grad():
        for parameter in module.network.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    return module


def named(instance: Any) -> str:
    options = ",".join(f"{name}={value}" for name, value in vars(instance).items() if isinstance(value, str | float))
    return f"{type(instance).__name__}({options})"


@pytest.mark.parametrize(
    ("objective", "adapter"),
    [*((NextToken(), adapter) for adapter in ADAPTERS), *((objective, LoRA(rank=2)) for objective in OBJECTIVES)],
    ids=named,
)
def test_each_goes_with_every_adapter_and_objective(objective: Objective, adapter: Adapter) -> None:
    if objective.model_class != "causal":
        pytest.skip("the tiny base predicts next tokens")
    module = together(objective, adapter)
    rows = models.encoded(module)[:4]
    batch = models.batch_of(module, rows)
    # as if the window had another micro-batch like this one; general rows in it count for themselves
    assert batch.window is not None
    window = replace(batch.window, counts={unit: 2 * n for unit, n in batch.window.counts.items()})
    batch = replace(batch, window=window)
    terms = module.terms(module.passes(batch))
    silent = {"reg/NEFTune"}
    assert {f"reg/{name}" for name in module.regularizers} - silent == set(terms) - {"loss", "router"}
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in trained.items()}
    for name, term in reversed(terms.items()):  # the loss last: its graph is used up by one backward
        gradients = torch.autograd.grad(term.sum, list(trained.values()), retain_graph=True, allow_unused=True)
        found = [g for g in gradients if g is not None]
        assert float(term.sum.detach()) > 0, name
        assert all(bool(g.isfinite().all()) for g in found), name
        assert any(bool(g.any()) for g in found), name
        units = window.counts if name != "reg/Replay" else batch.beside[name].window.counts  # type: ignore[union-attr]
        for key, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                total[key] += gradient / units[term.unit]
    module.weighed(batch, module.terms(module.passes(batch))).backward()  # type: ignore[no-untyped-call]
    for name, parameter in trained.items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, total[name], rtol=1e-3, atol=5e-6)  # rewards are squared


def test_all_are_among_them() -> None:
    module = together(NextToken(), LoRA(rank=2))
    assert set(module.regularizers) == {cls.__name__ for cls in REGULARIZERS}
    assert set(module.regularizers) >= {"KLToBase", "L2SP", "EWC", "Replay", "LabelSmoothing", "RDrop", "NEFTune"}
