"""Which layers of a model run by functions of ours, in words."""

from torch import nn

from tunesmith.training.fused_norm import is_fused_norm
from tunesmith.training.fused_rotary import turns_fused


def replaced(network: nn.Module, adapter: str) -> list[str]:
    """Kinds of layers whose forward was replaced.

    Args:
        network: With its adapter.
        adapter: Name of what made the replacements that are not ours here.
    """
    own = [module for module in network.modules() if "forward" in module.__dict__]
    norms = any(is_fused_norm(module) and not module.weight.requires_grad for module in own)
    adapted = any(not is_fused_norm(module) for module in own)
    # where the base's own layer cannot be replaced (packed weights), what is added to its output still can
    added = not adapted and any(map(_adds_otherwise, network.modules()))
    kinds = {
        "norms": norms,
        "positions": turns_fused(network),
        f"{adapter}'s layers": adapted,
        f"{adapter}'s updates": added,
    }
    return [name for name, there in kinds.items() if there]


def _adds_otherwise(module: nn.Module) -> bool:
    """Whether a layer of peft adds its update by a variant that is not peft's."""
    variants = getattr(module, "lora_variant", {}).values()
    return any(type(variant).__module__.partition(".")[0] != "peft" for variant in variants)
