"""What a run was made from: data hashes, base revision, identities of code, versions, seed, thresholds."""

import functools
import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.no_file import why_no_file
from tunesmith.plugins.installed import version_of
from tunesmith.recipe.code_identity import VERSIONED, file_hash, is_same

FORMAT = 2
CODE = frozenset({"code", "plugins"})
_PARTS = (
    ("data", "data source"),
    ("base", "base"),
    ("folders", "folder of"),
    ("files", "file of"),
    ("code", "code of"),
    ("plugins", "plugin package"),
    ("trusted", "trusted class"),
    ("formats", "number format"),
)
_WEIGHTS = (".safetensors", ".gguf", ".json", ".model", ".jinja", ".txt", ".tiktoken")
_LONGEST = 24


def base_revision(base: Path | str, commit: str | None = None) -> str:
    """What identifies a base: the hub's commit, or a hash over the weights and tokenizer files of a path."""
    if isinstance(base, str):
        return commit or base
    files = [base] if base.is_file() else sorted(p for p in base.iterdir() if p.suffix in _WEIGHTS)
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name} {file_hash(file)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def template_revision(template: str | None) -> dict[str, str]:
    """What identifies `model.template` where it is a file; empty where it is none, or a name."""
    path = Path(template) if template else None
    return {"model.template": f"sha256:{file_hash(path)}"} if path is not None and not why_no_file(path) else {}


def folder_hash(folder: Path) -> str:
    """SHA-256 of the names and bytes of all files of a folder."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(folder).as_posix()} {file_hash(file)}\n".encode())
    return total.hexdigest()


def folders_of(plugins: Mapping[str, object]) -> dict[str, str]:
    """What identifies the folders that options of plugins name, such as an embedding model's, by name and option."""
    return {
        f"{name}.{option}": f"sha256:{folder_hash(value)}"
        for name, plugin in plugins.items()
        for option, value in vars(plugin).items()
        if isinstance(value, Path) and value.is_dir()
    }


def files_of(plugins: Mapping[str, object]) -> dict[str, str]:
    """What identifies the files that options of plugins name, by name and option."""
    return {
        f"{name}.{option}": f"sha256:{file_hash(value)}"
        for name, plugin in plugins.items()
        for option, value in vars(plugin).items()
        if isinstance(value, Path) and value.is_file()
    }


def environment() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    packages = {"python": platform.python_version()}
    return packages | {name: _version(name) for name in VERSIONED}


@functools.cache  # all that the package says of itself is parsed for it
def _version(name: str) -> str:
    try:
        return version_of(name)
    except metadata.PackageNotFoundError:
        return "absent"


def compare(lock: Mapping[str, Any], now: Mapping[str, Any], where: Path, way: str) -> None:
    """Refuse when data, base or code are not those of the lock.

    Args:
        lock: What was written when the run was begun.
        now: What there is.
        where: The lock's file, for messages.
        way: How to go on all the same.

    Raises:
        RecipeError: Names the first difference and how to go on.
    """
    if lock.get("lock") != FORMAT:
        version = lock.get("version", "unknown")
        msg = (
            f"{where}, written by tunesmith {version}, tells code in another way than this one: what has changed since "
            f"cannot be told\nuse that version, or {way}"
        )
        raise RecipeError(msg)
    for part, what in _PARTS:
        then, current = lock.get(part) or {}, now.get(part) or {}
        for name in [*then, *(k for k in current if k not in then)]:
            one, other = then.get(name), current.get(name)
            if one != other and not (part in CODE and is_same(one, other)):
                said = f"{_said(one)} then, {_said(other)} now"
                msg = f"{what} {name} is not what {where} was made from: {said}\nrestore it, or {way}"
                raise RecipeError(msg)


def _said(value: Any) -> str:
    if value is None:
        return "absent"
    # what is behind a `+` is the part that differs
    return str(value) if "+" in str(value) else str(value)[:_LONGEST]
