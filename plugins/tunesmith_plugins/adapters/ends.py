"""Modules and rows that train whole beside peft's updates: head, embeddings, rows of tokens, one matrix or two."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunesmith import RecipeError, did_you_mean
from tunesmith_plugins.adapters.named import check_known, means

if TYPE_CHECKING:
    from torch import nn


def tie_saved(model: Any, modules: Sequence[str] | None, key: str) -> dict[str, Any]:
    """What peft is told of modules that train whole; embeddings and head that are one matrix stay one.

    Args:
        model: The base.
        modules: Their names, or ends of names.
        key: The recipe's, that says them.

    Raises:
        RecipeError: The base has no such module, or it is quantised.
    """
    if not modules:
        return {}
    places = dict(model.named_modules())
    check_known(key, modules, places, "no module")
    for name in modules:
        found = [place for place in places if means(name, place)]
        if packed := [place for place in found if _is_packed(places[place])]:
            msg = f"{key}: {packed[0]} of this base is quantised, so that its weights cannot train; leave it out"
            raise RecipeError(msg)
        if not found:
            msg = f"{key}: {name} is a weight or stands inside of a name; give the module's whole name, or its end"
            raise RecipeError(msg)
    ends = _ends(model)
    touched = any(means(name, end) for name in modules for end in ends.values())
    return {"modules_to_save": list(modules), "ensure_weight_tying": touched and is_tied(model)}


def token_rows(model: Any, tokens: Sequence[int | str] | None, key: str) -> dict[str, list[int]] | None:
    """What peft is told of tokens whose rows train, in the embeddings and in a head that is a matrix apart.

    Args:
        model: The base.
        tokens: Their ids, or the tokens themselves.
        key: The recipe's, that says them.

    Raises:
        RecipeError: A token is none of the base's, or stands there twice; or the head adds a bias, which peft drops.
    """
    if not tokens:
        return None
    ends = _ends(model)
    count = model.get_input_embeddings().weight.shape[0]
    ids = _ids(model, tokens, key)
    for token, number in zip(tokens, ids, strict=True):
        if not 0 <= number < count:
            msg = f"{key}: {token} is no token; the base's are 0 to {count - 1}, those that were added at the end"
            raise RecipeError(msg)
        if ids.count(number) > 1:
            msg = f"{key}: {token} stands there twice"
            raise RecipeError(msg)
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        msg = f"{key}: the head of {type(model).__name__} adds a bias, which peft leaves out where rows of it train"
        raise RecipeError(msg)
    return {ends["input"]: ids} | ({} if is_tied(model) else {ends["output"]: ids})


def _ids(model: Any, tokens: Sequence[int | str], key: str) -> list[int]:
    """Ids of tokens, of those that are named by the base's tokenizer."""
    from transformers import AutoTokenizer

    named = [token for token in tokens if isinstance(token, str)]
    if not named:
        return [int(token) for token in tokens]
    place, commit = model.config._name_or_path, getattr(model.config, "_commit_hash", None)
    try:
        known = AutoTokenizer.from_pretrained(place, revision=commit or "main", trust_remote_code=False).get_vocab()
    except (OSError, ValueError) as error:
        msg = f"{key}: the base has no tokenizer beside it that knows {named[0]}; give ids of tokens"
        raise RecipeError(msg) from error
    if unknown := [token for token in named if token not in known]:
        msg = f"{key}: {unknown[0]} is no token of this base{did_you_mean(unknown[0], known)}"
        raise RecipeError(msg)
    return [known[token] if isinstance(token, str) else token for token in tokens]


def is_tied(model: Any) -> bool:
    """Whether embeddings and head are one matrix."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    return None not in ends and ends[0].weight is ends[1].weight


def _ends(model: Any) -> dict[str, str]:
    """Full names of embeddings and head."""
    modules = {"input": model.get_input_embeddings(), "output": model.get_output_embeddings()}
    return {
        which: next(name for name, module in model.named_modules() if module is end)
        for which, end in modules.items()
        if end is not None
    }


def _is_packed(module: "nn.Module") -> bool:
    return any(not parameter.is_floating_point() for parameter in module.parameters())
