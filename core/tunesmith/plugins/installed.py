"""Which plugin packages are installed, and which of them may be used. Imports none of them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.hookspecs import PROJECT
from tunesmith.plugins.load import short
from tunesmith.version import __version__

GROUP = PROJECT
BUILTIN = PROJECT
BLOCK_VARIABLE = "TUNESMITH_BLOCK"


@dataclass(frozen=True, slots=True)
class Absent:
    """A plugin package that is installed and not in use: it failed to load, or was told not to.

    Args:
        package: The distribution.
        version: Its version.
        entry_point: The name of the entry point at fault.
        reason: Why, in one line.
    """

    package: str
    version: str
    entry_point: str
    reason: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry point of the group `tunesmith`, with the distribution that brings it."""

    package: str
    version: str
    point: metadata.EntryPoint

    def load(self) -> Any:
        """Import what the entry point names; raises whatever that raises."""
        return self.point.load()

    def is_any_of(self, names: Sequence[str]) -> bool:
        """Whether one of `names` is this distribution's or entry point's, as PEP 503 compares them."""
        return not {canonical(self.package), canonical(self.point.name)}.isdisjoint(map(canonical, names))

    def absent(self, reason: str) -> Absent:
        """The record of why it is not in use."""
        return Absent(self.package, self.version, self.point.name, reason)

    def refused(self, allow: Sequence[str] | None, block: Sequence[str]) -> str:
        """Why it may not be used; empty where it may. A block is stronger than an allowance."""
        if self.is_any_of(block):
            return f"blocked by {BLOCK_VARIABLE}"
        if allow is not None and self.package != BUILTIN and not self.is_any_of(allow):
            return "not in the recipe's `plugins`"
        return ""


def installed() -> tuple[list[Installed], list[Absent]]:
    """All entry points of the group, and the distributions that have some which cannot be read."""
    found: list[Installed] = []
    unreadable: list[Absent] = []
    seen: set[str] = set()
    for candidate in metadata.distributions():
        # METADATA holds whole READMEs: to parse those of all that is installed takes forty times as long
        if f"[{GROUP}]" not in _entry_points(candidate):
            continue
        distribution = _imported(candidate)
        package, version = _name_and_version(distribution)
        if not package or canonical(package) in seen:
            continue
        seen.add(canonical(package))
        try:
            points = distribution.entry_points.select(group=GROUP)
        except Exception as error:  # one unreadable file must not hide all other packages
            unreadable.append(Absent(package, version, "", f"entry_points.txt cannot be read: {short(error)}"))
            continue
        found += [Installed(package, version, point) for point in points]
    return found, unreadable


def _entry_points(distribution: metadata.Distribution) -> str:
    """The text of its entry points, as far as it can be read."""
    try:
        return distribution.read_text("entry_points.txt") or ""
    except ValueError:  # no UTF-8; that it is ours is told by those that read
        return f"[{GROUP}]"


def _imported(candidate: metadata.Distribution) -> metadata.Distribution:
    """Of several distributions of one name the first on the path, which is the one imported."""
    name, _ = _name_and_version(candidate)
    try:
        first = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return candidate
    # a folder that an uninstallation left over has no name
    return first if _name_and_version(first)[0] else candidate


def _name_and_version(distribution: metadata.Distribution) -> tuple[str, str]:
    """Empty where there is none."""
    try:
        about = distribution.metadata
        name = about["Name"] or ""
        return name, __version__ if canonical(name) == BUILTIN else about["Version"] or ""
    except KeyError:
        return "", ""


def version_of(package: str) -> str:
    """The version of an installed distribution.

    Of tunesmith itself it is that of the code that runs: an editable install states the one that it was made from, and
    goes on stating it after the next release is checked out.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    return __version__ if canonical(package) == BUILTIN else metadata.version(package)


def block_list() -> list[str]:
    """The names in the environment's block-list."""
    return [name for name in re.split(r"[,\s]+", os.environ.get(BLOCK_VARIABLE, "")) if name]


def refuse_blocked_builtins(block: Sequence[str], packages: Sequence[Installed]) -> None:
    """Check that the block-list leaves the built-ins, without which no recipe runs.

    Raises:
        RecipeError: It names them.
    """
    for package in packages:
        if package.package == BUILTIN and package.is_any_of(block):
            named = next(name for name in block if package.is_any_of([name]))
            msg = f"{BLOCK_VARIABLE} names {named}, the built-in plugins, without which no recipe runs; take it out"
            raise RecipeError(msg)


def refuse_uninstalled(allow: Sequence[str], packages: Sequence[Installed]) -> None:
    """Check that a recipe's `plugins` are there.

    Raises:
        RecipeError: One is not.
    """
    others = sorted({p.package for p in packages if p.package != BUILTIN})
    for name in allow:
        if not any(p.is_any_of([name]) for p in packages):
            msg = (
                f"plugins: no plugin package {name} is installed{did_you_mean(name, others)}\n"
                f"installed: {', '.join(others) or 'none'}  (lightning-cli plugins list)"
            )
            raise RecipeError(msg)


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
