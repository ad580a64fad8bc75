"""Parts of a model by name: whole names, their ends, and patterns."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from itertools import accumulate
from typing import TYPE_CHECKING

from tunesmith import RecipeError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


def is_pattern(name: str) -> bool:
    """Whether a name stands for many by `*`, `?` or `[...]`."""
    return any(mark in name for mark in "*?[")


def as_regex(name: str) -> str:
    """A name in which `*` stands for any text, as a regular expression."""
    return translate(name).removesuffix(r"\z").removesuffix(r"\Z")


def means(name: str, place: str) -> bool:
    """Whether a name means a place: it is the whole of it, or its end after a dot; `*` stands for any text."""
    return re.fullmatch(rf"(?:.*\.)?(?:{as_regex(name)})", place) is not None


def inside(name: str, place: str) -> bool:
    """Whether a place is what a name means, or lies in it."""
    return any(means(name, outer) for outer in accumulate(place.split("."), "{}.{}".format))


def check_known(key: str, wanted: Iterable[str], places: Iterable[str], what: str) -> None:
    """Insist on names that mean something.

    Args:
        key: The recipe's, that says them.
        wanted: Names.
        places: Full names of what there is.
        what: What they are names of, with its article.

    Raises:
        RecipeError: A name means nothing; says the nearest one that does.
    """
    known = list(places)
    parts = sorted({part for place in known for part in place.split(".") if not part.isdigit()})
    for name in wanted:
        if not any(inside(name, place) for place in known):
            near = did_you_mean(name.rpartition(".")[2], parts)
            msg = f"{key}: {name} is {what} of this base{near}\nthere are {', '.join(parts)}"
            raise RecipeError(msg)


def decoder_layers(model: "nn.Module", beyond: Sequence[str]) -> list[str]:
    """Full names of the layers that text goes through, one after the other; empty where they are in no list.

    Args:
        model: A model of transformers.
        beyond: Places that no text reaches.
    """
    from torch import nn

    config = model.config.get_text_config()  # type: ignore[union-attr, operator]
    count = getattr(config, "num_hidden_layers", None)
    for name, module in model.named_modules():
        reached = not any(name == place or name.startswith(f"{place}.") for place in beyond)
        if isinstance(module, nn.ModuleList) and len(module) == count and reached:
            return [f"{name}.{number}" for number in range(len(module))]
    return []
