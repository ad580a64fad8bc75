"""A resolved recipe without what equals a default, so that a release that adds an option does not hide older runs."""

import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer

from tunesmith.data.module import RecipeData
from tunesmith.recipe.kinds import is_scalar
from tunesmith.recipe.signature import MISSING, options
from tunesmith.training.specialist import Specialist

_SECTIONS: dict[str, type] = {"model": Specialist, "data": RecipeData, "trainer": Trainer}


def lean(method: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recipe that decides what is trained, without entries that equal the defaults of today.

    Args:
        method: A resolved recipe, or a part of it; of today, or out of the lock of an older run.
    """
    return {key: _lean(value, _SECTIONS.get(key, Any)) for key, value in method.items()}


def _lean(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return [_lean(entry, Any) for entry in value]
    if not isinstance(value, Mapping):
        return value
    if isinstance(path := value.get("class_path"), str):
        module, _, name = path.rpartition(".")
        # never imported for this: what a lock names may be gone, or be no one's to trust
        cls = getattr(sys.modules.get(module), name, None)
        given = value.get("init_args") or {}
        return {"class_path": path, "init_args": _options(given, cls) if inspect.isclass(cls) else given}
    if typing.get_origin(hint) is dict:
        return {name: _lean(entry, typing.get_args(hint)[1]) for name, entry in value.items()}
    return _options(value, hint) if inspect.isclass(hint) and not is_scalar(hint) else value


def _options(given: Mapping[str, Any], cls: type) -> dict[str, Any]:
    known = options(cls)
    found: dict[str, Any] = {}
    for name, value in given.items():
        default = known[name].default if name in known else MISSING
        if value is None or _plain(default) == value:
            continue
        small = _lean(value, known[name].hint if name in known else Any)
        if small != {}:  # a part that holds nothing but defaults
            found[name] = small
    return found


def _plain(default: Any) -> Any:
    """A default as YAML holds it."""
    return list(default) if isinstance(default, tuple) else default
