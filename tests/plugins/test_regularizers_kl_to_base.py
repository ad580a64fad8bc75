"""KLToBase: zero at the base, the formula elsewhere, and no trace left in the model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tunesmith import Adapter, Example, Message
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.kl_to_base import KLToBase

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.Gemma2Config(  # soft-caps in attention and head
        vocab_size=4096,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=2.0,
        initializer_range=0.3,
    )
    transformers.Gemma2ForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


def moved(base: str, adapter: Adapter) -> tuple[Specialist, Any]:
    """A model away from its base, and a batch."""
    torch.manual_seed(1)
    module = Specialist(base, NextToken(), adapter, precision="fp32")
    module.load()
    with torch.no_grad():
        for name, parameter in module.network.named_parameters():
            if "lora_B" in name or (isinstance(adapter, Full) and parameter.ndim > 1):
                parameter += 0.1 * torch.randn_like(parameter)
    rows = []
    for text in ("a cough", "three days of fever and a rash"):
        example = Example(messages=(Message("user", text), Message("assistant", text, weight=0.5)))
        rows.append(EncodedRow(example, tuple(module.objective.encode(example, module.renderer))))
    return module, collate(rows)


@pytest.mark.parametrize("adapter", [LoRA(rank=4, dropout=0.3), Full()], ids=["lora", "full"])
def test_the_penalty_is_the_weighted_divergence_of_tuned_from_base(base: str, adapter: Adapter) -> None:
    module, batch = moved(base, adapter)
    module.eval()
    forward = module.passes(batch)
    penalty = KLToBase(0.25).penalty(forward)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    expected = 0.0
    for start, end in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True):
        p = _distribution(plain(input_ids=batch.input_ids[start:end][None]).logits[0])
        alone = module.passes(_slice(batch, int(start), int(end)))
        q = _distribution(alone.head(alone.hidden))
        learned = batch.loss_weights[start:end].numpy()[1:] != 0
        expected += (p[:-1] * np.log(p[:-1] / q[:-1])).sum(1)[learned].sum()
    assert penalty.unit == "token"
    assert float(penalty.sum.detach()) == pytest.approx(0.25 * expected, rel=1e-4)
    assert expected > 0.01


def _distribution(logits: torch.Tensor) -> np.ndarray:
    values = logits.detach().double().numpy()
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _slice(batch: Any, start: int, end: int) -> Any:
    from dataclasses import replace

    return replace(
        batch,
        input_ids=batch.input_ids[start:end],
        position_ids=batch.position_ids[start:end],
        cu_seqlens=torch.tensor([0, end - start], dtype=torch.int32),
        loss_weights=batch.loss_weights[start:end],
        max_seqlen=end - start,
    )


def test_it_is_zero_at_the_base_and_its_gradient_pulls_back(base: str) -> None:
    torch.manual_seed(0)
    module = Specialist(base, NextToken(), LoRA(rank=4), precision="fp32")
    module.load()
    _, batch = moved(base, LoRA(rank=4))
    assert float(KLToBase(1.0).penalty(module.passes(batch)).sum.detach()) == pytest.approx(0, abs=1e-4)
    away, batch = moved(base, LoRA(rank=4))
    before = KLToBase(1.0).penalty(away.passes(batch)).sum
    before.backward()
    with torch.no_grad():
        for parameter in away.network.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * parameter.grad
    assert float(KLToBase(1.0).penalty(away.passes(batch)).sum.detach()) < float(before.detach())


@pytest.mark.parametrize("adapter", [LoRA(rank=4, dropout=0.3), Full()], ids=["lora", "full"])
def test_trap_45_the_base_pass_leaves_modes_flags_random_state_and_gradients(base: str, adapter: Adapter) -> None:
    module, batch = moved(base, adapter)
    module.train()
    module.passes(batch).baseline()  # the first one of Full loads its copy
    forward = module.passes(batch)
    flags = {n: p.requires_grad for n, p in module.named_parameters()}
    modes = [m.training for m in module.network.modules()]
    state = torch.get_rng_state()
    penalty = KLToBase(0.5).penalty(forward)
    assert torch.equal(torch.get_rng_state(), state)
    assert {n: p.requires_grad for n, p in module.named_parameters()} == flags
    assert [m.training for m in module.network.modules()] == modes
    baseline = forward.baseline()
    assert not baseline.hidden.requires_grad
    assert torch.equal(baseline.hidden, baseline.again().hidden)
    penalty.sum.backward()
    trained = [p for p in module.network.parameters() if p.requires_grad]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)


def test_chunks_of_tuned_and_base_line_up(base: str) -> None:
    from dataclasses import replace

    module, batch = moved(base, LoRA(rank=4))
    whole = KLToBase(1.0).penalty(module.passes(batch)).sum
    small = replace(module.passes, logits_bytes=3 * 4 * 4096)
    pieces = KLToBase(1.0).penalty(small(batch)).sum
    torch.testing.assert_close(pieces, whole)
    names = [n for n, p in module.network.named_parameters() if p.requires_grad]
    parameters = [p for p in module.network.parameters() if p.requires_grad]
    one, other = (torch.autograd.grad(loss, parameters) for loss in (whole, pieces))
    for name, a, b in zip(names, one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_a_second_pass_draws_fresh_dropout(base: str) -> None:
    module, batch = moved(base, LoRA(rank=4, dropout=0.3))
    module.train()
    forward = module.passes(batch)
    assert not torch.equal(forward.again().hidden, forward.hidden)
    assert torch.equal(forward.again().supervised, forward.supervised)


def test_loss_and_penalty_share_one_run_of_the_head_and_their_gradients_add_up(base: str) -> None:
    from dataclasses import replace

    module, batch = moved(base, LoRA(rank=4))
    runs: list[bool] = []

    def head(hidden: torch.Tensor) -> torch.Tensor:
        runs.append(hidden.requires_grad)
        return module.passes.head(hidden)

    def gradients(*terms: Any) -> list[torch.Tensor]:
        module.zero_grad()
        forward = replace(module.passes, head=head)(batch)
        torch.stack([term(forward).sum for term in terms]).sum().backward()
        return [p.grad.clone() for p in module.network.parameters() if p.grad is not None]

    loss, penalty = module.objective.loss, KLToBase(0.5).penalty
    alone = [a + b for a, b in zip(gradients(loss), gradients(penalty), strict=True)]
    runs.clear()
    together = gradients(loss, penalty)
    assert sorted(runs) == [False, True]  # the base's, without a graph; the tuned model's, once
    for got, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)
    forward = module.passes(batch)
    with torch.no_grad():
        loss(forward)
    loss(forward).sum.backward()  # logits made without a graph are not taken for one who needs it
