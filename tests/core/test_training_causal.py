"""bf16 attention of one document on a CPU: its derivative against double precision, and where SDPA's own stays."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tunesmith.training import attention
from tunesmith.training.causal import attend, suits

HEADS = [(1, 1, 8), (9, 3, 64), (4, 4, 80)]


def made(heads: int, served: int, length: int, width: int, dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    """Query, key, value and the gradient of the output."""
    generator = torch.Generator().manual_seed(length)
    counts = (heads, served, served, heads)
    return [torch.randn(1, count, length, width, generator=generator).to(dtype) for count in counts]


def derived(run: Any, inputs: list[Tensor], outer: Tensor) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    out = run(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, outer.to(out.dtype))]


def apart(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 300, 768])
@pytest.mark.parametrize(("heads", "served", "width"), HEADS)
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_output_and_gradients_are_those_of_double_precision_but_for_bf16(
    heads: int, served: int, width: int, length: int, scaling: float | None
) -> None:
    *inputs, outer = made(heads, served, length, width)

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True)

    expected = derived(plain, [x.double() for x in inputs], outer)
    got = derived(lambda q, k, v: attend(q, k, v, scaling), inputs, outer)
    theirs = derived(plain, inputs, outer)
    assert torch.equal(got[0], theirs[0])
    for own, sdpa, wanted in zip(got[1:], theirs[1:], expected[1:], strict=True):
        if length > 1 or wanted.norm() > 0:  # the one weight of a lone token is 1, whatever its score
            assert apart(own, wanted) < max(0.01, 2 * apart(sdpa, wanted))


def test_only_bf16_training_on_a_cpu_in_short_documents_of_equal_widths_takes_it() -> None:
    q, k, v, _ = made(4, 2, 768, 16)
    q.requires_grad_()
    assert suits(q, k, v)
    assert not suits(q.float(), k.float(), v.float())
    assert not suits(q, k, v[..., :8])
    assert not suits(q.detach(), k, v)
    with torch.no_grad():
        assert not suits(q, k, v)
    q, k, v, _ = made(4, 2, 769, 16)
    assert not suits(q.requires_grad_(), k, v)


def test_ragged_batches_take_it_document_by_document_and_leave_windows_and_dropout_to_sdpa(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    *inputs, outer = made(4, 2, 30, 16)
    limits = torch.tensor([0, 5, 30], dtype=torch.int32)
    seen: list[int] = []

    def watched(q: Tensor, k: Tensor, v: Tensor, scaling: float | None) -> Tensor:
        seen.append(q.shape[2])
        return attend(q, k, v, scaling)

    def run(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        limited: dict[str, Any] = {"cu_seq_lens_q": limits, "max_length_q": 25, **options}
        return attention.ragged_attention(torch.nn.Identity(), q, k, v, None, **limited)[0].transpose(1, 2)

    monkeypatch.setattr(attention, "attend", watched)
    expected = derived(run, [x.double() for x in inputs], outer)
    assert seen == []
    got = derived(run, inputs, outer)
    assert seen == [5, 25]
    assert all(apart(one, other) < 0.01 for one, other in zip(got, expected, strict=True))
    for options in ({"sliding_window": 4}, {"dropout": 0.5}, {"is_causal": False}, {"softcap": 5.0}):
        derived(lambda q, k, v, chosen=options: run(q, k, v, **chosen), inputs, outer)
    assert seen == [5, 25]
    derived(lambda q, k, v: run(q, k, v, sliding_window=25), inputs, outer)  # a window as long as the longest is none
    assert seen == [5, 25, 5, 25]
