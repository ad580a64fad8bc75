"""Where probes lie: beside this file, in a file of one's own, or as a public set in a package that is installed."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from tunesmith import AbsentPackageError, DataError

_LANGUAGE = "en"
Probe = TypeVar("Probe")


def shipped(name: str) -> dict[str, Any]:
    """What `probes/en/NAME.json` holds."""
    file = resources.files(__package__).joinpath("probes", _LANGUAGE, f"{name}.json")
    held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return held


def public(owner: str, name: str, path: Path | None, packages: Mapping[str, tuple[str, str]]) -> Path:
    """Where a public set lies.

    Packages are found without importing them.

    Args:
        owner: Class whose options these are, for messages.
        name: Of the set, for messages.
        path: A folder or file of one's own; None looks into packages.
        packages: By import name, where in it the set lies, and how the package is installed.

    Raises:
        AbsentPackageError: No package has it.
        DataError: The path does not exist.
    """
    if path is not None:
        if not path.exists():
            msg = f"{owner}.path: {path} does not exist"
            raise DataError(msg)
        return path
    for package, (inner, _) in packages.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec is not None else []:
            if (found := Path(folder) / inner).exists():
                return found
    ways = "` or `".join(how for _, how in packages.values())
    msg = f"{owner}.probes: {name} is in no installed package; get it with `{ways}`, or say where it lies with `path`"
    raise AbsentPackageError(msg)


def read_json_lines(owner: str, path: Path) -> list[dict[str, Any]]:
    """The objects of a file, one a line.

    Raises:
        DataError: It cannot be read, or a line is no object.
    """
    found: list[dict[str, Any]] = []
    for at, line in enumerate(read_text(owner, path).splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                msg = f"{owner}.path: {path}:{at} is no JSON ({error})"
                raise DataError(msg) from error
            if not isinstance(row, dict):
                msg = f"{owner}.path: {path}:{at} is no object"
                raise DataError(msg)
            found.append(row)
    return found


def read_text(owner: str, path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"{owner}.path: {path} cannot be read ({said})"
        raise DataError(msg) from error


def some(probes: Sequence[Probe], limit: int | None, key: Callable[[Probe], str]) -> list[Probe]:
    """At most so many of the probes, drawn by what they are, so that the same ones are drawn each time; in order."""
    if limit is None or limit >= len(probes):
        return list(probes)
    order = sorted(range(len(probes)), key=lambda at: hashlib.blake2b(key(probes[at]).encode()).digest())
    return [probes[at] for at in sorted(order[: max(0, limit)])]
