"""Heads for classes: pooled as transformers' own forward pools, in both layouts; whose they are, how they begin."""

import copy
import re
import shutil
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import AutoModelForSequenceClassification

from tunesmith.data.batch import Batch
from tunesmith.errors import DataError, RecipeError
from tunesmith.training import classes
from tunesmith.training.attention import plain_attention
from tunesmith.training.base import load_base, own_classes
from tunesmith.training.classes import check_order, find_class_head, known_classes, pooled, renew_head
from tunesmith.training.layouts import LAYOUTS, positions
from tunesmith.training.probe import documents_of, probe

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 96,
}
MODERN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
CONFIGS: dict[str, tuple[Any, str, str]] = {
    "bert": (transformers.BertConfig(**SIZES), "ragged", "first"),
    "roberta": (transformers.RobertaConfig(**SIZES), "ragged", "first"),
    "distilbert": (
        transformers.DistilBertConfig(dim=32, hidden_dim=48, n_layers=2, n_heads=2, vocab_size=96),
        "ragged",
        "first",
    ),
    "albert": (transformers.AlbertConfig(embedding_size=16, **SIZES), "ragged", "first"),
    "electra": (transformers.ElectraConfig(embedding_size=16, **SIZES), "ragged", "first"),
    "deberta": (transformers.DebertaV2Config(**SIZES), "padded", "first"),
    "modernbert": (transformers.ModernBertConfig(local_attention=8, **MODERN, **SIZES), "ragged", "first"),
    "modernbert-mean": (
        transformers.ModernBertConfig(classifier_pooling="mean", local_attention=8, **MODERN, **SIZES),
        "ragged",
        "mean",
    ),
    "llama": (transformers.LlamaConfig(pad_token_id=0, **SIZES), "ragged", "last"),
    "gemma2": (transformers.Gemma2Config(num_key_value_heads=1, head_dim=16, **SIZES), "ragged", "last"),
    "gpt2": (
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=96, pad_token_id=0),
        "ragged",
        "last",
    ),
    "bloom": (
        transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=96, pad_token_id=0),
        "padded",
        "last",
    ),
}


def make(name: str) -> Any:
    config = copy.deepcopy(CONFIGS[name][0])
    torch.manual_seed(0)
    config.id2label = {0: "a", 1: "b", 2: "c"}
    if hasattr(config, "initializer_range"):
        config.initializer_range = 0.3
    return AutoModelForSequenceClassification.from_config(config)


def documents(pad: int) -> Batch:
    """Three documents without a token that a family takes for padding."""
    batch = documents_of((7, 20, 4), 96)
    batch.input_ids[batch.input_ids == pad] = 11
    return batch


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_gradients_of_packed_documents_are_those_of_transformers_own_forward(name: str) -> None:
    model = make(name)
    found = probe(model, classes=True)
    assert (found.layout, found.pool) == CONFIGS[name][1:]
    batch = documents(model.config.pad_token_id)
    model.eval()
    logits = found.head(pooled(LAYOUTS[found.layout](model.base_model, batch).hidden, batch, found.pool or "last"))
    inside = torch.zeros(3, 20, dtype=torch.bool)
    inside[batch.sequence, batch.position_ids] = True
    ids = torch.full((3, 20), model.config.pad_token_id)
    ids[inside] = batch.input_ids
    with plain_attention(model):
        expected = model(input_ids=ids, attention_mask=inside.long()).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    trained = list(model.parameters())
    weigh = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0], [0.2, 0.3, 2.0]])
    one, other = (
        torch.autograd.grad((weigh * value.softmax(-1)).sum(), trained, allow_unused=True)
        for value in (logits, expected)
    )
    assert any(part is not None and float(part.abs().max()) > 1e-3 for part in one)
    for got, want in zip(one, other, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(zero if got is None else got, zero if want is None else want, rtol=1e-3, atol=1e-5)


def test_packed_documents_of_an_encoder_see_what_is_behind_in_themselves_and_nothing_of_others() -> None:
    model = make("modernbert").eval()
    assert probe(model, classes=True).layout == "ragged"
    batch = documents(0)
    hidden = LAYOUTS["ragged"](model.base_model, batch).hidden
    for changed, moved in ((6, range(7)), (26, range(7, 27))):
        other = documents(0)
        other.input_ids[changed] = 50
        differs = (LAYOUTS["ragged"](model.base_model, other).hidden - hidden).abs().amax(-1) > 0
        # two layers, of which one sees four tokens to each side and one all of its document
        assert set(differs.nonzero()[:, 0].tolist()) == set(moved)


def test_robertas_positions_begin_behind_that_of_padding() -> None:
    model = make("roberta")
    assert positions(model) == model.config.max_position_embeddings - 2
    assert positions(make("bert")) == 512


def test_a_family_whose_logits_are_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "pooled", lambda hidden, batch, pool: hidden[1:3])
    with pytest.raises(DataError, match=r"LlamaForSequenceClassification: logits of classes .* cannot be trained"):
        find_class_head(make("llama").eval(), 1e-5)


def test_a_new_head_is_drawn_by_the_seed_and_one_of_the_same_classes_is_kept(tmp_path: Any, tiny_base: Any) -> None:
    named = {"id2label": {0: "cold", 1: "warm"}, "label2id": {"cold": 0, "warm": 1}}
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        torch.rand(seed)
        model, _ = load_base(str(tiny_base), model_class="classification", config=named)
        heads.append(model.score.weight.detach())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert own_classes(str(tiny_base)) == []
    model.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(tmp_path)
    assert own_classes(str(tmp_path)) == ["cold", "warm"]
    torch.manual_seed(3)
    again, _ = load_base(str(tmp_path), model_class="classification", config=named)
    assert torch.equal(again.score.weight, model.score.weight)
    with pytest.raises(RecipeError, match=re.escape("classes in another order; write them as ['cold', 'warm']")):
        load_base(str(tmp_path), model_class="classification", config={"id2label": {0: "warm", 1: "cold"}})
    for other in ({0: "wet", 1: "dry"}, {0: "wet", 1: "dry", 2: "warm"}):
        torch.manual_seed(1)
        fresh, _ = load_base(str(tmp_path), model_class="classification", config={"id2label": other})
        assert fresh.score.weight.shape[0] == len(other)
        assert not torch.isin(fresh.score.weight, model.score.weight).any()
        assert torch.equal(fresh.model.embed_tokens.weight, model.model.embed_tokens.weight)


def test_padded_texts_can_be_read_by_plain_transformers_where_the_base_names_no_padding(tiny_base: Any) -> None:
    model, tokenizer = load_base(str(tiny_base), model_class="classification", config={"id2label": {0: "a", 1: "b"}})
    assert model.config.pad_token_id is not None
    assert model.config.pad_token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id)


def test_which_classes_a_config_knows() -> None:
    config = transformers.LlamaConfig(**SIZES)
    assert known_classes(config) == []
    config.architectures, config.id2label = ["LlamaForSequenceClassification"], {1: "b", 0: "a"}
    assert known_classes(config) == ["a", "b"]
    check_order(["a", "b"], {0: "a", 1: "b"})
    check_order([], {0: "a"})


def test_renewing_a_head_leaves_the_body_as_it_is() -> None:
    model = make("bert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nn.init.ones_(model.classifier.weight)
    renew_head(model)
    for name, value in model.state_dict().items():
        same = torch.equal(value, before[name])
        assert same == (name != "classifier.weight"), name


def test_a_body_that_is_not_whole_is_no_base_for_a_head(tmp_path: Any, tiny_base: Any) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_base, tmp_path / "base")
    weights = load_file(tmp_path / "base/model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "base/model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 weights of MistralForSequenceClassification, first model\.layers\.1"):
        load_base(str(tmp_path / "base"), model_class="classification", config={"id2label": {0: "a", 1: "b"}})


def test_loading_says_nothing_of_a_head_that_is_new_as_it_has_to_be(
    tiny_base: Any, caplog: pytest.LogCaptureFixture
) -> None:
    load_base(str(tiny_base), model_class="classification", config={"id2label": {0: "a", 1: "b"}})
    assert caplog.messages == []
