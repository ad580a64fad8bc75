"""Low-rank adapters (Hu et al. 2021), by peft."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from tunesmith import Adapter, RecipeError, did_you_mean, fused_kernels, out_of_reach

if TYPE_CHECKING:
    from torch import nn


# Layers whose weights are read past them: `out_proj`'s by fast kernels, where peft refuses it (tuners/tuners_utils.py),
# `dt_proj`'s by the families' own code, where an update would never be asked for.
_PAST_THE_LAYER = {
    **dict.fromkeys(("falcon_h1", "mamba2", "nemotron_h"), ("out_proj",)),
    **dict.fromkeys(("falcon_mamba", "mamba"), ("out_proj", "dt_proj")),
    "jamba": ("dt_proj",),
}
# To peft each of these means experts and routers as well, where a family has them in tensors.
_EXPERTS = {"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"}


class LoRA(Adapter):
    """Trains a low-rank update of each targeted matrix; saved in peft's format.

    Since 0.1.

    Args:
        rank: Rank of the updates.
        alpha: The updates are scaled by `alpha / rank`.
        dropout: Dropout on the updates' input while training.
        targets: Names of the linear layers to update (`q_proj`, ...), or `all-linear`: all but the head, and but
            `out_proj` and `dt_proj` in Mamba's layers, which read their weights past the layer. Of Mixtral and of
            mixtures built like Qwen2-MoE, experts and routers too, which are tensors without a layer: with `dropout` 0
            only. Never layers that no text reaches (a tower for pictures).
    """

    def __init__(
        self,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: list[str] | Literal["all-linear"] = "all-linear",
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A small one."""
        return [cls(rank=4)]

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and add the updates, zero at the start.

        Raises:
            RecipeError: A target is no linear layer of this model, or none that text could train.
        """
        from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

        load_bitsandbytes()
        from peft import LoraConfig, TaskType, get_peft_model

        from tunesmith_plugins.adapters.fused_lora import fuse
        from tunesmith_plugins.adapters.fused_mlp import fuse_mlps
        from tunesmith_plugins.adapters.fused_shared import share

        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self.targets,
            exclude_modules=self._left_out(model),
            task_type=TaskType.CAUSAL_LM,
        )
        self._check(model)
        layers = _linear(model)
        with warnings.catch_warnings():
            # peft asks transformers by a name that is going to be removed; nothing that a user could change
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            # GPT-2's layers hold their weights transposed; peft sees it and says so
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
            # of a merge, which is refused then
            warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True` and a tied layer", UserWarning)
            # peft brings patterns for fused experts, which is where the updates are not where `targets` names none
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
            try:
                attached = get_peft_model(model, config)
            except ValueError as error:
                raise RecipeError(self._refusal(model, layers, str(error))) from error
        if fused_kernels():
            fuse(attached)
            share(attached)
            fuse_mlps(attached)
        return attached

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`."""
        model.save_pretrained(directory, save_embedding_layers=False)  # type: ignore[operator]

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the updates back, name by name."""
        import torch
        from peft import get_peft_model_state_dict
        from safetensors.torch import load_file

        path = directory / "adapter_model.safetensors"
        if not path.is_file():
            msg = f"{directory} holds no adapter_model.safetensors"
            raise RecipeError(msg)
        saved = load_file(path)
        own = get_peft_model_state_dict(model, save_embedding_layers=False)
        different = sorted(set(saved) ^ set(own)) or sorted(n for n in own if own[n].shape != saved[n].shape)
        if different:
            msg = f"{path} does not fit: {len(different)} tensors differ in name or shape, first {different[0]}"
            raise RecipeError(msg)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(saved[name])

    def loading(self, base: str) -> str:
        """The base, and peft's updates over it."""
        return f"{base}\nfrom peft import PeftModel\nmodel = PeftModel.from_pretrained(model, directory)"

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Fold the updates into the base's own weights; `model` is used up.

        Raises:
            RecipeError: The base is quantised: its grid would swallow the updates. Or it has one matrix for embeddings
                and head, and an update of either: it would be folded into both.
        """
        if getattr(model.get_base_model(), "is_quantized", False):  # type: ignore[operator]
            msg = "the base is quantised: folding the updates into its weights would round them away; keep the adapter"
            raise RecipeError(msg)
        self._check_merge(model)
        from tunesmith_plugins.adapters.fused_lora import unfuse
        from tunesmith_plugins.adapters.fused_mlp import unfuse_mlps

        unfuse_mlps(model)
        unfuse(model)
        merged: nn.Module = model.merge_and_unload(safe_merge=True)  # type: ignore[operator]
        return merged

    @contextmanager
    def without(self, model: "nn.Module") -> Iterator[None]:
        """Context in which the updates are left out; peft's own switches `requires_grad` on afterwards (trap 45)."""
        trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        model.base_model.disable_adapter_layers()  # type: ignore[union-attr, operator]
        try:
            yield
        finally:
            model.base_model.enable_adapter_layers()  # type: ignore[union-attr, operator]
            for parameter, flag in trained:
                parameter.requires_grad_(flag)

    def _check_merge(self, model: "nn.Module") -> None:
        from peft.tuners.lora import LoraLayer

        base = model.get_base_model()  # type: ignore[operator]
        ends = [base.get_input_embeddings(), base.get_output_embeddings()]
        if None not in ends and ends[0].weight is ends[1].weight and any(isinstance(end, LoraLayer) for end in ends):
            msg = (
                f"embeddings and head of {type(base).__name__} are one matrix, into which an update of either would be "
                "folded for both; keep the adapter"
            )
            raise RecipeError(msg)

    def _refusal(self, model: "nn.Module", layers: set[str], said: str) -> str:
        """What peft refuses, in words of the recipe."""
        if "lora_dropout" not in said:
            return f"model.adapter.init_args.targets: {' '.join(said.split())}"
        plain = sorted(layers - _EXPERTS - {"lm_head"})
        return (
            f"model.adapter.init_args.dropout is {self.dropout}, but {type(model).__name__} holds its experts in "
            f"tensors without a layer, where peft drops nothing out\nset it to 0.0, or leave the experts out: targets: "
            f"[{', '.join(plain)}]"
        )

    def _check(self, model: "nn.Module") -> None:
        if self.rank < 1:
            msg = f"model.adapter.init_args.rank is {self.rank}; it must be 1 or more"
            raise RecipeError(msg)
        if self.alpha < 1:
            msg = f"model.adapter.init_args.alpha is {self.alpha}; it must be 1 or more, or the updates have no effect"
            raise RecipeError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"model.adapter.init_args.dropout is {self.dropout}; it must be 0 or more and below 1"
            raise RecipeError(msg)
        if self.targets != "all-linear":
            self._check_targets(model, self.targets)

    def _left_out(self, model: "nn.Module") -> list[str] | str | None:
        """What peft is to leave alone: names, or a pattern of whole names."""
        past = list(_past(model)) if self.targets == "all-linear" else []
        beyond = out_of_reach(model)
        return "|".join([_inside(beyond), *(rf"(?:.*\.)?{name}" for name in past)]) if beyond else past or None

    def _check_targets(self, model: "nn.Module", targets: list[str]) -> None:
        layers = {
            name
            for name, module in model.named_modules()
            if getattr(module, "weight", None) is not None and module.weight.ndim == 2
        }
        within = {name for name in layers if not re.fullmatch(_inside(out_of_reach(model)), name)}
        names = {name.rsplit(".", 1)[-1] for name in within}
        trainable = ", ".join(sorted(names - {*_past(model)}))
        for target in targets:
            meant = [name for name in layers if f".{name}".endswith(f".{target}")]
            why = ""
            if meant and within.isdisjoint(meant):
                why = f"no text reaches {min(meant)}"
            elif meant and target.rsplit(".", 1)[-1] in _past(model):
                why = f"{type(model).__name__} reads its weight past the layer"
            if why:
                msg = f"model.adapter.init_args.targets: {target} would never train: {why}\nthere are {trainable}"
                raise RecipeError(msg)
        unknown = [target for target in targets if target.rsplit(".", 1)[-1] not in names]
        if unknown or not targets:
            said = "names no layer"
            if unknown:
                said = f"{unknown[0]} is no layer of this base{did_you_mean(unknown[0], names)}"
            msg = f"model.adapter.init_args.targets: {said}\nit has {', '.join(sorted(names))}, or say all-linear"
            raise RecipeError(msg)


def _inside(places: tuple[str, ...]) -> str:
    """A pattern of these places and of all that is in them."""
    return rf"(?:{'|'.join(map(re.escape, places))})(?:\..*)?"


def _past(model: "nn.Module") -> tuple[str, ...]:
    return _PAST_THE_LAYER.get(str(getattr(getattr(model, "config", None), "model_type", "")), ())


def _linear(model: "nn.Module") -> set[str]:
    from torch import nn

    layers = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    beyond = _inside(out_of_reach(model))
    return {name.rsplit(".", 1)[-1] for name in layers if not re.fullmatch(beyond, name)}
