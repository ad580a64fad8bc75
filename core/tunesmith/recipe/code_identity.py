"""What identifies the code that a result comes from: a hash of what runs, whichever way it was installed.

A version is no identity: a checkout goes on under one from day to day, and its wheel may state another. So a lock holds
both, `1.2.0+3fe1a2b4c5d6`, the version for people, and compares what is behind the `+` alone.

All files of the import packages that hold the code count, data too, by their path in the package. Left out is what
differs between a checkout and a wheel of it, or between two machines, and decides no result: caches, hidden files,
documentation, locks, and the recipes that come along, which lie elsewhere in a checkout.
"""

import hashlib
import inspect
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

from tunesmith.plugins.catalog import Entry
from tunesmith.plugins.installed import version_of
from tunesmith.recipe import shipped
from tunesmith.recipe.trust import Trust
from tunesmith.version import __version__

_NO_CODE = frozenset({".pyc", ".pyo", ".pyi", ".typed", ".md", ".rst", ".lock"})
# Their bytes are of one machine; all that tells them on another is the release that they came with.
_COMPILED = frozenset({".so", ".pyd", ".dll", ".dylib"})
_LENGTH = 12
_TICK = 1_000_000_000
# What decides a result, and is known by its release.
VERSIONED = (
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


@dataclass(frozen=True, slots=True)
class Code:
    """Code that came in one distribution.

    Args:
        version: The distribution's, for people.
        modules: Imported modules that are used; the packages that hold them count whole.
    """

    version: str
    modules: frozenset[str]

    def identity(self) -> str:
        """The version, and a hash of the code behind it."""
        lines = []
        for name in sorted(set(map(_root, self.modules))):
            files = dict(_files(name))
            plain = {inner: file for inner, file in files.items() if _suffix(inner) not in _COMPILED}
            lines += [f"{name}/{inner} {_known_hash(file)}" for inner, file in plain.items()]
            lines += [f"{name} compiled {self.version}"] if len(plain) < len(files) else []
        return f"{self.version}+{_short_hash(lines)}"


def frame() -> dict[str, str]:
    """What identifies tunesmith itself; its built-in plugins are a plugin package like any other."""
    return {"tunesmith": Code(__version__, frozenset({"tunesmith"})).identity()}


def plugin_code(used: Iterable[Entry]) -> dict[str, str]:
    """What identifies the plugin packages in use, by distribution; a file of `--plugin` has its hash for a version.

    A class inherits code too: packages of its base classes count as well, by their import names, since whoever has one
    as a checkout has no distribution that says it.

    Args:
        used: The plugins that the recipe names.
    """
    used = list(used)
    modules: dict[tuple[str, str], set[str]] = {}
    for entry in used:
        modules.setdefault((entry.package, entry.version), set()).add(entry.cls.__module__)
    found = {
        package: Code(version, frozenset(names)).identity() if _is_installed(package) else version
        for (package, version), names in sorted(modules.items())
    }
    own = {_root(name) for names in modules.values() for name in names}
    inherited = sorted({_root(one) for entry in used for one in _family(entry.cls)} - own)
    owners = metadata.packages_distributions() if inherited else {}
    return found | {root: _identity(root, owners) for root in inherited}


def class_code(cls: type) -> str | None:
    """What identifies the code of a class and of its bases; None where there is no file that holds it."""
    roots = sorted({_root(name) for name in _family(cls)})
    if any(_file(sys.modules.get(root)) is None for root in roots):
        return None
    return _short_hash(f"{root} {Code('', frozenset({root})).identity()}" for root in roots)


def _identity(root: str, owners: Mapping[str, Sequence[str]]) -> str:
    named = owners.get(root.partition(".")[0], ())
    return Code(version_of(named[0]) if named else "", frozenset({root})).identity()


def _family(cls: type) -> set[str]:
    """The modules of a class and its bases, but for those of Python and of packages that a lock knows by version."""
    modules = {one.__module__ for one in cls.__mro__}
    return {one for one in modules if one.partition(".")[0] not in {*sys.stdlib_module_names, *VERSIONED}}


def trusted_code(named: Iterable[str], trust: Sequence[str]) -> dict[str, str]:
    """A hash of the code of each class that only `--trust` allows: of its module and its bases'.

    Args:
        named: The import paths of all classes that the recipe names.
        trust: The prefixes of `--trust`.
    """
    trusted = Trust(trust)
    found: dict[str, str] = {}
    for path in sorted(named):
        module, _, name = path.rpartition(".")
        cls = getattr(sys.modules.get(module), name, None)
        if not trusted.covers(path) or not inspect.isclass(cls):
            continue
        files = ((one, _file(sys.modules.get(one))) for one in sorted(_family(cls)))
        found[path] = f"sha256:{_short_hash(f'{one} {file_hash(file)}' for one, file in files if file is not None)}"
    return found


def is_same(then: object, now: object) -> bool:
    """Whether two identities are of the same code, whatever their versions."""
    return isinstance(then, str) and isinstance(now, str) and then.rpartition("+")[2] == now.rpartition("+")[2]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known_hash(file: str) -> str:
    """The same; read once while nothing changes it, as each plugin of a recipe asks for all files of its package."""
    said = os.stat(file)  # noqa: PTH116  a package has hundreds of files, and a Path costs more than what it asks
    if time.time_ns() - said.st_ctime_ns < _TICK:  # another change might bear the same time
        return file_hash(Path(file))
    return _hash_as_of(file, said.st_ino, said.st_size, said.st_mtime_ns, said.st_ctime_ns)


@cache
def _hash_as_of(file: str, *_: int) -> str:
    return file_hash(Path(file))


def _short_hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_LENGTH]


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _root(module: str) -> str:
    """The outermost package that holds a module, or the module itself; a namespace holds code of others too."""
    parts = module.split(".")
    outer = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((name for name in outer if _file(sys.modules.get(name)) is not None), module)


def _file(module: ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    return Path(name) if name is not None else None


def _files(name: str) -> Iterator[tuple[str, str]]:
    """The files that count of a package, or the one of a lone module, with their paths in it, in order."""
    file = _file(sys.modules.get(name))
    if file is None:
        return
    if file.name.partition(".")[0] != "__init__":
        yield file.name, str(file)
        return
    own = name == shipped.PACKAGE
    found = []
    for folder, folders, names in os.walk(file.parent):
        inner = Path(folder).relative_to(file.parent).parts
        # changed in place: what is taken out is not entered
        folders[:] = [one for one in folders if not (_is_hidden(one) or (own and shipped.is_recipe([*inner, one])))]
        counting = (one for one in names if not _is_hidden(one) and _suffix(one) not in _NO_CODE)
        found += [("/".join([*inner, one]), f"{folder}{os.sep}{one}") for one in counting]
    yield from sorted(found)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1]  # noqa: PTH122  as above


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"
