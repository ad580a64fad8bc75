"""Which parts of a model no text comes to: towers for pictures and sounds, and what leads from them to the text."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import Tensor, nn

_found: "WeakKeyDictionary[nn.Module, tuple[str, ...]]" = WeakKeyDictionary()


def out_of_reach(model: "nn.Module") -> tuple[str, ...]:
    """Names of what cannot learn from text: no loss on tokens has a derivative by it.

    `Adapter.attach` leaves it alone; what trains there in spite of that is frozen. Found by a pass over a few tokens,
    once for a model as it was loaded.

    Since 0.9.

    Args:
        model: As `Adapter.attach` gets it.

    Returns:
        Modules, each for all that is in it, and parameters that no module of these holds. Of modules alike in a list
        (experts) all are within reach where one is: tokens choose among them.
    """
    if model not in _found:
        _found[model] = tuple(_outermost(model, _reached(model)))
    return _found[model]


def freeze(model: "nn.Module", places: Iterable[str]) -> tuple[str, ...]:
    """Let nothing train there, whatever an adapter has put into it; gives the names of what would have."""
    within = tuple(places)
    held = {n: p for n, p in model.named_parameters() if p.requires_grad and _lies_in(n, within)}
    for parameter in held.values():
        parameter.requires_grad_(False)
    return tuple(held)


def _lies_in(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _reached(model: "nn.Module") -> set["Tensor"]:
    """Parameters by which logits have a derivative, and packed ones, which can have none, of modules that run."""
    import torch
    from torch import nn
    from transformers import PreTrainedModel

    from tunesmith.training.attention import plain_attention
    from tunesmith.training.modes import evaluating

    if not isinstance(model, PreTrainedModel):
        return set(model.parameters())
    packed: set[torch.Tensor] = set()

    def note(module: nn.Module, _: object) -> None:
        packed.update(p for p in module.parameters(recurse=False) if not p.is_floating_point())

    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters() if parameter.is_floating_point()]
    hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
    ids = torch.arange(3, 9, device=model.device)[None] % model.config.get_text_config().vocab_size
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(True)
        with torch.enable_grad(), evaluating(model), plain_attention(model):
            logits = model(input_ids=ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
    return packed | set(_leaves(logits))


def _leaves(result: "Tensor") -> Iterator["Tensor"]:
    """What a result was computed from."""
    seen, left = set(), [result.grad_fn]
    while left:
        step = left.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if (leaf := getattr(step, "variable", None)) is not None:
            yield leaf
        left += [before for before, _ in step.next_functions]


def _outermost(module: "nn.Module", reached: set["Tensor"], prefix: str = "") -> Iterator[str]:
    """Names of the largest parts that hold parameters, none of which is reached."""
    from torch import nn

    alive = {
        type(child) for child in module.children() if any(parameter in reached for parameter in child.parameters())
    }
    chosen_from = isinstance(module, (nn.ModuleList, nn.ModuleDict))
    for name, child in module.named_children():
        held = list(child.parameters())
        if any(parameter in reached for parameter in held):
            yield from _outermost(child, reached, f"{prefix}{name}.")
        elif held and not (chosen_from and type(child) in alive):
            yield f"{prefix}{name}"
    for name, parameter in module.named_parameters(recurse=False):
        if parameter not in reached:
            yield f"{prefix}{name}"
