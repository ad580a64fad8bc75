"""The kit's base is loaded once; what a plugin does to its copy reaches no other."""

import pytest
import torch

from tunesmith.testing import base, models
from tunesmith.testing.encodings import renderer_of
from tunesmith.training.attach import attach_to
from tunesmith.training.base import load_base


def test_a_copy_computes_what_a_base_loaded_anew_does_by_the_same_layout() -> None:
    copied = models.specialist()
    attached = attach_to(*load_base(base.tiny_base()), models.NextToken(), models.AllWeights(), {})
    assert attached.probe.layout == copied.layout == "ragged"
    batch = models.batch_of(copied, models.encoded(copied))
    loaded = models.specialist()
    loaded.settle(attached)
    loaded.network = attached.network
    assert torch.equal(models.logits(loaded, batch), models.logits(copied, batch))
    assert {type(module).__name__ for module in attached.model.modules() if "forward" in module.__dict__} == {
        type(module).__name__ for module in copied.passes.model.modules() if "forward" in module.__dict__
    }


def test_no_change_of_weights_reaches_another_copy() -> None:
    before = models.specialist()
    changed = models.specialist()
    batch = models.batch_of(changed, models.encoded(changed)[:2])
    hidden = changed.passes(batch).hidden
    with torch.no_grad():
        for parameter in changed.network.parameters():
            parameter.mul_(2.0)
        # the head is that of this copy
        assert torch.equal(changed.passes.head(hidden), 2 * before.passes.head(hidden))
    after = models.specialist()
    for one, other in zip(before.network.parameters(), after.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(models.logits(before, batch), models.logits(after, batch))


@pytest.mark.parametrize("change", ["pad", "template", "tokens"])
def test_no_change_of_a_tokenizer_reaches_the_next(change: str) -> None:
    tokenizer = renderer_of().tokenizer
    said, size, pad = tokenizer.backend_tokenizer.to_str(), len(tokenizer), tokenizer.pad_token
    if change == "pad":
        tokenizer.pad_token = tokenizer.eos_token
        assert tokenizer.pad_token != pad
    if change == "template":
        tokenizer.chat_template = "{{ messages }}"
    if change == "tokens":
        tokenizer.add_tokens(["<dose>", "<unit>"])
    following = renderer_of().tokenizer
    assert following.pad_token == pad
    assert following.chat_template != "{{ messages }}"
    assert len(following) == size
    assert following.backend_tokenizer.to_str() == said
