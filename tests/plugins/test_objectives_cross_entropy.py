"""The loss and its written-out derivative against torch's own and against the definition in numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith_plugins.objectives.cross_entropy import cross_entropies


@settings(max_examples=50)
@given(
    rows=st.integers(0, 6),
    width=st.integers(2, 40),
    scale=st.sampled_from([0.1, 3.0, 60.0]),
    shift=st.sampled_from([0.0, 500.0, -500.0]),
    seed=st.integers(0, 99),
)
def test_loss_and_gradient_are_those_of_the_definition(
    rows: int, width: int, scale: float, shift: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(rows, width, generator=generator) * scale + shift).requires_grad_()
    targets = torch.randint(0, width, (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator) * 2
    loss = cross_entropies(logits, targets) @ weights
    (0.5 * loss).backward()
    exact = logits.detach().double().numpy()
    powers = np.exp(exact - exact.max(-1, initial=-np.inf, keepdims=True))
    chances = powers / powers.sum(-1, keepdims=True)
    normaliser = exact.max(-1, initial=-np.inf) + np.log(powers.sum(-1))
    place = (np.arange(rows), targets.numpy())
    expected = ((normaliser - exact[place]) * weights.numpy()).sum()
    assert float(loss.detach()) == pytest.approx(expected, rel=2e-5, abs=1e-4 * max(1, abs(shift)))
    chances[place] -= 1
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), 0.5 * chances * weights.numpy()[:, None], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_equals_torchs_loss_and_gradient(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (torch.randn(30, 500) * 4).to(dtype).requires_grad_()
    targets, weights = torch.randint(0, 500, (30,)), torch.rand(30)
    ours = cross_entropies(logits, targets) @ weights
    (gradient,) = torch.autograd.grad(ours, logits)
    theirs = F.cross_entropy(logits.float(), targets, reduction="none") @ weights
    (expected,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient, expected, rtol=1e-5 if dtype == torch.float32 else 0.01, atol=1e-7)
    with torch.no_grad():
        assert torch.equal(cross_entropies(logits, targets) @ weights, theirs)


def test_a_second_backward_over_the_same_graph_is_refused() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    loss = cross_entropies(logits, torch.tensor([0, 1, 2])).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
