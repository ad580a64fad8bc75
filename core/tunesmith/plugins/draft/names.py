"""From what the command line says to a kind and names that work everywhere: Python, pip, recipes."""

import builtins
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.load import BASES

_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST = 40
_EXAMPLE = "MyMetric"


@dataclass(frozen=True, slots=True)
class Names:
    """How a new plugin is called.

    Args:
        cls: Its class, which is its name in a recipe.
    """

    cls: str

    @property
    def module(self) -> str:
        """The package and the module in it, as Python imports them."""
        return "_".join(_WORDS.split(self.cls)).lower()

    @property
    def distribution(self) -> str:
        """The package, as pip installs it."""
        return self.module.replace("_", "-")


def read_kind(word: str) -> str:
    """The kind that a word means, be it a plural or written large.

    Raises:
        RecipeError: None; names the nearest and all that there are.
    """
    folded = word.casefold()
    kind = folded if folded in BASES else folded.removesuffix("s")
    if kind not in BASES:
        hint = did_you_mean(folded, BASES) or did_you_mean(kind, BASES)
        does = [f"  {name:<12} {(base.__doc__ or '').splitlines()[0]}" for name, base in BASES.items()]
        msg = "\n".join([f"{word} is no kind of plugin{hint}", "kinds:", *does])
        raise RecipeError(msg)
    return kind


def read_name(name: str, taken: Iterable[str], reserved: Iterable[str]) -> Names:
    """The names of a plugin whose class is to be called so.

    Args:
        name: As the command line says it.
        taken: Names of the built-in plugins.
        reserved: Names that the drafted modules use themselves.

    Raises:
        RecipeError: It is no class name, or already means something.
    """
    if not _CAMEL.fullmatch(name):
        msg = f"{name!r} is no class name{_camel(name)}\nit takes letters and digits in CamelCase, such as {_EXAMPLE}"
        raise RecipeError(msg)
    if len(name) > _LONGEST:
        msg = f"{name} has {len(name)} letters; a recipe's reader copes with {_LONGEST}"
        raise RecipeError(msg)
    names = Names(name)
    if name in taken:
        msg = f"{name} is a built-in plugin, and a recipe could not tell the two by their name; choose another"
    elif keyword.iskeyword(name) or name in dir(builtins):
        msg = f"{name} is a name of Python's own; choose another"
    elif name in reserved:
        msg = f"{name} is a class that the plugin itself needs; choose another name, such as My{name}"
    elif keyword.iskeyword(names.module) or names.module in sys.stdlib_module_names:
        msg = f"{name} would lie in a module {names.module}, which is Python's own; choose another name"
    else:
        return names
    raise RecipeError(msg)


def check_free(names: Names, folder: Path) -> None:
    """Check that no other module has the name of the new one.

    Args:
        names: What the plugin is called.
        folder: Where its package will lie; what was installed from there before is no other one.

    Raises:
        RecipeError: One is installed that has.
    """
    spec = importlib.util.find_spec(names.module)
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    if any(not Path(place).resolve().is_relative_to(folder.resolve()) for place in places):
        msg = f"{names.cls} would lie in a module {names.module}, and there is one already; choose another name"
        raise RecipeError(msg)


def _camel(name: str) -> str:
    """The nearest name that would do; nothing where there is none."""
    parts = [part for part in re.split(r"[\W_]+", name) if part]
    camel = "".join(part[0].upper() + part[1:] for part in parts)
    return f"; did you mean {camel}?" if _CAMEL.fullmatch(camel) else ""
