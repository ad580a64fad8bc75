"""L2SP and EWC against peft's own deltas, closed forms and gradients row by row."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tunesmith import Chunk, Example, Forward, RecipeError
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.anchors import anchors
from tunesmith_plugins.regularizers.ewc import EWC
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
    for wrong in (L2SP(-1.0), L2SP(0.1, ["a"], -1.0), EWC(Path("x"), weight=-1.0)):
        with pytest.raises(RecipeError, match=r"\.(weight|new_factor) is -1\.0; it must be 0 or more"):
            wrong.check(NextToken(), LoRA())


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
    push(model)
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


def test_each_weight_has_one_anchor() -> None:
    model = net()
    assert [anchor.name for anchor in anchors(model)] == [name for name, _ in model.named_parameters()]
    assert next(anchors(model)).weight is model.up.weight
