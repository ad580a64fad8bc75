"""What no text comes to is found in every kind of model, and does not train."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from torch import Tensor, nn

from tunesmith import Adapter, out_of_reach
from tunesmith.training import attach
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.objectives.next_token import NextToken

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
TEXT: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
SIGHT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
TURNED = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}}
ACROSS = {"hidden_size": 32, "attention_heads": 2, "num_hidden_layers": 1, "num_global_layers": 1}
ACROSS |= {"intermediate_size": 32, "image_size": 28, "patch_size": 14, "vision_output_dim": 64}


def build(family: str, text: dict[str, Any], vision: dict[str, Any], **options: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(text_config=text, vision_config=vision, **options)
    return getattr(transformers, f"{family}ForConditionalGeneration")(config)


def llava() -> Any:
    text, vision = TEXT | {"model_type": "llama"}, SIGHT | {"model_type": "clip_vision_model"}
    return build("LlavaNext", text, vision, image_token_index=90)


def mistral() -> Any:
    text, vision = TEXT | {"model_type": "mistral"}, SIGHT | {"model_type": "pixtral", "head_dim": 16}
    return build("Mistral3", text, vision, image_token_index=90)


def qwen() -> Any:
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64}
    return build("Qwen2_5_VL", TEXT | TURNED, vision, image_token_id=90, video_token_id=91)


def mllama() -> Any:
    vision = ACROSS | {"intermediate_layers_indices": [0]}
    return build("Mllama", TEXT | {"cross_attention_layers": [1], "pad_token_id": 0}, vision)


@pytest.mark.parametrize(
    ("made", "places"),
    [
        (llava, {"model.vision_tower", "model.multi_modal_projector", "model.image_newline"}),
        (mistral, {"model.vision_tower", "model.multi_modal_projector"}),
        (qwen, {"model.visual"}),
        # a layer that looks at pictures only, amid those of the text
        (mllama, {"model.vision_model", "model.multi_modal_projector", "model.language_model.layers.1"}),
    ],
)
def test_towers_projectors_and_layers_for_pictures_are_out_of_reach(made: Any, places: set[str]) -> None:
    model = made()
    model.get_input_embeddings().weight.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    before = torch.get_rng_state()
    assert set(out_of_reach(model)) == places
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


class Choosing(nn.Module):
    """Experts of which no token asks the second, beside a layer that nothing asks."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.experts = nn.ModuleList([first, second])
        self.aside = nn.Linear(64, 64)

    def forward(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.experts[0](hidden)
        return found


def test_experts_that_the_tried_tokens_did_not_choose_are_within_reach() -> None:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT))
    layers: Any = model.model.layers
    layers[0].mlp = Choosing(layers[0].mlp, layers[1].mlp)
    layers[1].mlp = nn.Identity()
    assert out_of_reach(model) == ("model.layers.0.mlp.aside",)


class Everywhere(Adapter):
    """Updates every linear layer, asked or not."""

    def attach(self, model: nn.Module) -> nn.Module:
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "fc1"], task_type="CAUSAL_LM")
        return peft.get_peft_model(model, config)  # type: ignore[arg-type, return-value]

    def save(self, model: nn.Module, directory: Path) -> None:
        raise NotImplementedError

    def load(self, model: nn.Module, directory: Path) -> None:
        raise NotImplementedError


def test_what_any_adapter_puts_out_of_reach_does_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    vision = SIGHT | {"model_type": "siglip_vision_model"}
    model = build("Gemma3", TEXT | {"head_dim": 16}, vision, mm_tokens_per_image=4, image_token_index=90)
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    monkeypatch.setattr(attach, "load_base", lambda *_, **__: (model.eval(), tokenizer))
    module = Specialist("any", NextToken(), Everywhere(), precision="fp32")
    module.load()
    assert len(module.trained_names) == 2 * TEXT["num_hidden_layers"]
    assert all("language_model.layers" in name for name in module.trained_names)
    assert module.attached is not None
    said = "no text reaches model.vision_tower, model.multi_modal_projector: left as they are in the base"
    assert module.attached.unreached() == said
