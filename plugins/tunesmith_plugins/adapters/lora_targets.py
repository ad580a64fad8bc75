"""Which matrices LoRA updates: names and patterns become what peft targets and what it leaves out."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from tunesmith import RecipeError, did_you_mean, out_of_reach
from tunesmith_plugins.adapters.named import as_regex, check_known, decoder_layers, is_pattern, means

if TYPE_CHECKING:
    from torch import nn

KEY = "model.adapter.init_args"
AllLinear = Literal["all-linear"]
# Layers whose weights are read past them: `out_proj`'s by fast kernels, where peft refuses it (tuners/tuners_utils.py),
# `dt_proj`'s by the families' own code, where an update would never be asked for.
_PAST_THE_LAYER = {
    **dict.fromkeys(("falcon_h1", "mamba2", "nemotron_h"), ("out_proj",)),
    **dict.fromkeys(("falcon_mamba", "mamba"), ("out_proj", "dt_proj")),
    "jamba": ("dt_proj",),
}
# To peft each of these means experts and routers as well, where a family has them in tensors.
EXPERTS = {"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"}


class Targets(NamedTuple):
    """What peft is told.

    Attributes:
        named: Names of layers, ends of names, or `all-linear`.
        left_out: Names, or a pattern of whole names; None leaves nothing out.
    """

    named: list[str] | AllLinear
    left_out: list[str] | str | None


def find(
    model: "nn.Module",
    targets: list[str] | AllLinear,
    exclude: Sequence[str] = (),
    layers: Sequence[int] | None = None,
) -> Targets:
    """Find what peft has to be told of a base.

    Args:
        model: The base.
        targets: Names, ends of names or patterns; or `all-linear`.
        exclude: Names, ends of names or patterns of what is left alone.
        layers: Numbers of the decoder layers that are updated; None for all.

    Raises:
        RecipeError: A name is no layer of this model, or of none that text could train; or there is no such layer.
    """
    if targets != "all-linear":
        _check(model, targets)
    check_known(f"{KEY}.exclude", exclude, dict(model.named_modules()), "no module")
    named = targets
    if targets != "all-linear" and any(map(is_pattern, targets)):
        full = _updatable(model)
        named = sorted({name for target in targets for name in full if means(target, name)})
    past = list(_past(model)) if targets == "all-linear" else []
    beyond = out_of_reach(model)
    places = [*map(re.escape, beyond), *(rf"(?:.*\.)?(?:{as_regex(name)})" for name in exclude)]
    places += map(re.escape, _other_layers(model, layers, beyond))
    if not places:
        return Targets(named, past or None)
    return Targets(named, "|".join([rf"(?:{'|'.join(places)})(?:\..*)?", *(rf"(?:.*\.)?{name}" for name in past)]))


def check_left_out(network: "nn.Module", left_out: list[str] | str | None) -> None:
    """See that peft left out what it was told to: it does not look at experts that are tensors of one module.

    Raises:
        RecipeError: It did not.
    """
    from peft.tuners.lora import ParamWrapper

    if not isinstance(left_out, str):
        return
    prefix = "base_model.model."
    for name, module in network.named_modules():
        place = name.removeprefix(prefix).replace(".base_layer", "")
        if isinstance(module, ParamWrapper) and re.fullmatch(left_out, place):
            msg = (
                f"{KEY}: experts of this base are tensors without a layer ({place}), which exclude and layers cannot "
                "choose among; leave these two out, or name targets outside of the experts"
            )
            raise RecipeError(msg)


def linear_names(model: "nn.Module") -> set[str]:
    """The last parts of the names of linear layers that text reaches; also where peft has begun to wrap them."""
    from torch import nn

    named = ((name, layer) for name, layer in model.named_modules() if ".lora_" not in name)
    linear = {name.removesuffix(".base_layer") for name, layer in named if isinstance(layer, nn.Linear)}
    return {name.rsplit(".", 1)[-1] for name in _within(model, linear)}


def _within(model: "nn.Module", names: Iterable[str]) -> set[str]:
    """Names that no tower without text holds."""
    beyond = out_of_reach(model)
    return {name for name in names if not any(name == place or name.startswith(f"{place}.") for place in beyond)}


def _past(model: "nn.Module") -> tuple[str, ...]:
    return _PAST_THE_LAYER.get(str(getattr(getattr(model, "config", None), "model_type", "")), ())


def _matrices(model: "nn.Module") -> set[str]:
    """Full names of layers that hold one matrix."""
    return {
        name
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.ndim == 2
    }


def _updatable(model: "nn.Module") -> set[str]:
    past = _past(model)
    return {name for name in _within(model, _matrices(model)) if name.rsplit(".", 1)[-1] not in past}


def _check(model: "nn.Module", targets: Sequence[str]) -> None:
    layers = _matrices(model)
    within = _within(model, layers)
    names = {name.rsplit(".", 1)[-1] for name in within}
    trainable = ", ".join(sorted(names - {*_past(model)}))
    for target in targets:
        meant = [name for name in layers if means(target, name)]
        why = ""
        if meant and within.isdisjoint(meant):
            why = f"no text reaches {min(meant)}"
        elif meant and all(name.rsplit(".", 1)[-1] in _past(model) for name in meant):
            why = f"{type(model).__name__} reads its weight past the layer"
        if why:
            msg = f"{KEY}.targets: {target} would never train: {why}\nthere are {trainable}"
            raise RecipeError(msg)
    unknown = [t for t in targets if t.rsplit(".", 1)[-1] not in names and not any(means(t, n) for n in within)]
    if unknown or not targets:
        said = "names no layer"
        if unknown:
            said = f"{unknown[0]} is no layer of this base{did_you_mean(unknown[0], names)}"
        msg = f"{KEY}.targets: {said}\nit has {', '.join(sorted(names))}, or say all-linear"
        raise RecipeError(msg)


def _other_layers(model: "nn.Module", wanted: Sequence[int] | None, beyond: Sequence[str]) -> list[str]:
    """Full names of the decoder layers that are not wanted."""
    if wanted is None:
        return []
    there = decoder_layers(model, beyond)
    if not there:
        msg = f"{KEY}.layers: {type(model).__name__} has no list of its layers; name them in targets"
        raise RecipeError(msg)
    if unknown := [number for number in wanted if not -len(there) <= number < len(there)]:
        msg = f"{KEY}.layers: {unknown[0]} is no layer; this base has {len(there)}, from 0 to {len(there) - 1}"
        raise RecipeError(msg)
    chosen = {number % len(there) for number in wanted}
    return [name for number, name in enumerate(there) if number not in chosen]
