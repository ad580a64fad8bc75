"""The loss weight that a turn states of itself, in the keys of several trainers."""

from collections.abc import Mapping
from typing import Any

from tunesmith import RowError
from tunesmith_plugins.formatters.columns import kind

# axolotl says train, OpenAI weight, ms-swift loss and loss_scale; where several stand, all count.
_SWITCHES = ("train", "loss")
_SCALES = ("weight", "loss_scale")
_DETAIL = "train_detail"
KEYS = frozenset({*_SWITCHES, *_SCALES, _DETAIL})


def stated_weight(item: Mapping[str, Any], content: str, name: str) -> float | None:
    """The product of all weights that a turn states; None where it states none.

    Args:
        item: The turn.
        content: Its text, which `train_detail` counts characters of.
        name: The turn, for messages.

    Raises:
        RowError: A weight is none, or parts of the turn weigh differently.
    """
    given = [key for key in (*_SWITCHES, *_SCALES) if item.get(key) is not None]
    weight = 1.0
    for key in given:
        value = item[key]
        if key in _SWITCHES and not isinstance(value, bool):
            raise RowError(field=f"{name}.{key}", reason=f"is {kind(value)}; true or false is wanted")
        if not isinstance(value, bool | int | float):
            raise RowError(field=f"{name}.{key}", reason=f"is {kind(value)}; a number is wanted")
        if not 0 <= value <= 1e6:
            raise RowError(field=f"{name}.{key}", reason="is out of bounds; a weight lies between 0 and a million")
        weight *= value
    if item.get(_DETAIL):
        return weight * _of_parts(item[_DETAIL], len(content), f"{name}.{_DETAIL}")
    return weight if given else None


def _of_parts(value: Any, length: int, name: str) -> float:
    """The weight of the whole turn, as axolotl's parts of it say: offsets of characters, the last one included."""
    parts = value if isinstance(value, list) else [value]
    keys = {"begin_offset": int, "end_offset": int, "train": bool}
    for at, part in enumerate(parts):
        if not isinstance(part, Mapping) or any(type(part.get(key)) is not wanted for key, wanted in keys.items()):
            raise RowError(field=f"{name}[{at}]", reason=f"is no part; {', '.join(keys)} are wanted")
    covered: set[int] = set()
    for part in parts:
        begin, end = max(0, part["begin_offset"]), min(length - 1, part["end_offset"])
        covered.update(range(begin, end + 1))
    if len(covered) < length or len({part["train"] for part in parts}) > 1:
        reason = "weighs parts of the turn differently, which is not read; give the turn one weight, or use segments"
        raise RowError(name, reason)
    return float(parts[0]["train"])
