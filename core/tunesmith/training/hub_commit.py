"""Which commit of a base on the hub there is, in the cache or on the hub itself, without loading anything of it."""

import os
import re
from pathlib import Path

from tunesmith.errors import DataError
from tunesmith.recipe.package_fs import resolve

_CONFIG = "config.json"
_PATIENCE = 10.0
_COMMIT = re.compile(r"[0-9a-f]{40}")


def newest_commit(name: str) -> str:
    """The newest commit of a hub id: of the cache where the hub cannot be asked, as loading takes it from there.

    Raises:
        LookupError: Neither the cache nor the hub can be asked.
        DataError: The hub knows none of that name.
    """
    try:
        return _ask(name)
    except LookupError as error:
        if (commit := cached_commit(name)) is not None:
            return commit
        msg = f"{error}, and it is not in the cache"
        raise LookupError(msg) from error


def cached_commit(name: str, commit: str | None = None) -> str | None:
    """The commit of a hub id that the cache holds: the newest that was seen, or the one that is given; else None."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, _CONFIG, revision=commit)
    # snapshots/COMMIT/config.json
    return Path(file).parent.name if isinstance(file, str | os.PathLike) else None


def loaded_commit(base: str) -> str | None:
    """The commit of what was just loaded by `model.base`; None where that is no hub id.

    transformers no longer says it.
    """
    found = resolve(base)
    return cached_commit(found) if isinstance(found, str) else None


def locked_commit(base: str, revision: object) -> str | None:
    """The revision that a lock has of a base, where it is a commit of a hub id; a lock is not to be trusted."""
    is_commit = isinstance(revision, str) and _COMMIT.fullmatch(revision) is not None
    return str(revision) if is_commit and isinstance(resolve(base), str) else None


def why_absent(name: str, commit: str) -> str:
    """Why a commit of a hub id cannot be loaded, and how it is got; empty where the cache or the hub has it."""
    if cached_commit(name, commit) is not None:
        return ""
    said = f"commit {commit} of {name} is not in the cache"
    try:
        _ask(name, commit)
    except DataError as error:
        return f"{said}, and {str(error).removeprefix('model.base: ')}"
    except LookupError as error:
        return f"{said}, and {error}; {how_to_get(name, commit)}"
    return ""


def how_to_get(name: str, commit: str) -> str:
    """The command that puts a commit into the cache."""
    return f"get it where the hub can be reached: hf download {name} --revision {commit}"


def _ask(name: str, commit: str | None = None) -> str:
    """The commit that the hub has.

    Raises:
        LookupError: The hub cannot be asked.
        DataError: The hub says that there is none.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        found = HfApi().model_info(name, revision=commit, timeout=_PATIENCE).sha
    except GatedRepoError as error:
        msg = "it is gated (ask for access on its page, then `hf auth login`)"
        raise LookupError(msg) from error
    except RepositoryNotFoundError as error:
        msg = f"model.base: the hub has no {name}; check the name, or `hf auth login` where it is private"
        raise DataError(msg) from error
    except RevisionNotFoundError as error:
        msg = f"model.base: the hub has no such commit of {name}"
        raise DataError(msg) from error
    except OfflineModeIsEnabled as error:
        msg = "HF_HUB_OFFLINE is set"
        raise LookupError(msg) from error
    except Exception as error:  # the library under the hub's client, whose errors come through, is another each year
        msg = "the hub cannot be reached"
        raise LookupError(msg) from error
    if found is None:
        msg = "the hub does not say its commit"
        raise LookupError(msg)
    return str(found)
