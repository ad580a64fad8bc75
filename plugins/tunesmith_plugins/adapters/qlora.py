"""Low-rank adapters over a base that is quantised to 4 bit (Dettmers et al. 2023), by bitsandbytes and peft."""

from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import RecipeError
from tunesmith_plugins.adapters.lora import LoRA

if TYPE_CHECKING:
    from torch import nn


class QLoRA(LoRA):
    """LoRA over a base in 4 bit: a quarter of the memory, on GPU and CPU; saved in peft's format.

    Packed are plain linear layers with widths that are multiples of 64. Embeddings, the head, routers of mixtures and
    experts that a family holds in one tensor stay whole; the first lines of a run say what share of the weights is
    packed.

    Since 0.1.

    Args:
        rank: Rank of the updates.
        alpha: The updates are scaled by `alpha / rank`.
        dropout: Dropout on the updates' input while training.
        targets: Names of the linear layers to update (`q_proj`, ...), or `all-linear`: all but the head.
        quantization: `nf4` (levels for normally distributed weights) or `fp4`.
        double_quantization: Quantise the scales as well; saves another 0.4 bit a weight.
        merge_dtype: Format in which `merge` writes the unpacked weights; without one it refuses.
    """

    def __init__(
        self,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: list[str] | Literal["all-linear"] = "all-linear",
        quantization: Literal["nf4", "fp4"] = "nf4",
        double_quantization: bool = True,
        merge_dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    ) -> None:
        super().__init__(rank, alpha, dropout, targets)
        self.quantization = quantization
        self.double_quantization = double_quantization
        self.merge_dtype = merge_dtype

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A small one that can be merged."""
        return [cls(rank=4, merge_dtype="float32")]

    def load_options(self) -> dict[str, Any]:
        """The quantisation; the core sets the format it computes in to the run's precision."""
        from transformers import BitsAndBytesConfig

        from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

        load_bitsandbytes()
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
        from bitsandbytes.nn.modules import Linear4bit

        if not any(isinstance(layer, Linear4bit) for layer in model.modules()):
            msg = (
                f"model.adapter: QLoRA packs plain linear layers with widths that are multiples of 64, and "
                f"{type(model).__name__} of this base has none\nuse LoRA"
            )
            raise RecipeError(msg)
        return super().attach(model)

    def merge_refusal(self) -> str:
        """Without `merge_dtype`: folding into 4-bit weights would round the updates away (trap 22)."""
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
        if self.merge_dtype is None:
            raise RecipeError(self.merge_refusal())
        import torch

        self._check_merge(model)
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


def _unpack(model: Any) -> Any:
    """Replace every adapted and every 4-bit layer by a plain one that holds the whole weight, in fp32."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
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
            held: Any = packed.weight
            weight = dequantize_4bit(held.data, held.quant_state).float()
            if isinstance(module, LoraLayer):
                adapted: Any = module
                weight += sum(adapted.get_delta_weight(name).float() for name in adapted.active_adapters)
            plain.weight.copy_(weight)
            if packed.bias is not None:
                plain.bias.copy_(packed.bias)
        base.set_submodule(name, plain)
    return base
