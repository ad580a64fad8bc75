"""What a run was made from: data hashes, base revision, package versions, seed, thresholds."""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError

_PACKAGES = (
    "tunesmith",
    "torch",
    "lightning",
    "transformers",
    "peft",
    "bitsandbytes",
    "tokenizers",
    "numpy",
    "jsonargparse",
)
_WEIGHTS = (".safetensors", ".gguf", ".json", ".model", ".jinja")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def base_revision(base: Path | str, commit: str | None = None) -> str:
    """What identifies a base: the hub's commit, or a hash over the weights and tokenizer files of a path."""
    if isinstance(base, str):
        return commit or base
    files = [base] if base.is_file() else sorted(p for p in base.iterdir() if p.suffix in _WEIGHTS)
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name} {file_hash(file)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def environment(plugins: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Versions of Python and of the packages that decide a result, and of the plugin packages in use."""
    packages = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "absent"
    return {"packages": packages, "plugins": dict(sorted(plugins))}


def compare(lock: Mapping[str, Any], now: Mapping[str, Any], where: Path) -> None:
    """Refuse when data, base or plugins are not those of the lock.

    Raises:
        RecipeError: Names the first difference and how to go on.
    """
    for part, what in (("data", "data source"), ("base", "base"), ("plugins", "plugin package")):
        then, current = lock.get(part) or {}, now.get(part) or {}
        for name in [*then, *(k for k in current if k not in then)]:
            if then.get(name) != current.get(name):
                msg = (
                    f"{what} {name} is not what {where} was made from: {_short(then.get(name))} then, "
                    f"{_short(current.get(name))} now\nrestore it, or go on with --relock"
                )
                raise RecipeError(msg)


def _short(value: Any) -> str:
    return "absent" if value is None else str(value)[:24]
