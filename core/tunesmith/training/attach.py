"""From a recipe's words to a model that can train: base, adapter, modules of plugins, probe."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_layers import GradientCheckpointingLayer

from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Adapter, Objective, Regularizer
from tunesmith.training.attention import language_model
from tunesmith.training.base import has_masked_head, load_base
from tunesmith.training.classes import trains_head
from tunesmith.training.fused_norm import fuse_norms
from tunesmith.training.fused_rotary import fuse_rotary, unfuse_rotary
from tunesmith.training.kernels import fused_kernels
from tunesmith.training.packed import numel, packed_share
from tunesmith.training.probe import Probe, probe, stirred
from tunesmith.training.randomness import seeded
from tunesmith.training.reach import freeze, out_of_reach
from tunesmith.training.router import RouterLoss, find_router_loss
from tunesmith.training.sharding import Root

Checkpointing = Literal["selective"] | bool
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Attached:
    """A loaded model with its adapter.

    Args:
        model: transformers' model.
        network: What the adapter made of it; the model itself is inside.
        tokenizer: The base's.
        probe: Layout and head.
        extras: Modules of the objective (`objective`) and of regularizers (`reg-<name>`), trained beside the adapter.
        seed: Torch's, from which random weights came.
        router: The loss that balances experts, where there is one.
        beyond: Modules and parameters of the model that no text reaches; they do not train.
        held: Names of the parameters there that the adapter would have trained, and saves.
        root: Gathers the weights where they are sharded.
        counted: `sizes` of before that: a shard of a packed weight no longer says what it stands for.
        both_ways: Whether attention looks to both sides in a decoder while it is trained.
    """

    model: PreTrainedModel
    network: nn.Module
    tokenizer: PreTrainedTokenizerBase
    probe: Probe
    extras: nn.ModuleDict
    seed: int
    router: RouterLoss | None
    beyond: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    root: Root | None = None
    counted: tuple[int, int] | None = None
    both_ways: bool = False

    def sizes(self) -> tuple[int, int]:
        """Number of trained parameters and of all; a weight packed to 4 bit counts as what it stands for."""
        if self.counted is not None:
            return self.counted
        parameters = [*self.network.parameters(), *self.extras.parameters()]
        return sum(p.numel() for p in parameters if p.requires_grad), sum(numel(p) for p in parameters)

    def quadratic(self) -> float:
        """What attention costs a token for each token of its row, against all its products with weights.

        Scores and sums of values are `2 * 2 * width * layers` operations for each of half a row's tokens, products with
        weights 2 for each of them.
        """
        config = self.model.config.get_text_config()
        width, layers = getattr(config, "hidden_size", 0) or 0, getattr(config, "num_hidden_layers", 0) or 0
        return width * layers / max(1, sum(numel(p) for p in self.model.base_model.parameters()))

    def unreached(self) -> str:
        """What stays as it is because no text reaches it, in words; empty if there is no such part."""
        named, more = ", ".join(self.beyond[:_NAMED]), len(self.beyond) - _NAMED
        several = f" and {more} more" if more > 0 else ""
        return f"no text reaches {named}{several}: left as they are in the base" if self.beyond else ""

    def quantization(self) -> str:
        """How the base is quantised, and how much of it, in words; empty if it is not."""
        config = getattr(self.model.config, "quantization_config", None)
        if config is None:
            return ""
        kind = getattr(config, "bnb_4bit_quant_type", None)
        if getattr(config, "load_in_8bit", False):
            kind = "int8"
        if kind is None:
            return f", base quantised to {getattr(config, 'quant_method', 'few bits')}"
        return f", base quantised to {kind} ({packed_share(self.model):.0%} of its weights)"


class Untouched(Adapter):
    """Nothing trains: a second copy of a base.

    Args:
        like: Says how it is loaded, such as quantised.
    """

    def __init__(self, like: Adapter | None = None) -> None:
        self.like = like

    def load_options(self) -> dict[str, Any]:
        """The other's."""
        return {} if self.like is None else self.like.load_options()

    def attach(self, model: nn.Module) -> nn.Module:
        """Freeze all."""
        return model.requires_grad_(False)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Nothing was trained."""
        raise NotImplementedError

    def load(self, model: nn.Module, directory: Path) -> None:
        """Nothing was trained."""
        raise NotImplementedError


def attach(
    base: str,
    objective: Objective,
    adapter: Adapter,
    regularizers: Mapping[str, Regularizer],
    *,
    dtype: torch.dtype,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    from_scratch: bool = False,
    gradient_checkpointing: Checkpointing = False,
    router: float | None = None,
    revision: str | None = None,
) -> Attached:
    """Load the base, attach the adapter, make trained weights fp32, and find out how the model can run.

    Raises:
        DataError: The base cannot be loaded, or mixes documents in every layout.
        RecipeError: The method does not fit the base.
    """
    objective.check()
    adapter.check()
    needed = objective.model_class
    both_ways = needed == "masked" and not has_masked_head(base, revision)
    model, tokenizer = load_base(
        base,
        options=adapter.load_options(),
        dtype=dtype,
        from_scratch=from_scratch,
        model_class="causal" if both_ways else needed,
        revision=revision,
        config=objective.base_config(),
    )
    if gradient_checkpointing:
        recompute(model, gradient_checkpointing)
    more: Any = {"autocast": autocast, "router": router, "both_ways": both_ways}
    return attach_to(model, tokenizer, objective, adapter, regularizers, **more)


def attach_to(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    objective: Objective,
    adapter: Adapter,
    regularizers: Mapping[str, Regularizer],
    *,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    router: float | None = None,
    probed: Probe | None = None,
    both_ways: bool = False,
) -> Attached:
    """The part of `attach` that comes after loading.

    Args:
        model: The base; it is changed.
        tokenizer: The base's.
        objective: It may have a module.
        adapter: Attached to the model.
        regularizers: They may have modules.
        autocast: Makes the context in which it is going to run.
        router: Factor of the loss that balances experts; None for what the base's own config says.
        probed: What a probe of another copy of the model found, where the adapter changes nothing; None to find out.
        both_ways: Whether attention is to look to both sides in a decoder.

    Raises:
        DataError: The base mixes documents in every layout.
    """
    beyond = out_of_reach(model)
    base = {id(parameter) for parameter in model.parameters()}
    with seeded(torch.initial_seed()):
        network = adapter.attach(model)
        if fused_kernels():
            fuse_norms(network)
            fuse_rotary(network)
        else:
            unfuse_rotary(network)
        # a copy of the base to compare with has none: a plugin knows its module by the last one that it made
        extras = nn.ModuleDict() if isinstance(adapter, Untouched) else _extras(objective, regularizers, model)
    held = freeze(language_model(network), beyond)  # DDP waits for the gradient of whatever trains
    for parameter in network.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()
    classes = objective.model_class == "classification"
    if classes and not isinstance(adapter, Untouched) and not trains_head(network, model):
        msg = f"model.adapter: {type(adapter).__name__} does not train the head for classes; use LoRA or Full"
        raise RecipeError(msg)
    with stirred(parameter for parameter in network.parameters() if id(parameter) not in base):
        found = probed or probe(network, adapter.layout, autocast, classes=classes, both_ways=both_ways)
    loss = find_router_loss(language_model(network), router)
    seed = torch.initial_seed()
    made = Attached(language_model(network), network, tokenizer, found, extras, seed, loss, beyond, held)
    return replace(made, both_ways=both_ways)


def share_frozen(copy: nn.Module, own: nn.Module) -> None:
    """Let a copy of the base hold what is the same in the model that trains in the same memory.

    Args:
        copy: The base, of which nothing trains.
        own: The model with its adapter, on the same device; what an adapter has moved or changed is not shared.
    """
    there = dict(language_model(own).named_parameters())
    for name, parameter in language_model(copy).named_parameters():
        other = there.get(name)
        if other is None or other.requires_grad or not parameter.is_floating_point():
            continue
        if isinstance(other, DTensor) or isinstance(parameter, DTensor):
            continue
        alike = (other.dtype, other.shape, other.device) == (parameter.dtype, parameter.shape, parameter.device)
        if alike and torch.equal(other, parameter):
            parameter.data = other.data


def recompute(model: PreTrainedModel, which: Checkpointing) -> None:
    """Compute activations again in backward instead of keeping them: in all layers, in every second one, or in none.

    Raises:
        RecipeError: The model cannot.
    """
    if not which:
        disable = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
        disable()
        return
    if not model.supports_gradient_checkpointing:
        msg = f"model.gradient_checkpointing: {type(model).__name__} does not support it; leave it false"
        raise RecipeError(msg)
    # the reentrant kind would need an input with gradients, or no adapter weight gets any (trap 25)
    # renamed in transformers 5; the old name warns
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    if which == "selective":
        layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        if len(layers) < 2:
            msg = f"model.gradient_checkpointing: {type(model).__name__} has no layers to select from; use true"
            raise RecipeError(msg)
        for layer in layers[1::2]:
            layer.gradient_checkpointing = False


def _extras(objective: Objective, regularizers: Mapping[str, Regularizer], model: PreTrainedModel) -> nn.ModuleDict:
    modules = {"objective": objective.module(model.config)}
    modules |= {f"reg-{name}": regularizer.module() for name, regularizer in regularizers.items()}
    return nn.ModuleDict({name: module for name, module in modules.items() if module is not None})
