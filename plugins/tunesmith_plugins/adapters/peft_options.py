"""peft's configurations as a recipe gives them: checked by name and type against their fields."""

import dataclasses
import enum
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from tunesmith import RecipeError, did_you_mean

if TYPE_CHECKING:
    from peft import PeftConfig

# What is said elsewhere, or follows from the run.
_OURS = {
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "megatron_config",
    "megatron_core",
}
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


def find_class(method: str, key: str) -> "type[PeftConfig]":
    """The configuration class of a method.

    Args:
        method: Its name in peft (`IA3`), in any case.
        key: The recipe's, that says it.

    Raises:
        RecipeError: peft has no such method.
    """
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    known = {kind.value: cls for kind, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    if method.upper() not in known:
        near = did_you_mean(method.upper(), known)
        msg = f"{key} is {method}, which is no method of this peft{near}\nit has {', '.join(sorted(known))}"
        raise RecipeError(msg)
    found: type[PeftConfig] = known[method.upper()]
    return found


def make(cls: "type[PeftConfig]", options: Mapping[str, Any], key: str) -> "PeftConfig":
    """The configuration with these options.

    Args:
        cls: Its class.
        options: By name.
        key: The recipe's, that says them.

    Raises:
        RecipeError: An option is unknown, of another type, or peft refuses it.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init and field.name not in _OURS}
    for name, value in options.items():
        if name not in fields:
            near = did_you_mean(name, fields)
            msg = f"{key}.{name} is no option of {cls.__name__}{near}\nit takes {', '.join(sorted(fields))}"
            raise RecipeError(msg)
        if not fits(value, hints[name]):
            msg = f"{key}.{name} is {value!r}; {cls.__name__} takes {takes(hints[name])} there"
            raise RecipeError(msg)
    given: dict[str, Any] = dict(options)
    try:
        return cls(task_type="CAUSAL_LM", **given)
    except (ValueError, TypeError) as error:
        msg = f"{key}: {' '.join(str(error).split())}"
        raise RecipeError(msg) from error


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a recipe is what a field's type takes; whole numbers are numbers, truths are not."""
    if _is_union(hint):
        return any(fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        # peft leaves a place for a number in one of them
        return any(value == one or (isinstance(one, str) and "[" in one) for one in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in {member.value for member in hint}
    origin = get_origin(hint) or hint
    if origin in (list, tuple, set):
        inner = get_args(hint)
        return isinstance(value, list) and (not inner or all(fits(part, inner[0]) for part in value))
    if origin is dict:
        inner = get_args(hint)
        return isinstance(value, Mapping) and (not inner or all(fits(part, inner[1]) for part in value.values()))
    return type(value) is hint


def takes(hint: Any) -> str:
    """What a field's type takes, in words."""
    if _is_union(hint):
        return " or ".join(dict.fromkeys(takes(one) for one in get_args(hint)))
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(str(member.value) for member in hint)
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin in (list, tuple, set):
        return f"a list of {takes(inner[0])}" if inner else "a list"
    if origin is dict:
        return f"a map of names to {takes(inner[1])}" if inner else "a map"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
