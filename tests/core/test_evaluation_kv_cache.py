"""Keys and values in room that grows ahead: the same answers, and no copy for each token."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tunesmith.evaluation.kv_cache import GrowingLayer, growing_cache

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
GREEDY = GenerationConfig(max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_all_that_was_written_is_there_in_order(lengths: list[int]) -> None:
    ours, plain = GrowingLayer(), DynamicLayer()
    for at, length in enumerate(lengths):
        new = torch.rand(2, 3, length, 4, generator=torch.Generator().manual_seed(at))
        got, expected = ours.update(new, -new), plain.update(new, -new)
        assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    assert ours.get_seq_length() == plain.get_seq_length() == sum(lengths)


def test_a_token_is_written_without_a_copy_of_those_before() -> None:
    layer = GrowingLayer()
    places = set()
    for length in (10, *([1] * 60)):
        keys, _ = layer.update(torch.rand(1, 1, length, 4), torch.rand(1, 1, length, 4))
        places.add(keys.data_ptr())
    assert len(places) == 1


def answered(model: Any) -> tuple[torch.Tensor, list[type]]:
    """Ids, and the classes of the layers of the cache."""
    ids = torch.arange(1, 31).reshape(3, 10)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    with torch.no_grad():
        said = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=GREEDY, return_dict_in_generate=True
        )
    return said.sequences, [type(layer) for layer in said.past_key_values.layers]


def test_answers_are_the_same_and_windows_keep_their_own_cache() -> None:
    torch.manual_seed(1)
    llama = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
    windowed = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)).eval()
    for model, layer in ((llama, GrowingLayer), (windowed, DynamicSlidingWindowLayer)):
        expected, plain = answered(model)
        with growing_cache(model):
            found, layers = answered(model)
        assert torch.equal(found, expected)
        assert layers == [layer, layer]
        assert answered(model)[1] == plain
