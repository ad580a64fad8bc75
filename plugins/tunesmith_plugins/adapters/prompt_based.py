"""What all adapters share that put virtual tokens before each document."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import RecipeError
from tunesmith_plugins.adapters import files
from tunesmith_plugins.adapters.peft_based import FILE, PeftBased, quiet

if TYPE_CHECKING:
    from torch import nn

    from tunesmith_plugins.adapters.virtual_tokens import Prompted

# What peft's file leaves out: how the virtual tokens are made while they train.
ENCODER = "encoder.safetensors"


class PromptBased(PeftBased):
    """An adapter that trains virtual tokens; saved in peft's format."""

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and put virtual tokens before each document.

        Raises:
            RecipeError: An option does not fit the base.
        """
        return add_prompt(self, model)

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`."""
        save_prompt(model, directory)

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the virtual tokens back, and what makes them."""
        load_prompt(model, directory)

    def loading(self, base: str) -> str:
        """The base, and peft's virtual tokens before what it reads."""
        return f"{super().loading(base)}\n{GENERATES}"

    def merge_refusal(self) -> str:
        """Always the same: no weight of the base holds virtual tokens."""
        return NO_MERGE

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Refuse: no weight of the base holds virtual tokens.

        Raises:
            RecipeError: Always.
        """
        raise RecipeError(NO_MERGE)

    @contextmanager
    def without(self, model: "nn.Module") -> Iterator[None]:
        """Context without virtual tokens."""
        with without_prompt(model):
            yield


GENERATES = """\
# peft 0.21 takes each new token for the first of a text where transformers (5.24) keeps what it has read
model.generation_config.use_cache = False"""
NO_MERGE = (
    "virtual tokens stand before each text and are no weights of the base, so that there is no plain model of the same "
    "answers; keep the adapter"
)


def add_prompt(adapter: PeftBased, model: Any) -> "nn.Module":
    """Put the virtual tokens of peft's configuration before each document that the model reads.

    Args:
        adapter: Says the configuration.
        model: The base; it is changed.

    Raises:
        RecipeError: The base cannot have them.
    """
    from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

    load_bitsandbytes()
    from peft import get_peft_model

    from tunesmith_plugins.adapters.virtual_tokens import Prompted

    config: Any = adapter.config(model)
    keys = config.peft_type.value == "PREFIX_TUNING"
    _check(model, config.num_virtual_tokens, keys)
    with quiet():
        try:
            made: Any = get_peft_model(model, config)
        except (ValueError, TypeError, OSError) as error:
            raise RecipeError(adapter.refusal(model, " ".join(str(error).split()))) from error
    model.prompt_encoder = made.prompt_encoder  # what trains is a part of the network
    model.base_model.__dict__["forward"] = Prompted(model.base_model, made, keys)
    # the context that is left for texts, as all who fill it ask for it
    sizes = model.config.get_text_config()
    if getattr(sizes, "max_position_embeddings", None):
        sizes.max_position_embeddings -= config.num_virtual_tokens
    network: nn.Module = model
    return network


def save_prompt(model: Any, directory: Path) -> None:
    """Write the virtual tokens as peft does, and beside them what makes them, where that is more than a table."""
    made = _prompted(model).made
    made.save_pretrained(directory)
    if own := _encoder(model):
        files.write(directory / ENCODER, own)


def load_prompt(model: Any, directory: Path) -> None:
    """Read back what `save_prompt` wrote.

    Raises:
        RecipeError: Names or shapes are not the model's.
    """
    import torch
    from peft import get_peft_model_state_dict

    made = _prompted(model).made
    tokens = files.read(directory / FILE, get_peft_model_state_dict(made))
    if own := _encoder(model):
        files.restore(directory / ENCODER, own)
        return
    (table,) = tokens.values()
    with torch.no_grad():
        made.prompt_encoder["default"].embedding.weight.copy_(table)


@contextmanager
def without_prompt(model: Any) -> Iterator[None]:
    """Context in which the model reads texts without virtual tokens."""
    prompted = _prompted(model)
    prompted.on = False
    try:
        yield
    finally:
        prompted.on = True


def _prompted(model: Any) -> "Prompted":
    found: Prompted = model.base_model.__dict__["forward"]
    return found


def _encoder(model: Any) -> dict[str, Any]:
    """What makes the virtual tokens, by name; empty where a table holds them."""
    own = dict(model.prompt_encoder["default"].named_parameters())
    return own if own.keys() != {"embedding.weight"} else {}


def _check(model: Any, count: int, keys: bool) -> None:
    key = "model.adapter"
    sizes = model.config.get_text_config()
    if keys and any(getattr(module, "gradient_checkpointing", False) for module in model.modules()):
        msg = (
            f"{key}: a prefix is lost where activations are computed again (model.gradient_checkpointing): "
            "transformers takes keys and values of earlier tokens away there; set it to false, or train a prompt"
        )
        raise RecipeError(msg)
    rope = getattr(sizes, "rope_parameters", None) or {}
    if "longrope" in str(rope):
        msg = (
            f"{key}: {type(model).__name__} turns long texts by other frequencies, and virtual tokens would count as "
            "text; use LoRA"
        )
        raise RecipeError(msg)
    room = getattr(sizes, "max_position_embeddings", None)
    if room and count >= room:
        msg = f"{key}: {count} virtual tokens leave no room for text: the base reads {room}"
        raise RecipeError(msg)
