"""What a recipe needs installed: `requires: ["acme-plugins>=1.2"]`.

Checked before any plugin is looked for: else a package that is missing would show as a class that nobody knows.
"""

import shlex
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.installed import version_of
from tunesmith.recipe.compose import Recipe

if TYPE_CHECKING:
    from packaging.requirements import Requirement

KEY = "requires"


def check_requires(recipe: Recipe) -> None:
    """Insist on all that a recipe requires.

    Raises:
        RecipeError: An entry is no requirement, or packages or extras are missing or of another version; names all of
            them and the command that installs them.
    """
    needed = requirements(recipe)
    lacking = [(requirement, why) for requirement in needed for why in _lacks(requirement)]
    if not lacking:
        return
    # pip leaves a package as it is that lacks no more than an extra, which a later version may have
    upgrade = ["--upgrade"] if any(not _lacking(one) and _unknown_extras(one) for one, _ in lacking) else []
    install = shlex.join(["pip", "install", *upgrade, *dict.fromkeys(str(requirement) for requirement, _ in lacking)])
    lines = [f"{recipe.origin(KEY)}: {KEY} names what is not here:", *(f"  {why}" for _, why in lacking), install]
    raise RecipeError("\n".join(lines))


def requirements(recipe: Recipe) -> "list[Requirement]":
    """What a recipe's `requires` says; empty where it says nothing, or nothing for this Python and system.

    Raises:
        RecipeError: It is no list, or an entry is no requirement.
    """
    value = recipe.data.get(KEY)
    if value is None:
        return []
    where = recipe.origin(KEY)
    if not isinstance(value, list):
        msg = f'{where}: {KEY} is {value!r}; it takes a list, such as ["acme-plugins>=1.2"]'
        raise RecipeError(msg)
    found = [_read(entry, f"{where}: {KEY}.{index}") for index, entry in enumerate(value)]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def _read(entry: object, where: str) -> "Requirement":
    from packaging.requirements import InvalidRequirement, Requirement

    wanted = "it takes a package with the versions that will do, such as acme-plugins>=1.2"
    if not isinstance(entry, str):
        msg = f"{where} is {entry!r}; {wanted}"
        raise RecipeError(msg)
    try:
        found = Requirement(entry)
    except InvalidRequirement as error:
        msg = f"{where} is {entry!r}, which is no requirement: {str(error).splitlines()[0]}\n{wanted}"
        raise RecipeError(msg) from error
    if found.url is not None:
        # An address would be installed by whoever copies the command, from wherever the recipe's author likes.
        msg = f"{where} is {entry!r}; an address is not taken: {wanted}"
        raise RecipeError(msg)
    return found


def _lacks(requirement: "Requirement") -> Iterator[str]:
    """What is wrong with what is installed, if anything; the extras that are asked for have to be there too."""
    for one in (requirement, *_of_extras(requirement, set())):
        why = _lacking(one)
        by = "" if one is requirement else f", which {requirement} brings"
        yield from (f"{wrong}{by}" for wrong in ([why] if why else _unknown_extras(one)))


def _lacking(requirement: "Requirement") -> str:
    try:
        version = version_of(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{_bare(requirement)} is not installed"
    # A development version that somebody has installed is meant to be used.
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{_bare(requirement)}: {version} is installed"


def _bare(requirement: "Requirement") -> str:
    return f"{requirement.name}{requirement.specifier}"


def _unknown_extras(requirement: "Requirement") -> list[str]:
    """The extras that an installed package does not have, in words; pip would only warn of them."""
    from packaging.utils import canonicalize_name

    about = metadata.metadata(requirement.name)
    there = sorted(about.get_all("Provides-Extra") or [])
    known = set(map(canonicalize_name, there))
    return [
        f"{requirement.name} {version_of(requirement.name)} has no extra {extra}"
        + (did_you_mean(extra, there) or f"; it has {', '.join(there) or 'none'}")
        for extra in sorted(requirement.extras)
        if canonicalize_name(extra) not in known
    ]


def _of_extras(requirement: "Requirement", seen: set[tuple[str, str]]) -> "Iterator[Requirement]":
    """What the extras of an installed package need, and the extras that these name in turn.

    Args:
        requirement: The package with its extras.
        seen: Takes the package and extra of all that was looked at: extras may name each other.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    name = canonicalize_name(requirement.name)
    extras = {(name, canonicalize_name(extra)) for extra in requirement.extras} - seen
    if not extras or _lacking(requirement):
        return
    seen |= extras
    for needed in map(Requirement, metadata.requires(name) or ()):
        marker = needed.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue
        if any(marker.evaluate({"extra": extra}) for _, extra in extras):
            yield needed
            yield from _of_extras(needed, seen)
