"""What a result of curation depends on, as a key: code, options, files and packages, so that it can be kept."""

import json
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from tunesmith.plugins.interfaces import Curator, Formatter, Plugin

_NOTHING = "nothing"


class UnknownError(Exception):
    """An option holds what has no name, such as a function."""


def key_of(*parts: Any) -> str:
    """A key of plain values: text, numbers, lists, maps."""
    return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]


def surroundings() -> dict[str, Any]:
    """What all results depend on: the core's code, Python, and the packages that are there, by version."""
    from tunesmith.recipe.code_identity import frame

    names = {name for path in sys.path for name in _distributions(path)}
    return {"code": frame(), "python": list(sys.version_info[:3]), "packages": sorted(names), "own": _own_modules()}


def _own_modules() -> list[str]:
    """The content of modules that came in no package: a plugin's file may import others beside it."""
    from tunesmith.recipe.code_identity import file_hash

    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # what lies in a package is known by the plugins of it that are in use
        if file is None or not file.endswith(".py") or "." in name or _is_packaged(file):
            continue
        if Path(file).name == "__init__.py":
            continue
        with suppress(OSError):
            found.add(f"{Path(file).name} {file_hash(Path(file))}")
    return sorted(found)


@cache
def _is_packaged(file: str) -> bool:
    """Whether a file belongs to Python or to an installed package, which are known by their versions."""
    return "site-packages" in file or any(file.startswith(f"{home}/") for home in sysconfig.get_paths().values())


def identity(plugin: Plugin) -> str | None:
    """What identifies a plugin as a recipe sets it up, the files that its options name included.

    Returns:
        The key; None where it cannot be told, so that what the plugin makes is made anew each time.
    """
    extra = plugin.fingerprint() if isinstance(plugin, Curator) else ""
    if extra is None:
        return None
    try:
        return key_of(_plain(plugin), extra)
    except UnknownError:
        return None


def formatters_identity(formatters: Sequence[type[Formatter]]) -> str | None:
    """What identifies the formatters that another may choose among."""
    codes = sorted(f"{cls.__module__}.{cls.__qualname__} {_code(cls)}" for cls in formatters)
    return None if any(code.endswith(" None") for code in codes) else key_of(codes)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it, and all that it stands for."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Path) or (isinstance(value, str) and value.startswith("/")):
        return [str(value), _content(Path(value))]
    if isinstance(value, str):
        # a path from the working directory on; a bare word is a name, whatever lies there
        content = _content(Path(value)) if "/" in value else _NOTHING
        return value if content == _NOTHING else [value, content]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Plugin):
        code = _code(type(value))
        if code is None:
            raise UnknownError
        return {"class": _name(value), "code": code, "options": {name: _plain(v) for name, v in _options(value)}}
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": _name(value)} | {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    raise UnknownError


def _options(plugin: Plugin) -> list[tuple[str, Any]]:
    """Options by name: constructors store them under the name of their parameter."""
    found = []
    for name, parameter in signature(type(plugin)).parameters.items():
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) or not hasattr(plugin, name):
            raise UnknownError
        found.append((name, getattr(plugin, name)))
    return found


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _code(cls: type) -> str | None:
    from tunesmith.recipe.code_identity import class_code

    return class_code(cls)


def _content(path: Path) -> str:
    """What a path leads to: a file by its bytes, a folder by the names, sizes and times of its files."""
    from tunesmith.recipe.code_identity import file_hash

    try:
        if path.is_file():
            return file_hash(path)
        if not path.is_dir():
            return _NOTHING
    except (OSError, ValueError):  # text that only looks like a path
        return _NOTHING
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            stat = Path(folder, name).stat(follow_symlinks=False)
            found.append([os.path.relpath(Path(folder, name), path), stat.st_size, stat.st_mtime_ns])
    return key_of(found)


@cache
def _distributions(path: str) -> tuple[str, ...]:
    try:
        return tuple(at.name for at in Path(path or ".").iterdir() if at.suffix in (".dist-info", ".egg-info"))
    except OSError:
        return ()
