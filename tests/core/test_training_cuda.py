"""What only a GPU runs. These tests have not run yet: no machine of the project has had one (README, "Measured")."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunesmith.training.attention import ragged_attention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
LENGTHS = (5, 64, 1, 130)


def attended(inputs: list[Tensor], window: int | None) -> list[Tensor]:
    """Output and gradients of a weighted sum of it, in fp32 on the CPU."""
    limits = torch.tensor([0, *itertools.accumulate(LENGTHS)], dtype=torch.int32, device=inputs[0].device)
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    options: dict[str, Any] = {"cu_seq_lens_q": limits, "max_length_q": max(LENGTHS), "sliding_window": window}
    out, _ = ragged_attention(nn.Identity(), *leaves, None, scaling=0.2, **options)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    (out * weights).sum().backward()
    return [out.detach().float().cpu(), *(x.grad.float().cpu() for x in leaves if x.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 1, 16])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_trap_35_attention_on_a_gpu_equals_the_cpus(key_heads: int, window: int | None, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, heads, sum(LENGTHS), 64) for heads in (4, key_heads, key_heads)]
    inputs = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    expected = attended([x.float() for x in inputs], window)
    got = attended([x.cuda() for x in inputs], window)
    assert len(got) == 4
    for found, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("adapter", ["LoRA", "QLoRA"])
def test_a_recipe_trains_and_is_judged_on_a_gpu(bench: Any, adapter: str) -> None:
    on_gpu = {"accelerator": "gpu", "devices": 1, "max_steps": 20}
    bench.write(model={"adapter": {"class_path": adapter}, "precision": "auto"}, trainer=on_gpu)
    fitted = bench.done("fit", "--config", "tiny.yaml")
    assert "bf16 (chosen: the GPU has bf16)" in fitted.out
    assert "layout      ragged" in fitted.out
    bound = "--success.perplexity/perplexity"
    bench.done("test", "--config", "tiny.yaml", f"{bound}.at_most=0.9", f"{bound}.of=base")
