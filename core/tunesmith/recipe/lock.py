"""What a run was made from: data hashes, base revision, package versions, seed, thresholds."""

import hashlib
import inspect
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Entry
from tunesmith.recipe.trust import Trust

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
_PARTS = (
    ("data", "data source"),
    ("base", "base"),
    ("plugins", "plugin package"),
    ("trusted", "trusted class"),
    ("formats", "number format"),
)
_WEIGHTS = (".safetensors", ".gguf", ".json", ".model", ".jinja", ".txt", ".tiktoken")


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


def template_revision(template: str | None) -> dict[str, str]:
    """What identifies `model.template` where it is a file; empty where it is none, or a name."""
    path = Path(template) if template else None
    return {"model.template": f"sha256:{file_hash(path)}"} if path is not None and path.is_file() else {}


def plugin_versions(used: Iterable[Entry]) -> dict[str, str]:
    """What identifies the plugin packages in use: the version, and a hash of the code where a version says too little.

    An editable install changes from day to day under one version: `1.0+3fe1a2b4c5d6` then has a hash over all Python
    files of the packages that hold the classes in use.

    Args:
        used: The plugins that the recipe names.
    """
    packages: dict[str, tuple[str, list[type]]] = {}
    for entry in used:
        packages.setdefault(entry.package, (entry.version, []))[1].append(entry.cls)
    return {
        package: f"{version}+{_code_hash(_package_files(classes))}" if _is_editable(package, classes) else version
        for package, (version, classes) in sorted(packages.items())
    }


def trusted_code(named: Iterable[str], trust: Sequence[str]) -> dict[str, str]:
    """A hash of the code of each class that only `--trust` allows.

    Args:
        named: The import paths of all classes that the recipe names.
        trust: The prefixes of `--trust`.
    """
    trusted = Trust(trust)
    found: dict[str, str] = {}
    for path in sorted(named):
        module, _, name = path.rpartition(".")
        cls = getattr(sys.modules.get(module), name, None)
        if trusted.covers(path) and inspect.isclass(cls):
            found[path] = f"sha256:{_code_hash(_files([cls]))}"
    return found


def _is_editable(package: str, classes: Iterable[type]) -> bool:
    """Whether a distribution's code lies elsewhere than its record of what is installed."""
    try:
        site = Path(str(metadata.distribution(package).locate_file(""))).resolve()
    except metadata.PackageNotFoundError:  # a file of `--plugin`, whose version is its hash
        return False
    return any(not file.is_relative_to(site) for file in _files(classes))


def _code_hash(files: Iterable[Path]) -> str:
    lines = sorted(f"{file.name} {file_hash(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


def _package_files(classes: Iterable[type]) -> set[Path]:
    """All Python files of the packages that hold the classes; of a lone module, it alone and not its neighbours."""
    files = _files(classes)
    tops = {file for name in map(_top, classes) if (file := getattr(sys.modules.get(name), "__file__", None))}
    folders = [Path(file).resolve().parent for file in tops if Path(file).name == "__init__.py"]
    return files | {file for folder in folders for file in folder.rglob("*.py")}


def _files(classes: Iterable[type]) -> set[Path]:
    """The files that hold the classes and those of their bases that are of the same package."""
    family = {one for cls in classes for one in cls.__mro__ if _top(one) == _top(cls)}
    names = {getattr(sys.modules.get(one.__module__), "__file__", None) for one in family}
    return {Path(name).resolve() for name in names if name is not None}


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]


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
    for part, what in _PARTS:
        if part not in lock:  # of a version that did not write it
            continue
        then, current = lock[part] or {}, now.get(part) or {}
        for name in [*then, *(k for k in current if k not in then)]:
            if then.get(name) != current.get(name):
                msg = (
                    f"{what} {name} is not what {where} was made from: {_short(then.get(name))} then, "
                    f"{_short(current.get(name))} now\nrestore it, or go on with --relock"
                )
                raise RecipeError(msg)


def _short(value: Any) -> str:
    return "absent" if value is None else str(value)[:24]
