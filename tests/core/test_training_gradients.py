"""The gradient's norm does not depend on how weights are cut, ordered, or kept."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tunesmith.training.gradients import norm


def exact(tensors: list[Tensor]) -> float:
    return math.sqrt(math.fsum(float(tensor.double().square().sum()) for tensor in tensors))


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 5000) | st.integers(60000, 200000), min_size=1, max_size=6),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.floats(-8, 8),
)
def test_any_cut_has_the_norm_of_the_whole(seed: int, lengths: list[int], dtype: torch.dtype, power: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    whole = (torch.randn(sum(lengths), generator=draw) * 10**power).to(dtype)
    wanted = exact([whole])
    for parts in (list(whole.split(lengths)), [whole]):
        found = norm(parts)
        assert found.dtype == torch.float64
        assert float(found) == pytest.approx(wanted, rel=3e-7)


def test_a_large_tensor_is_as_exact_as_its_parts() -> None:
    draw = torch.Generator().manual_seed(0)
    large = torch.randn(3_000_001, generator=draw).view(1, -1).t()  # no row of it is whole in memory
    assert float(norm([large])) == pytest.approx(exact([large]), rel=1e-7)
    assert float(torch.nn.utils.get_total_norm([large])) != pytest.approx(exact([large]), rel=1e-5), "torch's would do"


def test_kinds_of_numbers_may_be_mixed_and_what_is_no_number_shows() -> None:
    tensors = [torch.full((3,), 2.0), torch.full((2, 2), 3.0, dtype=torch.bfloat16), torch.zeros(0)]
    assert float(norm(tensors)) == pytest.approx(math.sqrt(3 * 4 + 4 * 9))
    assert float(norm([])) == 0.0
    assert math.isnan(float(norm([torch.tensor([1.0, math.nan])])))
    assert math.isinf(float(norm([torch.tensor([1.0, -math.inf])])))
