"""Low-rank adapters over a base in 4 or 8 bit (Dettmers et al. 2022, 2023), by bitsandbytes and peft."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import RecipeError
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.lora_targets import KEY
from tunesmith_plugins.adapters.peft_based import check_ends

if TYPE_CHECKING:
    from torch import Tensor, nn


_NO_MERGE = "in 8 bit inputs are rounded too, so that a merged model would give other answers than were trained"


class QLoRA(LoRA):
    """LoRA over a base in 4 or 8 bit: a quarter, or half, of the memory, on GPU and CPU; saved in peft's format.

    Packed are plain linear layers with widths that are multiples of 64. Embeddings, the head, routers of mixtures and
    experts that a family holds in one tensor stay whole; the first lines of a run say what share of the weights is
    packed. The base that answers are compared with is the packed one.

    Since 0.1.

    Args:
        rank: Rank of the updates.
        alpha: The updates are scaled by `alpha / rank`.
        dropout: Dropout on the updates' input while training.
        targets: Linear layers to update, by the ends of their names (`q_proj`, ...), whole names, or patterns
            (`layers.1?.mlp.*`); or `all-linear`: all but the head.
        quantization: `nf4` (levels for normally distributed weights), `fp4`, or `int8` (arXiv:2208.07339; a row's
            weights share a scale, and so does a token's input, without exceptions for large features, which one
            document would choose for another). `int8` is since 0.13.
        double_quantization: Quantise the scales as well; saves another 0.4 bit a weight. Of 4 bit only.
        merge_dtype: Format in which `merge` writes the unpacked weights; without one it refuses.
        exclude: Names or patterns of what is left out of `targets`. Since 0.13.
        layers: Numbers of the decoder layers that are updated, from 0; negative ones count from the last. Since 0.13.
        rslora: Scale by `alpha / sqrt(rank)` instead (arXiv:2312.03732). Since 0.13.
        dora: Train the length of each row of the weights as well (arXiv:2402.09353); it unpacks each layer in each
            pass. Since 0.13.
        init: What the updates begin with; `loftq` with what the packing lost (arXiv:2310.08659), of a base in
            safetensors, `nf4` or `fp4`. Since 0.13.
        lr_ratio: The learning rate of `B` over that of `A`; LoRA+ found 16 good (arXiv:2402.12354). Since 0.13.
        modules_to_save: Modules that train with all their weights beside the updates (`lm_head`). Since 0.13.
        trainable_tokens: Tokens, or their ids, whose rows of embeddings and head train. Since 0.13.
    """

    pissa_iterations = None  # nothing is taken out of packed weights

    def __init__(
        self,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: list[str] | Literal["all-linear"] = "all-linear",
        quantization: Literal["nf4", "fp4", "int8"] = "nf4",
        double_quantization: bool = True,
        merge_dtype: Literal["float32", "bfloat16", "float16"] | None = None,
        exclude: list[str] | None = None,
        layers: list[int] | None = None,
        rslora: bool = False,
        dora: bool = False,
        init: Literal["default", "gaussian", "orthogonal", "loftq"] = "default",
        lr_ratio: float | None = None,
        modules_to_save: list[str] | None = None,
        trainable_tokens: list[int | str] | None = None,
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets
        self.quantization = quantization
        self.double_quantization = double_quantization
        self.merge_dtype = merge_dtype
        self.exclude = exclude
        self.layers = layers
        self.rslora = rslora
        self.dora = dora
        self.init = init
        self.lr_ratio = lr_ratio
        self.modules_to_save = modules_to_save
        self.trainable_tokens = trainable_tokens

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """Small ones that can be merged."""
        rich = cls(4, quantization="fp4", merge_dtype="float32", dora=True, lr_ratio=4.0, trainable_tokens=[3, 5])
        return [cls(4, merge_dtype="float32"), rich]

    def check(self) -> None:
        """Refuse values out of range, and what does not go together.

        Raises:
            RecipeError: Names the option, and what to do.
        """
        super().check()
        if self.quantization == "int8" and self.init == "loftq":
            msg = (
                f"{KEY}.init is loftq, which is for 4 bit, but quantization is int8; take nf4, or leave init at default"
            )
            raise RecipeError(msg)
        if self.quantization == "int8" and self.merge_dtype is not None:
            msg = f"{KEY}.merge_dtype is {self.merge_dtype}, but quantization is int8: {_NO_MERGE}; leave it out"
            raise RecipeError(msg)
        if self.dora and self.init == "loftq":
            msg = f"{KEY}.dora does not go with init loftq, whose updates are no change of direction; take one of them"
            raise RecipeError(msg)

    def load_options(self) -> dict[str, Any]:
        """The quantisation; the core sets the format it computes in to the run's precision."""
        from transformers import BitsAndBytesConfig

        from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

        load_bitsandbytes()
        if self.quantization == "int8":
            # Above the threshold a feature of all tokens is left out of the rounding once one token has it: what stands
            # beside a document would change it. At 0 each token is rounded by itself.
            config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)  # type: ignore[no-untyped-call]
            return {"quantization_config": config}
        config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type=self.quantization,
            bnb_4bit_use_double_quant=self.double_quantization,
        )
        return {"quantization_config": config}

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Add the updates to the quantised base.

        Raises:
            RecipeError: The base has no layer that can be packed, or a target is no linear layer.
        """
        from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

        eight = [layer for layer in model.modules() if isinstance(layer, Linear8bitLt)]
        if not eight and not any(isinstance(layer, Linear4bit) for layer in model.modules()):
            msg = (
                f"model.adapter: QLoRA packs plain linear layers with widths that are multiples of 64, and "
                f"{type(model).__name__} of this base has none\nuse LoRA"
            )
            raise RecipeError(msg)
        for layer in eight:
            _keep_evaluating(layer)
        attached = super().attach(model)
        if self.init == "loftq":
            self._make_up(attached)
        return attached

    def merge_refusal(self) -> str:
        """Without `merge_dtype`: folding into 4-bit weights would round the updates away (trap 22); and of 8 bit."""
        if self.quantization == "int8":
            return f"{_NO_MERGE} ({KEY}.quantization is int8); take nf4 with merge_dtype"
        if self.merge_dtype is not None:
            return ""
        return (
            "model.adapter.init_args.merge_dtype is not set: a merge into 4-bit weights would round the updates "
            "away; name float32, bfloat16 or float16, or keep the adapter"
        )

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Unpack the base to `merge_dtype` and fold the updates in; `model` is used up.

        The result is the quantised base plus the updates, as trained: not the original base plus the updates.

        Raises:
            RecipeError: No `merge_dtype` is named; folding into 4-bit weights would round the updates away (trap 22).
                Or as LoRA's.
        """
        if self.quantization == "int8":
            raise RecipeError(_NO_MERGE)
        if self.merge_dtype is None:
            raise RecipeError(self.merge_refusal())
        import torch

        check_ends(model)
        dtype = getattr(torch, self.merge_dtype)
        base = _unpack(model)
        base.is_quantized = False
        for name in ("hf_quantizer", "quantization_method"):
            if hasattr(base, name):
                delattr(base, name)
        if hasattr(base.config, "quantization_config"):
            del base.config.quantization_config
        base = super().merge(model)  # layers that were never packed: the head, odd widths
        for parameter in base.parameters():
            # not `base.to`, which would round the frequencies of the rotary positions too
            parameter.data = parameter.data.to(dtype)
        return base

    def _make_up(self, attached: Any) -> None:
        """Let the updates begin with what packing lost, as far as their rank goes: one step of LoftQ's.

        The base is loaded once more, whole. `s B A` is the best approximation of `W - packed(W)` of this rank.
        """
        import torch

        base: Any = attached.get_base_model()
        place, commit = base.config._name_or_path, getattr(base.config, "_commit_hash", None)
        whole = type(base).from_pretrained(place, dtype="auto", revision=commit or "main", local_files_only=True)
        with torch.no_grad():
            for name, layer in _layers(base):
                packed = _whole(layer.get_base_layer())
                lost = whole.get_parameter(f"{name}.weight").to(packed) - packed
                left, sizes, right = torch.linalg.svd(lost, full_matrices=False)
                root = (sizes[: self.rank] / layer.scaling["default"]).sqrt()
                layer.lora_A["default"].weight.copy_(root[:, None] * right[: self.rank])
                layer.lora_B["default"].weight.copy_(left[:, : self.rank] * root)


def _layers(base: Any) -> Iterator[tuple[str, Any]]:
    """The adapted layers that are in 4 bit."""
    from bitsandbytes.nn.modules import Linear4bit
    from peft.tuners.lora import LoraLayer

    for name, layer in base.named_modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), Linear4bit):
            yield name, layer


def _keep_evaluating(layer: "nn.Module") -> None:
    """Let a layer in 8 bit multiply in training as in evaluation.

    On a CPU bitsandbytes rounds no inputs in training: the base that answers would be another than the one that learns.
    """
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # of each product: inputs are rounded
    layer.eval()
    layer.__dict__["train"] = partial(_stay, layer)


def _stay(layer: "nn.Module", mode: bool = True) -> "nn.Module":
    return layer


def _unpack(model: Any) -> Any:
    """Replace every adapted and every 4-bit layer by a plain one that holds the whole weight, in fp32."""
    import torch
    from bitsandbytes.nn.modules import Linear4bit
    from peft.tuners.lora import LoraLayer
    from torch import nn

    base = model.get_base_model()
    folded: set[str] = set()
    for name, module in list(base.named_modules()):
        packed = module.get_base_layer() if isinstance(module, LoraLayer) else module
        # an adapted layer holds the packed one, which went with it
        if not isinstance(packed, Linear4bit) or name.rpartition(".")[0] in folded:
            continue
        folded.add(name)
        plain = nn.Linear(packed.in_features, packed.out_features, packed.bias is not None, device=packed.weight.device)
        with torch.no_grad():
            weight = _whole(packed)
            plain.weight.copy_(_updated(module, weight) if isinstance(module, LoraLayer) else weight)
            if packed.bias is not None:
                plain.bias.copy_(packed.bias)
        base.set_submodule(name, plain)
    return base


def _whole(packed: Any) -> "Tensor":
    """A 4-bit layer's weight in fp32, `[out, in]`."""
    from bitsandbytes.functional import dequantize_4bit

    weight = packed.weight.data
    # put together out of shards it is a plain tensor, and the layer alone knows how it was packed
    state = getattr(packed.weight, "quant_state", None) or packed.quant_state
    state.to(weight.device)
    whole: Tensor = dequantize_4bit(weight, state).float()
    return whole


def _updated(adapted: Any, weight: "Tensor") -> "Tensor":
    """A whole weight with the layer's update in it."""
    for name in adapted.active_adapters:
        if name in adapted.lora_magnitude_vector:  # DoRA scales rows as well
            weight = adapted.lora_variant[name].merge_safe(adapted, name, weight).float()
        else:
            weight = weight + adapted.get_delta_weight(name).float()
    return weight
