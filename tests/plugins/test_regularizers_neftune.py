"""NEFTune: noise of the paper's size by the document's own length, the same for a row however rows are batched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tunesmith import Encoded, Example, RecipeError
from tunesmith.data.batch import Window
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.testing import models
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.neftune import NEFTune


def row(name: str, *lengths: int) -> EncodedRow:
    return EncodedRow(Example(id=name), tuple(Encoded((1,) * n, (0.0, *(1.0,) * (n - 1))) for n in lengths))


def noise(regularizer: NEFTune, rows: list[EncodedRow], epoch: int | None = 0) -> list[Tensor]:
    """What is added to each document's embeddings, which are 8 wide."""
    batch = collate(rows)
    if epoch is not None:
        batch = replace(batch, window=Window({}, 1, epoch=epoch))
    zeros = torch.zeros(len(batch.input_ids), 8)
    return list(regularizer.perturb(zeros, batch).split(batch.cu_seqlens.diff().tolist()))


@pytest.fixture
def neftune() -> NEFTune:
    torch.manual_seed(5)
    made = NEFTune(alpha=5.0)
    made.setup(nn.Linear(1, 1))
    return made


def test_neftune_scales_by_the_documents_own_length(neftune: NEFTune) -> None:
    short, long = noise(neftune, [row("a", 12), row("b", 300)])
    for part, tokens in ((short, 12), (long, 300)):
        bound = 5 / np.sqrt(tokens * 8)
        assert bound * 0.9 < float(part.abs().max()) <= bound
        # uniform in [-bound, bound]: mean square bound^2 / 3
        assert float(part.square().sum()) == pytest.approx(25 / 3, rel=0.2)
        assert abs(float(part.mean())) < bound / 4


def test_neftune_draws_by_seed_epoch_and_row_alone(neftune: NEFTune) -> None:
    a, b = noise(neftune, [row("a", 6), row("b", 6)])
    assert torch.equal(noise(neftune, [row("b", 6), row("c", 9), row("a", 6)])[2], a)
    assert not torch.equal(a, b)
    assert not torch.equal(noise(neftune, [row("a", 6)], epoch=1)[0], a)
    first, second = noise(neftune, [row("p", 6, 6)])
    assert not torch.equal(first, second)
    torch.manual_seed(99)
    assert torch.equal(noise(neftune, [row("a", 6)])[0], a)
    other = NEFTune()
    other.setup(nn.Linear(1, 1))
    assert not torch.equal(noise(other, [row("a", 6)])[0], a)


def test_neftune_acts_on_what_the_model_embeds_and_not_on_the_base() -> None:
    module = models.specialist(LoRA(rank=2), regularizers={"noise": NEFTune(20.0)})
    batch = models.batch_of(module, models.encoded(module)[:3])
    noisy, clean = module.passes(batch), module.passes(batch, perturbed=False)
    assert float((noisy.hidden - clean.hidden).detach().abs().max()) > 1e-3
    assert torch.equal(module.passes(batch).hidden, noisy.hidden)
    assert torch.equal(noisy.baseline().hidden, clean.baseline().hidden)
    assert module.term_names() == ["loss"]
    assert list(module.terms(noisy)) == ["loss"]


def test_neftune_of_no_length_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"NEFTune\.alpha is 0\.0; it must be above 0"):
        NEFTune(0.0).check(NextToken(), LoRA())
