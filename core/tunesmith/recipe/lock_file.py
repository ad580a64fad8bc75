"""`mine.lock` beside `mine.yaml`: what a recipe is made of, for people to read, to commit and to compare.

It holds no path of a machine: rows, templates and bases of folders are known by their content. With an overlay the lock
is another one, `mine+overlay.lock`, since it is another recipe. A lock is data that nobody vouches for, as recipes are,
and read like one.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tunesmith.errors import RecipeError
from tunesmith.recipe.code_identity import is_same
from tunesmith.recipe.lock import CODE, FORMAT
from tunesmith.recipe.read_yaml import MAX_BYTES, RecipeLoader, read_tree
from tunesmith.recipe.stages import KEY
from tunesmith.recipe.tree import Map, Mark, plain

ENDING = ".lock"
_LONGEST = 60
# The parts that have to be the same, and what one entry of each is; `machine` may differ, and is only said.
_PARTS = {
    "configuration": "",
    "order": "order of ",
    "base": "base ",
    "data": "data source ",
    "files": "file of ",
    "rows": "rows of ",
    "code": "code of ",
    "plugins": "plugin package ",
    "trusted": "trusted class ",
    "environment": "version of ",
}
# The parts that stages have in common.
_OF_ALL = frozenset({"code", "environment"})
_HEADER = """\
# What {name} is made of. Commit it beside the recipe; do not edit it.
#   lightning-cli recipes lock --check {words}     does it still hold?
#   lightning-cli fit {config} --locked     trains only where it does
# What is behind the + of a version is a hash of the code, which is what is compared.
"""


class _Dumper(yaml.SafeDumper):
    """Quotes what `RecipeLoader` would read as something else than text."""


_Dumper.yaml_implicit_resolvers = RecipeLoader.yaml_implicit_resolvers


def lock_path(recipe: Sequence[Path]) -> Path:
    """Where the lock of a recipe with its overlays lies."""
    return recipe[0].with_name("+".join(path.stem for path in recipe) + ENDING)


def write_lock(path: Path, content: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write a lock; the same content is the same bytes.

    Args:
        path: The file.
        content: Its parts, in order.
        names: The file names of recipe and overlays, for its header.
    """
    overlays = "".join(f" --overlay {name}" for name in names[1:])
    header = _HEADER.format(
        name=names[0],
        words=f"{names[0]}{overlays}",
        config=" ".join(f"--config {name}" for name in names),
    )
    head = {"lock": FORMAT, "digest": digest(content["configuration"])}
    path.write_text(header + _dump({**head, **content}), encoding="utf-8")


def read_lock(path: Path, how: str) -> dict[str, Any]:
    """Read a lock.

    Args:
        path: The file.
        how: The command that writes it.

    Raises:
        RecipeError: It is missing, no lock, of a later version, or was changed by hand.
    """
    if not path.is_file():
        msg = f"{path.name} is not there, beside the recipe ({path.parent}); write it with: {how}"
        raise RecipeError(msg)
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_BYTES else ""
    except (ValueError, OSError) as error:
        msg = f"{path} cannot be read; write it anew with: {how}"
        raise RecipeError(msg) from error
    tree = read_tree(text, Mark(path.name, path.parent))
    content: dict[str, Any] = plain(tree) if isinstance(tree, Map) else {}
    if content.get("lock") in range(1, FORMAT):
        msg = f"{path} was written by an earlier tunesmith, which told code in another way; write it anew with: {how}"
        raise RecipeError(msg)
    if content.get("lock") != FORMAT or not all(isinstance(content.get(part, {}), Mapping) for part in _PARTS):
        msg = f"{path} is no lock of this version of tunesmith; write it anew with: {how}"
        raise RecipeError(msg)
    if content.get("digest") != digest(content.get("configuration", {})):
        msg = f"{path}: its configuration is not the one that it was written with (its digest differs): {how}"
        raise RecipeError(msg)
    return content


def by_stage(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One lock of those of all stages, by name: in each part what they say, by stage; but what is the same for all."""
    names = list(stages)
    first = stages[names[0]]
    nested = {part: first[part] if part in _OF_ALL else {name: stages[name][part] for name in names} for part in first}
    return {KEY: names, **nested}


def of_stage(content: Mapping[str, Any], stage: str | None) -> dict[str, Any]:
    """What a lock says of one stage; all of it where there are none."""
    if stage is None:
        return dict(content)
    nested = {part: of for part, of in content.items() if isinstance(of, Mapping) and part not in _OF_ALL}
    return {**content, **{part: of.get(stage) or {} for part, of in nested.items()}}


def as_read(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content as it is once written and read, to be compared with what was."""
    tree = read_tree(_dump(content), Mark("", Path()))
    found: dict[str, Any] = plain(tree)
    return found


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Every difference between two locks, a line each, in the parts that `now` has."""
    return [
        f"{what}{key}: {_said(one)} then, {_said(other)} now"
        for part, what in _PARTS.items()
        if part in now
        for key, one, other in differences(then.get(part) or {}, now[part] or {})
        if not (part in CODE and is_same(one, other))
    ]


def machine_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what this machine is another than the one that the lock was made on."""
    both = differences(then.get("machine") or {}, now.get("machine") or {})
    return [f"{key}: {_said(one)} then, {_said(other)} now" for key, one, other in both]


def refusal(path: Path, found: Sequence[str], how: str) -> RecipeError:
    """The error that names every difference."""
    count = "1 difference" if len(found) == 1 else f"{len(found)} differences"
    lines = [f"{path.name} does not hold, {count}:", *(f"  {line}" for line in found)]
    return RecipeError("\n".join([*lines, f"restore what was there, or lock what is there now: {how}"]))


def differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two nested maps differ, as (key, first, second); None where there is none."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in [*one, *(k for k in other if k not in one)]:
            yield from differences(one.get(name), other.get(name), f"{key}.{name}" if key else str(name))
    elif one != other:
        yield key, one, other


def digest(content: Any) -> str:
    """SHA-256 of a plain value, whatever the order of its keys."""
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def _dump(content: Mapping[str, Any]) -> str:
    # no aliases: what stands twice is written twice
    dumper = type("Dumper", (_Dumper,), {"ignore_aliases": lambda *_: True})
    return yaml.dump(dict(content), Dumper=dumper, sort_keys=False, allow_unicode=True)


def _said(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, str) and value.startswith("sha256:"):
        return value[:19]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | Mapping) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
