"""Decoders whose tokens see what is behind them too: within their own document, in training alone; and drawn rows."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from tunesmith import Encoded, Example, Objective, Term
from tunesmith.data.drawing import Drawing
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.errors import DataError
from tunesmith.training.attention import looking, plain_attention
from tunesmith.training.base import has_masked_head
from tunesmith.training.layouts import LAYOUTS
from tunesmith.training.probe import documents_of, probe

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 96,
}
GROUPED = {"num_key_value_heads": 1, **SIZES}
CONFIGS: dict[str, tuple[Any, str, int | None]] = {
    "llama": (transformers.LlamaConfig(**SIZES), "ragged", None),
    "gemma2": (transformers.Gemma2Config(head_dim=16, sliding_window=6, **GROUPED), "ragged", 6),
    "mistral": (transformers.MistralConfig(sliding_window=6, **GROUPED), "ragged", 6),
    "gpt2": (transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=96), "ragged", None),
    "bloom": (transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=96), "padded", None),
}


def make(config: Any) -> Any:
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    config.initializer_range = 0.3
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "bloom"])  # which adds a mask of its own to any
def test_hidden_states_of_packed_documents_are_those_of_each_alone_with_a_mask_that_hides_nothing(name: str) -> None:
    config, layout, window = CONFIGS[name]
    model = make(config)
    found = probe(model, both_ways=True)
    assert found.layout == layout
    batch = documents_of((7, 20, 4), 96)
    with looking(model, both_ways=True):
        hidden = LAYOUTS[found.layout](model.base_model, batch, both_ways=True).hidden
    assert getattr(model.config, "is_causal", True)
    for start, end in pairwise(batch.cu_seqlens.tolist()):
        length = end - start
        distance = (torch.arange(length)[:, None] - torch.arange(length)).abs()
        wide, narrow = (
            torch.where(distance <= (window if is_narrow and window else length), 0.0, torch.finfo(torch.float32).min)
            for is_narrow in (False, True)
        )
        whole: Any = {"full_attention": wide[None, None], "sliding_attention": narrow[None, None]}
        kinds = getattr(model.config, "layer_types", None)
        # Mistral's layers all have the window; Gemma 2 chooses a mask for each layer
        mask = whole if kinds and len(set(kinds)) > 1 else (narrow if window else wide)[None, None]
        with plain_attention(model):
            ids = batch.input_ids[start:end][None]
            alone = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False, is_causal=False)
        torch.testing.assert_close(hidden[start:end], alone.last_hidden_state[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_token_sees_all_of_its_document_and_nothing_of_others(name: str) -> None:
    model = make(CONFIGS[name][0])
    layout = probe(model, both_ways=True).layout
    batch = documents_of((7, 20, 4), 96)

    def hidden(ids: torch.Tensor) -> torch.Tensor:
        batch.input_ids[:] = ids
        with looking(model, both_ways=True):
            return LAYOUTS[layout](model.base_model, batch, both_ways=True).hidden

    before = batch.input_ids.clone()
    changed = before.clone()
    changed[6] += 1
    differs = (hidden(changed) - hidden(before)).abs().amax(-1) > 0
    assert set(differs.nonzero()[:, 0].tolist()) == set(range(7))


def test_a_family_whose_tokens_cannot_see_what_is_behind_them_is_refused() -> None:
    model = make(transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=96))
    with pytest.raises(DataError, match="tokens of MambaForCausalLM cannot be made to see what is behind them"):
        probe(model, both_ways=True)


def test_which_bases_have_a_head_for_masked_tokens(tmp_path: Any, tiny_base: Any) -> None:
    transformers.BertConfig(**SIZES).save_pretrained(tmp_path)
    assert has_masked_head(str(tmp_path))
    assert not has_masked_head(str(tiny_base))


class Hides(Objective):
    """Learns two tokens of each row, which are hidden."""

    def encode(self, example: Example, renderer: Any) -> list[Encoded]:
        raise NotImplementedError

    def loss(self, forward: Any) -> Term:
        raise NotImplementedError

    def draw(self, sequence: Encoded, renderer: Any, random: Any) -> Encoded:
        chosen = set(random.permutation(range(1, len(sequence.ids)))[: sequence.supervised].tolist())
        ids = tuple(0 if at in chosen else token for at, token in enumerate(sequence.ids))
        weights = tuple(float(at in chosen) for at in range(len(ids)))
        return Encoded(ids, weights, targets=sequence.ids)


def rows() -> list[EncodedRow]:
    made = []
    for number in range(12):
        ids = tuple(range(10 * number, 10 * number + 8))
        made.append(EncodedRow(Example(id=f"row-{number}"), (Encoded(ids, (0.0, *7 * [1.0]), share=0.3),)))
    return made


def test_rows_are_drawn_alike_by_any_number_of_workers_and_otherwise_in_each_epoch() -> None:
    given = rows()
    units: Any = {"token": [row.units["token"] for row in given], "example": [1] * 12}
    assert units["token"] == 12 * [2]
    seen = []
    for size, workers in ((4, 0), (4, 2), (2, 0)):
        plan = Plan([row.length for row in given], units, batch_size=size, accumulate=4 // size, seed=3)
        loader = PlanLoader(given, plan, workers=workers, draw=Drawing(Hides(), None, 3))  # type: ignore[arg-type]
        epochs = []
        for epoch in (0, 1):
            loader.position.set_epoch(epoch)
            found = {}
            for batch in loader:
                assert batch.window is not None
                assert batch.targets is not None
                for at, (start, end) in enumerate(pairwise(batch.cu_seqlens.tolist())):
                    found[batch.examples[at].id] = batch.input_ids[start:end].tolist()
                    assert int(batch.loss_weights[start:end].sum()) == 2
                    hidden = batch.input_ids[start:end] == 0
                    assert not batch.loss_weights[start:end][~hidden].any()
                assert batch.window.counts["token"] == 8
            epochs.append(dict(sorted(found.items())))
        assert epochs[0] != epochs[1]
        seen.append(epochs)
    assert seen[0] == seen[1] == seen[2]


def test_validation_draws_the_same_each_time() -> None:
    given = rows()
    loader = PlanLoader(
        given, Plan([row.length for row in given], batch_size=4, shuffle=False), draw=Drawing(Hides(), None, 3)
    )  # type: ignore[arg-type]
    found = []
    for epoch in (0, 5):
        loader.position.set_epoch(epoch)
        found.append([batch.input_ids.tolist() for batch in loader])
    assert found[0] == found[1]
