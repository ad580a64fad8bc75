"""What a recipe needs installed: `requires: ["acme-plugins>=1.2"]`.

Checked before any plugin is looked for: else a package that is missing would show as a class that nobody knows.
"""

import shlex
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import Recipe

if TYPE_CHECKING:
    from packaging.requirements import Requirement

KEY = "requires"


def check_requires(recipe: Recipe) -> None:
    """Insist on all that a recipe requires.

    Raises:
        RecipeError: An entry is no requirement, or packages are missing or of another version; names all of them and
            the command that installs them.
    """
    needed = requirements(recipe)
    lacking = [(requirement, why) for requirement in needed for why in _lacks(requirement)]
    if not lacking:
        return
    what = "a package that is" if len(lacking) == 1 else f"{len(lacking)} packages that are"
    install = shlex.join(["pip", "install", *dict.fromkeys(str(requirement) for requirement, _ in lacking)])
    lines = [f"{recipe.origin(KEY)}: {KEY} names {what} not here:", *(f"  {why}" for _, why in lacking), install]
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
    if why := _lacking(requirement):
        yield why
    elif requirement.extras:
        for needed in _of_extras(requirement):
            if why := _lacking(needed):
                yield f"{why}, which {requirement} brings"


def _lacking(requirement: "Requirement") -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{_bare(requirement)} is not installed"
    # A development version that somebody has installed is meant to be used.
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{_bare(requirement)}: {version} is installed"


def _bare(requirement: "Requirement") -> str:
    return f"{requirement.name}{requirement.specifier}"


def _of_extras(requirement: "Requirement") -> "Sequence[Requirement]":
    from packaging.requirements import Requirement

    known = [Requirement(text) for text in metadata.requires(requirement.name) or ()]
    asked = [one for one in known if one.marker is not None and not one.marker.evaluate({"extra": ""})]
    return [one for one in asked if any(one.marker.evaluate({"extra": e}) for e in requirement.extras)]  # type: ignore[union-attr]
