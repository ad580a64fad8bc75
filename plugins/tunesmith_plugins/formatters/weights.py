"""The loss weights that a turn states of itself and of parts of its text, in the keys of several trainers."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

from tunesmith import RowError
from tunesmith_plugins.formatters.columns import kind

# axolotl says train, OpenAI weight, ms-swift loss and loss_scale; where several stand, all count.
_SWITCHES = ("train", "loss")
_SCALES = ("weight", "loss_scale")
_DETAIL = "train_detail"
_OFFSETS = ("begin_offset", "end_offset")
KEYS = frozenset({*_SWITCHES, *_SCALES, _DETAIL})


class Weights(NamedTuple):
    """What a turn states.

    Args:
        weight: The product of all weights of the whole turn; None where it states none.
        spans: Stretches of its text that weigh differently, as `Message` has them.
    """

    weight: float | None
    spans: tuple[tuple[int, float], ...] = ()


def stated_weights(item: Mapping[str, Any], content: str, name: str) -> Weights:
    """The weights that a turn states of itself and of its parts.

    Args:
        item: The turn.
        content: Its text, which `train_detail` counts characters of.
        name: The turn, for messages.

    Raises:
        RowError: A weight is none, or a part is no part of the text.
    """
    given = [key for key in (*_SWITCHES, *_SCALES) if item.get(key) is not None]
    weight = 1.0
    for key in given:
        weight *= _weight(item[key], f"{name}.{key}", key in _SWITCHES)
    if not item.get(_DETAIL):
        return Weights(weight if given else None)
    if isinstance(item.get("content"), list):
        raise RowError(field=f"{name}.{_DETAIL}", reason="counts characters of a text, and content is a list of parts")
    shares = _of_parts(item[_DETAIL], len(content), f"{name}.{_DETAIL}")
    if len(shares) == 1:
        return Weights(weight * shares[0][1])
    return Weights(weight, shares)


def _weight(value: Any, name: str, is_switch: bool) -> float:
    if is_switch and not isinstance(value, bool):
        raise RowError(name, f"is {kind(value)}; true or false is wanted")
    if not isinstance(value, bool | int | float):
        raise RowError(name, f"is {kind(value)}; a number is wanted")
    if not 0 <= value <= 1e6:
        raise RowError(name, "is out of bounds; a weight lies between 0 and a million")
    return float(value)


def _of_parts(value: Any, length: int, name: str) -> tuple[tuple[int, float], ...]:
    """The weights of characters, as stretches that weigh alike.

    A part's last character is part of it. Where parts lie over each other the larger weight holds, as one that is
    trained does in axolotl; what no part holds is not trained.
    """
    shares = [0.0] * length
    for at, part in enumerate(value if isinstance(value, list) else [value]):
        place = f"{name}[{at}]"
        if not isinstance(part, Mapping) or any(type(part.get(key)) is not int for key in _OFFSETS):
            raise RowError(place, f"is no part; {', '.join(_OFFSETS)} (whole numbers) and train are wanted")
        begin, end = (part[key] for key in _OFFSETS)
        if not 0 <= begin <= end:
            raise RowError(place, "ends before it begins, or begins before the text")
        if begin >= length:
            raise RowError(place, f"begins behind the text, which has {length} characters")
        keys = [key for key in ("train", "weight") if part.get(key) is not None]
        if len(keys) != 1:
            raise RowError(place, "has neither train nor weight, or both")
        share = _weight(part[keys[0]], f"{place}.{keys[0]}", keys[0] == "train")
        for character in range(begin, min(length, end + 1)):
            shares[character] = max(shares[character], share)
    return tuple((len(list(run)), share) for share, run in groupby(shares))
