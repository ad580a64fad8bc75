"""The files around a package of recipes: what makes it a distribution that pip builds and installs."""

import json
import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tunesmith.errors import RecipeError
from tunesmith.recipe.gitignore import GITIGNORE

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = {name}
version = {version}
description = {description}
readme = "README.md"
requires-python = ">=3.11"
dependencies = [
{dependencies}
]

# Files that git ignores belong to it too: rows often are.
[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]
"""
_README = """\
# {name}

{description}

```sh
pip install {name}
lightning-cli recipes ls
lightning-cli fit --config {address}{locked}
```
{absent}"""
_ABSENT = """
Rows do not come with it. Name your own: {options}
"""


def import_name(name: str) -> str:
    """The import package of a distribution.

    Raises:
        RecipeError: The name is none that a distribution may have, or its package would hide another.
    """
    package = re.sub(r"[-_.]+", "_", name)
    if not _NAME.fullmatch(name) or not package.isidentifier() or keyword.iskeyword(package):
        msg = f"--name {name!r} is no name of a distribution; it begins with a letter, such as acme-recipes"
        raise RecipeError(msg)
    if package.lower() in sys.stdlib_module_names or package.lower() in ("tunesmith", "tunesmith_plugins"):
        msg = f"--name {name}: another package is called {package}; choose another name, such as {name}-recipes"
        raise RecipeError(msg)
    if (other := _hidden(name, package)) is not None:
        msg = f"--name {name}: {other} is installed, and no package of recipes; choose another, such as {name}-recipes"
        raise RecipeError(msg)
    return package


def _hidden(name: str, package: str) -> str | None:
    """An installed distribution that one of this name would replace, or whose package it would hide.

    One that depends on tunesmith may be an older version of the same recipes.
    """
    wanted = canonicalize_name(name)
    same = [d for d in metadata.distributions() if canonicalize_name(d.metadata["Name"] or "") == wanted]
    for distribution in [*same, *map(metadata.distribution, metadata.packages_distributions().get(package, []))]:
        needs = [Requirement(text).name for text in distribution.requires or ()]
        if "tunesmith" not in needs:
            return str(distribution.metadata["Name"])
    return None


def project(
    name: str,
    version: str,
    description: str,
    dependencies: Sequence[str],
    *,
    recipe: str,
    locked: bool,
    absent: Sequence[str],
) -> Mapping[str, str]:
    """The texts of `pyproject.toml`, `README.md`, `.gitignore` and the package's `__init__.py`, by path.

    Args:
        name: Of the distribution.
        version: Its version.
        description: One line.
        dependencies: What it needs, tunesmith among it.
        recipe: The recipe's path in the package.
        locked: Whether a lock lies beside it.
        absent: Keys of sources whose rows do not come with it.
    """
    package = import_name(name)
    options = " ".join(f"--{source}.path=FILE" for source in absent)
    pyproject = _PYPROJECT.format(
        name=_toml(name),
        version=_toml(version),
        description=_toml(description),
        dependencies="\n".join(f"  {_toml(dependency)}," for dependency in dependencies),
        package=package,
    )
    readme = _README.format(
        name=name,
        description=description,
        address=f"package://{package}/{recipe}",
        locked=" --locked" if locked else "",
        absent=_ABSENT.format(options=options) if absent else "",
    )
    return {
        ".gitignore": GITIGNORE,
        "pyproject.toml": pyproject,
        "README.md": readme,
        f"src/{package}/__init__.py": f'"""Recipes for tunesmith: package://{package}/{recipe}. It holds no code."""\n',
    }


def _toml(text: str) -> str:
    # a JSON string is a basic string of TOML, but for DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
