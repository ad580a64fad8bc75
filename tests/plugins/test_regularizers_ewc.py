"""EWC against a Fisher matrix by hand: gradients row by row, labels of the row and of the model."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tunesmith import Chunk, Example, Forward, RecipeError
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.ewc import EWC

PASS: Any = SimpleNamespace(hidden=torch.zeros(1, 4))


class Row(Forward):
    """A pass over one row, of an embedding under a linear head; chunks of two positions.

    Args:
        model: With `embed` and `head`.
        name: The row's id.
        inputs: Token ids, `[S]`.
        targets: The next ones.
    """

    def __init__(self, model: nn.ModuleDict, name: str, inputs: list[int], targets: list[int]) -> None:
        self.batch: Any = SimpleNamespace(examples=(Example(id=name),))
        self.model = model
        self.hidden = model["embed"](torch.tensor(inputs))
        self.supervised = torch.arange(len(inputs))
        self.targets = torch.tensor(targets)
        self.weights = torch.ones(len(inputs))

    def head(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model["head"](hidden)
        return logits

    def chunks(self) -> Iterator[Chunk]:
        yield from (
            Chunk(*parts, torch.zeros(len(parts[1]), dtype=torch.int64))  # type: ignore[arg-type]
            for parts in zip(self.hidden.split(2), self.targets.split(2), self.weights.split(2), strict=True)
        )

    def total(self, term: Any, *others: Any) -> Tensor:
        pieces = zip(self.chunks(), *(other.split(2) for other in others), strict=True)
        return torch.stack([term(*piece) for piece in pieces]).sum()

    def each(self, term: Any, *others: Any) -> Tensor:
        raise NotImplementedError

    def again(self) -> Forward:
        raise NotImplementedError

    def baseline(self) -> Forward:
        raise NotImplementedError


def language() -> nn.ModuleDict:
    torch.manual_seed(4)
    return nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})


ROWS = {"a": ([0, 1, 2], [1, 2, 3]), "b": ([3], [4]), "c": ([4, 4, 0, 1], [0, 1, 1, 2])}


def by_hand(model: nn.ModuleDict) -> dict[str, np.ndarray[Any, Any]]:
    """Squares of each row's own gradient, over the number of tokens; the derivatives written out."""
    embed, head = (model[name].weight.detach().double().numpy() for name in ("embed", "head"))
    found = {"embed.weight": np.zeros_like(embed), "head.weight": np.zeros_like(head)}
    for inputs, targets in ROWS.values():
        by_head, by_embed = np.zeros_like(head), np.zeros_like(embed)
        for one, wanted in zip(inputs, targets, strict=True):
            logits = head @ embed[one]
            p = np.exp(logits - logits.max())
            error = np.eye(5)[wanted] - p / p.sum()
            by_head += np.outer(error, embed[one])
            by_embed[one] += head.T @ error
        found["head.weight"] += by_head**2
        found["embed.weight"] += by_embed**2
    return {name: square / 8 for name, square in found.items()}


def test_ewc_weighs_each_weight_by_the_squares_of_single_rows_gradients() -> None:
    model = language()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    regularizer = EWC(Path("general.jsonl"), weight=0.7, labels="given")
    kept = regularizer.module()
    regularizer.setup(model)
    regularizer.prepare(Row(model, name, *row) for name, row in ROWS.items())
    expected = by_hand(model)
    held = {name.replace("-", "."): buffer for name, buffer in kept.named_buffers()}
    assert held.keys() == expected.keys()
    for name, fisher in expected.items():
        np.testing.assert_allclose(held[name], fisher, rtol=1e-4, atol=1e-8)
    assert all(p.grad is None for p in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    term = regularizer.penalty(PASS)
    term.sum.backward()
    total = 0.0
    for name, parameter in model.named_parameters():
        gap = (parameter.detach() - start[name]).double().numpy()
        total += 0.35 * float((expected[name] * gap**2).sum())
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad, 0.7 * expected[name] * gap, rtol=1e-4, atol=1e-8)
    assert term.unit == "step"
    assert float(term.sum.detach()) == pytest.approx(total, rel=1e-4)


def test_ewc_refuses_rows_whose_gradients_are_one() -> None:
    model = language()
    regularizer = EWC(Path("general.jsonl"))
    regularizer.module()
    regularizer.setup(model)
    several = Row(model, "a", *ROWS["a"])
    several.batch = SimpleNamespace(examples=(Example(id="a"), Example(id="b")))
    with pytest.raises(RuntimeError, match="one row a pass, and got 2"):
        regularizer.prepare(iter([several]))


def test_ewc_with_sampled_labels_is_the_fisher_information() -> None:
    model = language()
    regularizer = EWC(Path("general.jsonl"))
    kept = regularizer.module()
    regularizer.setup(model)

    def fisher() -> Tensor:
        regularizer.prepare(Row(model, f"{number}", [1], [0]) for number in range(1500))
        return kept.get_buffer("head-weight").clone()

    found = fisher()
    embed, head = (model[name].weight.detach().double().numpy() for name in ("embed", "head"))
    p = np.exp(head @ embed[1])
    p /= p.sum()
    exact = sum(share * np.outer(np.eye(5)[v] - p, embed[1]) ** 2 for v, share in enumerate(p))
    np.testing.assert_allclose(found, exact, rtol=0.2)
    given = np.outer(np.eye(5)[0] - p, embed[1]) ** 2
    assert float(np.abs(given / exact - 1).max()) > 0.5
    assert torch.equal(fisher(), found)


def test_ewc_refuses_a_weight_below_0() -> None:
    with pytest.raises(RecipeError, match=r"EWC\.weight is -1\.0; it must be 0 or more"):
        EWC(Path("x"), weight=-1.0).check(NextToken(), LoRA())
