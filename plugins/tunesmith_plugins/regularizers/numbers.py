"""Options of regularizers that are numbers, checked alike."""

import math

from tunesmith import RecipeError


def check_number(owner: object, option: str, *, above: bool = False) -> None:
    """Refuse a number that is negative, infinite or none.

    Args:
        owner: The regularizer.
        option: Its option.
        above: Whether 0 is refused as well.

    Raises:
        RecipeError: It is out of range.
    """
    value = getattr(owner, option)
    if math.isfinite(value) and (value > 0 or (value == 0 and not above)):
        return
    msg = f"{type(owner).__name__}.{option} is {value}; it must be {'above 0' if above else '0 or more'}"
    raise RecipeError(msg)
