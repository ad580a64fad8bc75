"""LabelSmoothing and RDrop against their papers' formulas, by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith import Chunk, Forward, RecipeError
from tunesmith.testing import models
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.label_smoothing import LabelSmoothing
from tunesmith_plugins.regularizers.rdrop import RDrop

WEIGHTS = (1.0, 0.5, 2.0, 1.0, -1.0)


class Toy(Forward):
    """A pass whose hidden states are given, under a linear head; all positions are supervised.

    Args:
        hidden: `[S, width]`.
        head: From width to the vocabulary.
        again: The hidden states of the second pass.
    """

    def __init__(self, hidden: Tensor, head: nn.Linear, again: Tensor | None = None) -> None:
        self.hidden, self._head, self._again = hidden, head, again
        self.targets = torch.arange(len(hidden)) % head.out_features
        self.weights = torch.tensor(WEIGHTS[: len(hidden)])

    def head(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._head(hidden)
        return logits

    def chunks(self) -> Iterator[Chunk]:
        yield Chunk(self.hidden, self.targets, self.weights, torch.zeros(len(self.hidden), dtype=torch.int64))

    def total(self, term: Any, *others: Any) -> Tensor:
        pieces = zip(self.chunks(), *(other.chunks() for other in others), strict=True)
        return torch.stack([term(*piece) for piece in pieces]).sum()

    def each(self, term: Any, *others: Any) -> Tensor:
        raise NotImplementedError

    def again(self) -> Forward:
        assert self._again is not None
        return Toy(self._again, self._head)

    def baseline(self) -> Forward:
        raise NotImplementedError


def toy(again: bool = True) -> Toy:
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(4, 7, bias=False)
    with torch.no_grad():
        head.weight.normal_(generator=generator)
    first, second = (torch.randn(5, 4, generator=generator).requires_grad_() for _ in range(2))
    return Toy(first, head, second if again else first.detach().clone())


def probabilities(logits: Tensor) -> np.ndarray[Any, Any]:
    values = logits.detach().double().numpy()
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_label_smoothing_is_the_divergence_from_the_uniform_distribution() -> None:
    forward = toy()
    term = LabelSmoothing(0.3).penalty(forward)
    q = probabilities(forward.head(forward.hidden))
    expected = 0.3 * (np.log(1 / 7 / q).mean(1) * np.abs(WEIGHTS)).sum()
    assert term.unit == "token"
    assert float(term.sum.detach()) == pytest.approx(expected, rel=1e-5)
    term.sum.backward()
    assert forward.hidden.grad is not None
    by_logit = 0.3 * (q - 1 / 7) * np.abs(WEIGHTS)[:, None]
    np.testing.assert_allclose(forward.hidden.grad, by_logit @ forward._head.weight.detach().numpy(), rtol=1e-4)


def test_label_smoothing_beside_the_loss_is_the_loss_of_smoothed_labels() -> None:
    plain, smoothed = toy(), toy()
    plain.weights = smoothed.weights = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25])
    share = 0.1
    weight = share / (1 - share)
    objective, regularizer = NextToken(), LabelSmoothing(weight)
    total = objective.loss(plain).sum + regularizer.penalty(plain).sum
    reference = NextToken(label_smoothing=share).loss(smoothed).sum * (1 + weight)
    constant = weight * np.log(7) * float(plain.weights.sum())
    assert float(total.detach()) == pytest.approx(float(reference.detach()) - constant, rel=1e-5)
    total.backward()
    reference.backward()
    assert plain.hidden.grad is not None
    torch.testing.assert_close(plain.hidden.grad, smoothed.hidden.grad)


def test_labels_are_not_smoothed_twice() -> None:
    LabelSmoothing(0.1).check(NextToken(), LoRA())
    with pytest.raises(RecipeError, match=r"label_smoothing \(0.1\) does already; set that to 0"):
        LabelSmoothing(0.1).check(NextToken(label_smoothing=0.1), LoRA())
    with pytest.raises(RecipeError, match=r"model\.regularizers\.soft: LabelSmoothing smooths"):
        models.specialist(objective=NextToken(label_smoothing=0.1), regularizers={"soft": LabelSmoothing(0.1)})


@pytest.mark.parametrize(
    "wrong", [LabelSmoothing(-1.0), LabelSmoothing(float("nan")), RDrop(-0.5), RDrop(float("inf"))]
)
def test_numbers_out_of_range_are_refused(wrong: Any) -> None:
    with pytest.raises(RecipeError, match=rf"{type(wrong).__name__}\.weight is .*; it must be 0 or more"):
        wrong.check(NextToken(), LoRA())


def test_rdrop_is_half_of_both_divergences_with_gradients_through_both_passes() -> None:
    forward = toy()
    regularizer = RDrop(0.5)
    regularizer.setup(nn.Linear(1, 1))
    term = regularizer.penalty(forward)
    assert forward._again is not None
    p, q = (probabilities(forward.head(hidden)) for hidden in (forward.hidden, forward._again))
    expected = 0.5 / 2 * ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    assert term.unit == "token"
    assert float(term.sum.detach()) == pytest.approx(expected, rel=1e-5)
    term.sum.backward()
    other = toy()
    assert other._again is not None
    one, two = other.head(other.hidden), other.head(other._again)
    # as the authors compute it (github.com/dropreg/R-Drop)
    both = F.kl_div(one.log_softmax(-1), two.softmax(-1), reduction="sum") + F.kl_div(
        two.log_softmax(-1), one.softmax(-1), reduction="sum"
    )
    (0.5 / 2 * both).backward()
    for mine, theirs in ((forward.hidden, other.hidden), (forward._again, other._again)):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_rdrop_says_so_where_nothing_drops_out() -> None:
    regularizer = RDrop()
    regularizer.setup(nn.Linear(1, 1))
    with pytest.raises(RecipeError, match=r"nothing drops out here\nset dropout of model.adapter"):
        regularizer.penalty(toy(again=False))
    module = models.specialist(LoRA(rank=2), regularizers={"agree": RDrop()})
    batch = models.batch_of(module, models.encoded(module)[:2])
    with pytest.raises(RecipeError, match="nothing drops out here"):
        module.terms(module.passes(batch))
    dropping = models.specialist(LoRA(rank=2, dropout=0.2), regularizers={"agree": RDrop()})
    assert float(dropping.terms(dropping.passes(batch))["reg/agree"].sum.detach()) == 0, "updates are 0 at first"
    models.move(dropping)
    assert float(dropping.terms(dropping.passes(batch))["reg/agree"].sum.detach()) > 0
