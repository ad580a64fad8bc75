"""Every method of peft that `Peft` takes, tried on a small base; and what it refuses, with the reason."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor

from tunesmith import RecipeError
from tunesmith.errors import DataError
from tunesmith.testing import models
from tunesmith.testing.base import quiet
from tunesmith.training.attention import plain_attention
from tunesmith.training.probe import probe, stirred
from tunesmith_plugins.adapters import peft
from tunesmith_plugins.adapters.peft import Peft

IDS = torch.arange(5, 25)[None]
SOME = ["q_proj", "v_proj", "down_proj"]
SQUARE = ["q_proj", "v_proj"]
# Options that a small base needs; whether the method can be merged.
METHODS: dict[str, tuple[dict[str, Any], bool]] = {
    "ADAMSS": ({"r": 8, "target_modules": SOME}, True),
    "ADAPTION_PROMPT": ({"adapter_len": 4, "adapter_layers": 1}, False),
    "BEFT": ({"target_modules": SOME}, False),
    "BOFT": ({"target_modules": SOME}, True),
    "C3A": ({"block_size": 16, "target_modules": SOME}, True),
    "DEFT": ({"target_modules": SOME}, True),
    "DELORA": ({"target_modules": SOME}, True),
    "FOURIERFT": ({"n_frequency": 50, "target_modules": SOME}, True),
    "FROD": ({"target_modules": SQUARE, "progressbar": False}, True),
    "GLORA": ({"target_modules": SOME}, True),
    "GRALORA": ({"target_modules": SOME}, True),
    "HIRA": ({"target_modules": SOME}, True),
    "HRA": ({"target_modules": SOME}, True),
    "IA3": ({}, True),
    "LN_TUNING": ({"target_modules": ["input_layernorm", "norm"]}, True),
    "LOHA": ({"target_modules": SOME}, True),
    "LOKR": ({"target_modules": SOME}, True),
    "MISS": ({"r": 16, "target_modules": SOME}, True),
    "OFT": ({"target_modules": SOME}, True),
    "OSF": ({"target_modules": SOME}, True),
    "PEANUT": ({"target_modules": SOME}, True),
    "PSOFT": ({"r": 8, "target_modules": SOME}, True),
    "PVERA": ({"r": 8, "target_modules": SQUARE}, True),
    "RANDLORA": ({"r": 8, "target_modules": SQUARE}, True),
    "ROAD": ({"group_size": 16, "target_modules": SOME}, True),
    "SHIRA": ({"r": 4, "target_modules": SOME}, True),
    "SUPERTUNING": ({"sparsity": 0.9, "target_modules": SOME}, True),
    "TINYLORA": ({"target_modules": SOME}, True),
    "TRAINABLE_TOKENS": ({"token_indices": [7, 9]}, True),
    "UNILORA": ({"target_modules": SOME}, True),
    "VBLORA": ({"vector_length": 16, "num_vectors": 8, "target_modules": SOME}, True),
    "VERA": ({"r": 8, "target_modules": SQUARE}, True),
    "WAVEFT": ({"n_frequency": 50, "target_modules": SOME}, True),
}
# tried in test_adapters_prompts.py
PROMPTS = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"}


def mistral() -> Any:
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=0.1,
        sliding_window=None,
    )
    return transformers.MistralForCausalLM(config).eval()


@torch.no_grad()
def logits(model: Any) -> Tensor:
    with plain_attention(model):
        out: Tensor = model(input_ids=IDS).logits
    return out


def near(one: Tensor, two: Tensor) -> bool:
    return float((one - two).abs().max() / two.abs().max()) < 1e-4


def attached(adapter: Peft, seed: int) -> Any:
    torch.manual_seed(seed)
    with quiet():
        return adapter.attach(mistral()).eval()


@pytest.mark.filterwarnings("ignore")  # of peft's methods about their own options
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_keeps_documents_apart_and_is_saved_loaded_merged_and_switched_off(
    method: str, tmp_path: Path
) -> None:
    options, merges = METHODS[method]
    adapter = Peft(method, options)
    adapter.check()
    base, network = logits(mistral()), attached(adapter, 1)
    flags = {name: p.requires_grad for name, p in network.named_parameters()}
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert trained
    network.train()
    optimizer, moved = torch.optim.Adam(trained.values(), lr=0.02), set()
    for _ in range(2):  # half of a product may begin at zero
        network(input_ids=IDS, labels=IDS).loss.backward()
        moved |= {name for name, p in trained.items() if p.grad is not None and bool(p.grad.any())}
        optimizer.step()
        optimizer.zero_grad()
    assert moved == trained.keys()
    tuned = logits(network.eval())
    assert not near(tuned, base)
    found = probe(network)
    assert found.layout == "ragged", found.reason
    with adapter.without(network):
        assert near(logits(network), base)
    assert {name: p.requires_grad for name, p in network.named_parameters()} == flags
    adapter.save(network, tmp_path)
    again = attached(adapter, 2)
    adapter.load(again, tmp_path)
    assert near(logits(again), tuned)
    with quiet():
        assert near(logits(PeftModel.from_pretrained(mistral(), tmp_path).eval()), tuned)
    assert bool(adapter.merge_refusal()) != merges  # said before a stage trains that another follows
    if not merges:
        with pytest.raises(RecipeError, match=f"peft cannot fold {method} into the base"):
            adapter.merge(network)
        return
    merged: Any = adapter.merge(network)
    assert near(logits(merged.eval()), tuned)
    assert {name for name, _ in merged.named_parameters()} == {name for name, _ in mistral().named_parameters()}


def test_no_method_of_peft_is_left_out() -> None:
    known = {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert known == {*METHODS, *PROMPTS, *peft._REFUSED}
    for method in [*METHODS, *PROMPTS, *peft._REFUSED]:
        assert method in (Peft.__doc__ or "")


@pytest.mark.parametrize("method", sorted(peft._REFUSED))
def test_methods_that_cannot_train_here_are_refused_with_the_reason(method: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Peft(method.lower()).check()
    assert str(caught.value).endswith(f"which cannot be trained by this adapter: {peft._REFUSED[method]}")


def test_a_method_whose_documents_would_mix_is_seen_though_it_begins_as_nothing(monkeypatch: Any) -> None:
    monkeypatch.delitem(peft._REFUSED, "LILY")
    adapter = Peft("LILY", {"target_modules": SOME})
    network = attached(adapter, 1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert near(logits(network), logits(mistral()))
    assert probe(network).layout == "ragged", "else the test shows nothing"
    with stirred(network.parameters()):
        assert not near(logits(network), logits(mistral()))
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    with pytest.raises(DataError, match="documents influence each other in MistralForCausalLM, packed and padded"):
        models.specialist(adapter)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (Peft("IA33"), r"method is IA33, which is no method of this peft; did you mean IA3\?\nit has ADALORA, "),
        (Peft("OFT", {"oft_blocksize": 4}), r"oft_blocksize is no option of OFTConfig; did you mean oft_block_size"),
        (Peft("VERA", {"r": "many"}), r"options\.r is 'many'; VeraConfig takes a whole number there"),
        (Peft("VERA", {"r": True}), r"options\.r is True; VeraConfig takes a whole number"),
        (Peft("VERA", {"vera_dropout": "no"}), r"vera_dropout is 'no'; VeraConfig takes a number"),
        (Peft("VERA", {"target_modules": [1]}), r"takes a list of text or text or null there"),
        (Peft("VERA", {"inference_mode": True}), r"options\.inference_mode is no option of VeraConfig"),
        (Peft("DEFT", {"decomposition_method": "lu"}), r"is 'lu'; DeftConfig takes relu, qr there"),
        (Peft("DELORA", {"rank_pattern": {"q_proj": 4}, "lambda_pattern": 3}), r"lambda_pattern is 3; .* takes a map"),
        (Peft("VERA", {"projection_prng_key": 1, "layers_pattern": "h"}), r"init_args\.options: .*layers_to_transform"),
        (Peft("VERA", {"bias": "all"}), r"options\.bias is all: biases of the base would train"),
        (Peft("ADAMSS", {"use_asa": True}), r"options\.use_asa is true, which asks for a callback"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.method,
)  # fmt: skip
def test_options_are_checked_against_the_fields_of_pefts_configuration(adapter: Peft, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        adapter.check()


def test_options_that_fit_are_taken_as_they_are() -> None:
    options: Any = {"r": 4, "vera_dropout": 0, "target_modules": "all-linear", "layers_to_transform": None}
    made = Peft("vera", options).config(mistral())
    assert (made.r, made.vera_dropout, made.target_modules, made.task_type) == (4, 0, "all-linear", "CAUSAL_LM")
    assert Peft("LOKR", {"rank_pattern": {"q_proj": 4}}).config(mistral()).rank_pattern == {"q_proj": 4}
    assert Peft("P_TUNING", {"num_virtual_tokens": 4, "encoder_reparameterization_type": "LSTM"}).virtual_tokens == 4


def test_what_the_base_lacks_is_refused_in_words_of_the_recipe(monkeypatch: Any) -> None:
    with pytest.raises(RecipeError, match=r"options: .*q_porj.*"), quiet():
        Peft("OFT", {"target_modules": ["q_porj"]}).attach(mistral())
    model = mistral()
    monkeypatch.setattr(type(model.config), "model_type", "unheard_of")
    with pytest.raises(RecipeError, match="peft has no targets for MistralForCausalLM; give target_modules"), quiet():
        Peft("VERA").attach(model)
