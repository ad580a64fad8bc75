"""What `mine.lock` holds of an opened recipe, and whether it still holds when `fit --locked` begins.

How it goes with a run's own `lock.json`: `recipes lock` alone writes `mine.lock`; `fit` alone writes `lock.json`.
`--locked` compares a run, new or resumed, with the lock beside the recipe; where the recipe is a run's `config.yaml`,
that is the run's `lock.json`. A resumed run is compared with its own `lock.json` besides, and `--relock` is about that
one only.
"""

import hashlib
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tunesmith.cli.lean import lean, orders
from tunesmith.cli.resume import class_paths
from tunesmith.cli.runs import Run, method
from tunesmith.cli.screen import warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.data.sources import open_sources
from tunesmith.data.store import ids_of
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.code_identity import file_hash, frame, plugin_code, trusted_code
from tunesmith.recipe.lock import base_revision, environment, folder_hash
from tunesmith.recipe.lock_file import (
    as_read,
    by_stage,
    changes,
    lock_path,
    machine_changes,
    of_stage,
    read_lock,
    refusal,
)
from tunesmith.recipe.package_fs import PROTOCOL, resolve
from tunesmith.recipe.stages import KEY as STAGES
from tunesmith.training.hub_commit import locked_commit, newest_commit, why_absent

_BESIDE = ("generation", "evaluators", "audits", "baselines", "comparison", "success")


def hold(session: Session) -> None:
    """Insist that the lock beside the recipe holds, and have a hub's base loaded at its commit; writes nothing.

    Of a recipe with stages, for the one that the session is of, and for the weights that it starts from.

    Raises:
        RecipeError: There is no lock, or something differs; names all that does.
        DataError: Rows or base are missing, or cannot be read.
    """
    refuse_remote(session)
    path, how = lock_path(session.paths), command(session)
    whole = read_lock(path, how)
    if (stages := whole.get(STAGES) or []) != session.stages:
        raise refusal(path, [f"stages: {_listed(stages)} then, {_listed(session.stages)} now"], how)
    then = of_stage(whole, session.stage)
    commit = _locked_commit(session, then)
    now, data = without_rows(session, commit), then.get("data") or {}
    # what a hub data set holds is known once it is read
    now["data"] = {name: data.get(name) if value is None else value for name, value in now["data"].items()}
    found = [*_weights_before(session, whole), *changes(then, as_read(now))]
    if commit is not None and (why := why_absent(session.model.base, commit)):
        found.append(f"base revision: {why}")
    if found:
        raise refusal(path, _of_stage(session, found), how)
    session.model.revision = commit
    if found := changes(then, as_read(of_rows(session.data.read_rows(session.seed)))):
        raise refusal(path, _of_stage(session, found), how)
    if others := machine_changes(then, as_read({"machine": _machine(session)})):
        kind = f"this machine is of another kind than the one of {path.name} ({'; '.join(others)})"
        warn(f"{kind}: rows, order and configuration are the same, weights may differ in their last bits")


def _weights_before(session: Session, whole: Mapping[str, Any]) -> list[str]:
    """In what the run whose weights this stage starts from was made of something else than the lock says."""
    if not _is_later(session) or session.arguments.verb != "fit":  # all others leave the base as the recipe names it
        return []
    run = Run(Path(session.model.base).parent)
    before = session.stages[session.stages.index(session.stage) - 1] if session.stage else ""
    then, there = of_stage(whole, before), run.lock
    now = {part: there.get(part) for part in ("data", "code", "plugins")}
    now["plugins"] = {Path(name).name: identity for name, identity in (now["plugins"] or {}).items()}
    return [f"weights of stage {before} ({run.path}), {said}" for said in changes(then, as_read(now))]


def _of_stage(session: Session, found: list[str]) -> list[str]:
    return [f"stage {session.stage}: {said}" for said in found] if session.stage else found


def _is_later(session: Session) -> bool:
    """Whether this is a stage that starts from the weights of another."""
    return session.stage is not None and session.stage != session.stages[0]


def _listed(stages: Sequence[str]) -> str:
    return ", ".join(stages) or "none"


def refuse_remote(session: Session) -> None:
    """Raise RecipeError for a recipe from the net, beside which nothing lies."""
    if session.remote:
        msg = f"{session.remote[0]} is read from the net, where no lock lies beside it; save it first (recipes cp)"
        raise RecipeError(msg)


def make(sessions: Sequence[Session]) -> dict[str, Any]:
    """All that the lock of a recipe holds, in its order.

    Args:
        sessions: The recipe, or each of its stages in order.

    Raises:
        DataError: Rows or base are missing, or cannot be read.
    """
    parts = {session.stage: _made(session) for session in sessions}
    return parts[None] if None in parts else by_stage({name: part for name, part in parts.items() if name is not None})


def _made(session: Session) -> dict[str, Any]:
    content = without_rows(session) | of_rows(session.data.read_rows(session.seed))
    return {**content, "machine": _machine(session)}


def command(session: Session) -> str:
    """The command that writes the lock; for a recipe of an installed package, the one that copies it to be locked."""
    given = session.arguments.repeated
    recipe, *overlays = given["config"]
    if recipe.startswith(PROTOCOL):
        return f"{shlex.join(['lightning-cli', 'recipes', 'cp', recipe])}, and lock the copy"
    more = {"overlay": overlays, "plugin": given["plugin"], "trust": given["trust"]}
    words = [word for name, values in more.items() for value in values for word in (f"--{name}", value)]
    return shlex.join(["lightning-cli", "recipes", "lock", recipe, *words])


def without_rows(session: Session, commit: str | None = None) -> dict[str, Any]:
    """What is known before rows are read; the content of a hub data set is None.

    Args:
        session: The opened recipe.
        commit: Of a hub's base, where a lock says it; else its newest counts.
    """
    named = class_paths(session.config)
    used = [entry for entry in session.catalog.entries if any(map(entry.answers_to, named))]
    files: dict[str, str] = {}
    configuration = _placeless(_configuration(session), "", session.paths[0].parent, files, _untold(session))
    opened = open_sources(session.data.sources)
    return {
        "configuration": configuration,
        "order": orders(method(session.config)),
        "base": {} if _is_later(session) else {"revision": commit or _revision(session.model.base)},
        "data": {name: one.fingerprint() if one.is_local else None for name, one in opened.items()},
        "files": files,
        "code": frame(),
        # a file of `--plugin` is known by its name, wherever it lies
        "plugins": {Path(name).name: identity for name, identity in plugin_code(used).items()},
        "trusted": trusted_code(named, session.arguments.repeated["trust"]),
        "environment": _everywhere(environment()),
    }


def of_rows(curated: Curated) -> dict[str, Any]:
    """What is known of the rows.

    Their sources' content, which of them are in which split and in which order, and what reads those of a source whose
    formatter is chosen by its rows.
    """
    rows = {
        split: {"count": len(examples), "ids": _hash("\n".join(ids_of(examples)))}
        for split, examples in curated.splits.items()
    }
    chosen = {
        f"{name}, read as": [one["formatter"] for one in counts["read as"]]
        for name, counts in curated.counts["sources"].items()
        if "read as" in counts
    }
    return {"data": dict(curated.hashes), "rows": {**rows, **chosen}}


def _configuration(session: Session) -> dict[str, Any]:
    """The resolved recipe, without defaults and without where rows and base lie: they are known by their content."""
    resolved = method(session.config)
    data = dict(resolved["data"])
    data["sources"] = {
        name: {key: value for key, value in source.items() if key != "path"} for name, source in data["sources"].items()
    }
    model = dict(resolved["model"])
    by_content = not isinstance(resolve(session.model.base), str) and not session.model.base.startswith(PROTOCOL)
    if by_content or _is_later(session):
        del model["base"]
    beside = {key: session.config[key] for key in _BESIDE if session.config.get(key)}
    return lean(resolved | {"data": data, "model": model} | beside)


def _untold(session: Session) -> frozenset[str]:
    """The keys of files whose content is secret, or what a run writes."""
    curators = session.data.curators.items()
    return frozenset(f"data.curators.{name}.init_args.{key}" for name, one in curators for key in one.unlocked)


def _placeless(value: Any, key: str, folder: Path, files: dict[str, str], untold: frozenset[str]) -> Any:
    """A value without paths of this machine: files by their content, others from the recipe's folder on.

    Args:
        value: A part of the configuration.
        key: Its key.
        folder: The recipe's.
        files: Takes the content of the files, by key.
        untold: Keys of those that are only said to be there.
    """
    if isinstance(value, Mapping):
        return {k: _placeless(v, f"{key}.{k}" if key else str(k), folder, files, untold) for k, v in value.items()}
    if isinstance(value, list):
        return [_placeless(v, f"{key}.{index}", folder, files, untold) for index, v in enumerate(value)]
    if not isinstance(value, str) or not value.startswith("/") or "\n" in value:
        return value
    path = Path(value)
    if key in untold:  # whether it is there yet or not
        return "(a file)"
    if _is_file(path):
        files[key] = f"sha256:{file_hash(path)}"
        return "(a file)"
    # of curators: an embedding model's; others hold what runs write
    if key.startswith("data.curators.") and _is_folder(path):
        files[key] = f"sha256:{folder_hash(path)}"
        return "(a folder)"
    return f"./{path.relative_to(folder)}" if path.is_relative_to(folder) else value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # text that only looks like a path may be too long for one
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _locked_commit(session: Session, then: Mapping[str, Any]) -> str | None:
    """The commit that a lock names of the hub's base; None where the recipe names another by now."""
    base = session.model.base
    model = (then.get("configuration") or {}).get("model")
    named = model.get("base") if isinstance(model, Mapping) else None
    return locked_commit(base, (then.get("base") or {}).get("revision")) if named == base else None


def _revision(base: str) -> str:
    found = resolve(base)
    if not isinstance(found, str):
        return base_revision(found)
    try:
        return newest_commit(found)
    except LookupError as error:
        msg = f"model.base: the commit of {base} cannot be told: {error}"
        raise DataError(msg) from error


def _everywhere(packages: Mapping[str, str]) -> dict[str, str]:
    """Versions that can be the same on any machine: without what a build is for, and Python's without its patches."""
    # tunesmith is known by its code
    others = {name: version for name, version in packages.items() if name != "tunesmith"}
    versions = {name: version.partition("+")[0] for name, version in others.items()}
    return versions | {"python": ".".join(versions["python"].split(".")[:2])}


def _machine(session: Session) -> dict[str, str]:
    """What weights depend on to the last bit, and nothing else does."""
    return {
        "device": session.model.runs_on.type,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "model.precision": session.model.format,
        "torch": str(torch.__version__),
    }


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
