"""Freeze and BitFit: exactly what they name trains, as in full fine-tuning, and plain torch loads what they save."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from tunesmith import RecipeError
from tunesmith.testing import models
from tunesmith.training.attention import language_model
from tunesmith_plugins.adapters.bitfit import BitFit
from tunesmith_plugins.adapters.freeze import Freeze

SIZES = {"vocab_size": 96, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
IDS = torch.arange(5, 25)[None]


def llama(**options: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, num_key_value_heads=2, **options))


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=96, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1, pad_token_id=2
    )
    model = transformers.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.1)
    return model


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def step(model: Any) -> dict[str, Tensor]:
    """A step of plain gradient descent; returns the gradients."""
    model(input_ids=IDS, labels=IDS).loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad
                parameter.grad = None
    return gradients


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model.eval()(input_ids=IDS).logits
    return out


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        (Freeze(last=1), {"model.layers.2."}),
        (Freeze(), {"model.layers.1.", "model.layers.2."}),
        (Freeze(last=0, modules=["layers.0.mlp", "v_proj"]), {"model.layers.0.mlp.", "v_proj"}),
        (Freeze(last=0, modules=["layers.[01].*.o_proj"]), {"0.self_attn.o_proj", "1.self_attn.o_proj"}),
        (Freeze(last=0, modules=["model.norm.weight"]), {"model.norm.weight"}),
        (Freeze(last=0, norms=True), {"norm"}),
        (Freeze(last=0, embeddings=True), {"embed_tokens"}),
        (Freeze(last=0, head=True), {"lm_head"}),
    ],
    ids=lambda value: "" if isinstance(value, set) else f"{value.last}-{value.modules}-{value.norms}",
)
def test_freeze_trains_what_is_named_by_full_fine_tunings_gradients(adapter: Freeze, expected: set[str]) -> None:
    full = step(llama())
    named = {name for name in full if any(part in name for part in expected)}
    model = adapter.attach(llama())
    assert trained(model) == named
    gradients = step(model)
    assert gradients.keys() == named
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, full[name], rtol=1e-5, atol=1e-8)


def test_a_tied_head_trains_with_the_embeddings_and_stays_tied(tmp_path: Path) -> None:
    model = Freeze(last=0, head=True).attach(llama(tie_word_embeddings=True))
    assert trained(model) == {"model.embed_tokens.weight"}
    step(model)
    Freeze().save(model, tmp_path)
    plain: Any = llama(tie_word_embeddings=True)
    plain.load_state_dict(load_file(tmp_path / "trained.safetensors"), strict=False)
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    assert torch.equal(logits(plain), logits(model))


@pytest.mark.parametrize("adapter", [Freeze(last=1, norms=True), BitFit(add=True)], ids=["freeze", "bitfit"])
def test_the_file_holds_what_trained_and_nothing_else(adapter: Any, tmp_path: Path) -> None:
    model = adapter.attach(llama())
    step(model)
    adapter.save(model, tmp_path)
    (file,) = tmp_path.iterdir()
    saved = load_file(file)
    assert saved.keys() == trained(model)
    assert all(torch.equal(saved[name], model.get_parameter(name)) for name in saved)
    again = adapter.attach(llama())
    adapter.load(again, tmp_path)
    assert torch.equal(logits(again), logits(model))
    file.unlink()
    with pytest.raises(RecipeError, match=f"holds no {file.name}"):
        adapter.load(again, tmp_path)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (Freeze(last=9), r"init_args\.last is 9; this base has 3 layers"),
        (
            Freeze(modules=["layers.0.mpl"]),
            r"modules: layers.0.mpl is no module.*did you mean mlp\?\nthere are .*q_proj",
        ),
        (BitFit(["q_prj"], add=True), r"modules: q_prj is no module of this base; did you mean q_proj"),
        (BitFit(), r"LlamaForCausalLM of this base has no biases\nset model\.adapter\.init_args\.add to true"),
        (BitFit(["norm"], add=True), "has no biases in norm"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_there_is_refused(adapter: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        adapter.attach(llama())


def test_options_that_cannot_be_are_refused_before_a_base_is_loaded() -> None:
    with pytest.raises(RecipeError, match=r"init_args\.last is -1; it must be 0 or more"):
        Freeze(last=-1).check()
    with pytest.raises(RecipeError, match="nothing trains with last 0; give last, modules"):
        Freeze(last=0).check()
    Freeze(last=0, head=True).check()


def test_a_packed_weight_cannot_be_named() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(16, 24, dtype=torch.uint8), requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.float().T

    model = llama()
    model.set_submodule("model.layers.0.mlp.down_proj", Packed())
    with pytest.raises(RecipeError, match=r"down_proj\.weight of this base is quantised, so that it cannot train"):
        Freeze(last=0, modules=["down_proj"]).attach(model)


def test_layers_in_no_list_have_to_be_named() -> None:
    model: Any = llama()
    model.config.num_hidden_layers = 7
    with pytest.raises(RecipeError, match="LlamaForCausalLM has no list of its layers; set last to 0 and name modules"):
        Freeze().attach(model)


def test_bitfit_trains_all_biases_and_no_matrix() -> None:
    full = step(gpt2())
    biases = {name for name in full if name.endswith(".bias")}
    model = BitFit().attach(gpt2())
    assert trained(model) == biases
    # of each layer: two norms, attention in and out, MLP in and out; the last norm
    assert sum(model.get_parameter(name).numel() for name in biases) == 2 * 16 * (2 + 3 + 1 + 4 + 1) + 16
    gradients = step(model)
    for name in biases:
        torch.testing.assert_close(gradients[name], full[name], rtol=1e-5, atol=1e-8)
    assert trained(BitFit(["c_attn"]).attach(gpt2())) == {f"transformer.h.{n}.attn.c_attn.bias" for n in range(2)}
    assert BitFit().merge(model) is model


def test_added_biases_are_those_of_the_formula() -> None:
    before = logits(llama())
    model: Any = BitFit(["v_proj", "down_proj"], add=True).attach(llama())
    assert trained(model) == {
        f"model.layers.{n}.{place}.bias" for n in range(3) for place in ("self_attn.v_proj", "mlp.down_proj")
    }
    torch.testing.assert_close(logits(model), before)
    step(model)
    layer = model.model.layers[1].mlp.down_proj
    x = torch.randn(2, 24)
    assert layer.bias.norm() > 0
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)
    with pytest.raises(RecipeError, match="LlamaForCausalLM has no place for biases that were added to it"):
        BitFit(add=True).merge(model)
    assert model.lm_head.bias is None
    assert not [name for name in trained(BitFit(add=True).attach(llama())) if "lm_head" in name]


def test_the_copy_that_comparisons_load_shares_what_does_not_train() -> None:
    adapter = Freeze(last=1)
    module = models.specialist(adapter)
    untouched = models.logits(module, batch := models.batch_of(module, models.encoded(module)[:2]))
    rows = models.encoded(module)[:4]
    models.train(module, rows)
    copy = language_model(module.load_baseline())
    own = dict(language_model(module.network).named_parameters())
    shared = {name for name, p in copy.named_parameters() if p.data_ptr() == own[name].data_ptr()}
    assert shared == {name for name, p in own.items() if not p.requires_grad}
    assert not any(p.requires_grad for p in copy.parameters())
    module.eval()
    forward = module.passes(batch)
    base = forward.baseline()
    assert torch.equal(base.head(base.hidden).float(), untouched)
    assert not torch.equal(forward.head(forward.hidden).float(), untouched)
