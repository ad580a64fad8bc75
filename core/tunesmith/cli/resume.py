"""Which run a `fit` goes on with, and whether what it was made from is still the same."""

from pathlib import Path
from typing import Any

from tunesmith import __version__
from tunesmith.cli.lean import lean
from tunesmith.cli.runs import Run, announce, chosen_run, differences, digest, find_run, method, write_json
from tunesmith.cli.screen import is_first_rank, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.recipe.lock import base_revision, compare, environment
from tunesmith.recipe.package_fs import resolve


def make_lock(session: Session, curated: Curated) -> dict[str, Any]:
    """What `lock.json` holds."""
    base = resolve(session.model.base)
    commit = getattr(getattr(session.model.network, "config", None), "_commit_hash", None)
    used = {(e.package, e.version) for e in session.catalog.entries if e.path in session.dump}
    return {
        "recipe": session.name,
        "fingerprint": digest(lean(method(session.config))),
        "method": method(session.config),
        "data": dict(curated.hashes),
        "base": {session.model.base: base_revision(base, commit)},
        **environment(used),
        "seed": session.seed,
        "success": session.config.get("success") or {},
        "thresholds": digest(session.config.get("success") or {}),
        "version": __version__,
    }


def find_resumed(session: Session) -> tuple[Run | None, str | None]:
    """The run and the checkpoint that `--ckpt_path` and `--run` mean; none for a new run.

    Raises:
        RecipeError: There is no such run or checkpoint.
    """
    options = session.arguments.options
    wanted, chosen = options.get("ckpt_path"), options.get("run")
    if wanted is None:
        if chosen is not None:
            msg = "--run names the run to go on with; add --ckpt_path last"
            raise RecipeError(msg)
        return None, None
    if wanted == "last":
        run = chosen_run(chosen) if chosen else _newest(session)
        if run.last_checkpoint is None:
            msg = f"{run.path} holds no checkpoint yet; start again without --ckpt_path"
            raise RecipeError(msg)
        return announce(run), str(run.last_checkpoint)
    path = Path(wanted)
    if not path.is_file():
        msg = f"--ckpt_path {wanted} is no file; use `last` for the newest checkpoint of the newest run"
        raise RecipeError(msg)
    run = Run(path.absolute().parent.parent)
    if not (run.path / "lock.json").is_file():
        msg = f"--ckpt_path {wanted} does not lie in a run directory: there is no {run.path / 'lock.json'}"
        raise RecipeError(msg)
    return announce(run), str(path)


def _newest(session: Session) -> Run:
    return find_run(session.root, session.name, session.config, session.home, complete=False)


def check_lock(session: Session, resumed: Run | None, lock: dict[str, Any]) -> None:
    """Refuse to go on (`--ckpt_path`) or to begin (`--locked`) where data, base or plugins changed, but for `--relock`.

    Raises:
        RecipeError: Names the first difference.
    """
    flag = session.arguments.flag
    if resumed is not None:
        if not flag("relock"):
            compare(resumed.lock, lock, resumed.path / "lock.json")
        changed = list(differences(lean(resumed.lock.get("method") or {}), lean(lock["method"])))
        if changed:
            key, then, now = changed[0]
            warn(f"this run goes on with another recipe: {key} was {then}, is {now}")
        if is_first_rank() and changed:
            resumed.result.unlink(missing_ok=True)  # what is complete is the recipe of before
        if is_first_rank() and (changed or flag("relock")):
            write_json(resumed.path / "lock.json", lock)
            (resumed.path / "config.yaml").write_text(session.dump)
    elif flag("locked") and not flag("relock"):
        run = find_run(session.root, session.name, session.config, session.home)
        compare(run.lock, lock, run.path / "lock.json")
