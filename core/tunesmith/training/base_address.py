"""Whether a base is where `model.base` says, and which revision of it that is, without loading anything of it."""

import os
from pathlib import Path

from tunesmith.errors import DataError
from tunesmith.recipe.package_fs import resolve
from tunesmith.training.base import locate

_CONFIG = "config.json"
_PATIENCE = 10.0


def check_address(base: str) -> str:
    """Look whether a base is there.

    Args:
        base: What `model.base` says.

    Returns:
        Why it cannot be told; empty where it is there.

    Raises:
        RecipeError: The address is malformed, or a path or package that does not exist.
        DataError: It is there and no base, or the hub knows none of that name.
    """
    found = resolve(base)
    if not isinstance(found, str):
        locate(base, found)
        return ""
    try:
        hub_commit(found)
    except LookupError as error:
        return f"model.base: whether the hub has {base} cannot be told: {error}"
    return ""


def hub_commit(name: str) -> str:
    """The commit of a hub id: of the cache where that has one, as loading prefers nothing else offline.

    Raises:
        LookupError: Neither the cache nor the hub can be asked.
        DataError: The hub knows none of that name.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        commit = HfApi().model_info(name, timeout=_PATIENCE).sha
    except GatedRepoError as error:
        why = "it is gated; ask for access on its page, then `hf auth login`"
        return _cached(name, why, error)
    except RepositoryNotFoundError as error:
        msg = f"model.base: the hub has no {name}; check the name, or `hf auth login` where it is private"
        raise DataError(msg) from error
    except OfflineModeIsEnabled as error:
        return _cached(name, "HF_HUB_OFFLINE is set, and it is not in the cache", error)
    except Exception as error:  # the library under the hub's client, whose errors come through, is another each year
        return _cached(name, "the hub cannot be reached, and it is not in the cache", error)
    return commit or _cached(name, "the hub does not say its commit", None)


def _cached(name: str, why: str, cause: Exception | None) -> str:
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, _CONFIG)
    if isinstance(file, str | os.PathLike):
        return Path(file).parent.name  # snapshots/COMMIT/config.json
    raise LookupError(why) from cause
