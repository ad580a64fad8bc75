"""Which run a `fit` goes on with, and whether what it was made from is still the same."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from tunesmith import __version__
from tunesmith.cli.runs import Run, announce, chosen_run, compared, digest, find_run, method
from tunesmith.cli.screen import is_first_rank, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.loader import layout_differences
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.recipe.code_identity import frame, plugin_code, trusted_code
from tunesmith.recipe.lock import FORMAT, base_revision, compare, environment, files_of, folders_of, template_revision
from tunesmith.recipe.lock_file import differences
from tunesmith.recipe.package_fs import resolve
from tunesmith.training.fsdp2 import FSDP2
from tunesmith.training.shards import is_sharded, read_meta


class Resumed(Callback):
    """Begins a resumed run at its first batch, when Lightning has taken the checkpoint, and each callback its start.

    A resume that is refused before that leaves all files of its run as they were.

    Args:
        write: Writes what the run is made from now.
        comparable: Whether validation losses of before can be compared with those to come.
    """

    def __init__(self, write: Callable[[], None], comparable: bool = True) -> None:
        self._write: Callable[[], None] | None = write
        self._comparable = comparable

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        """Let early stopping wait anew where losses are of other rows than before."""
        for callback in trainer.early_stopping_callbacks if not self._comparable else []:
            callback.wait_count, callback.best_score = 0, torch.tensor(math.inf)
            if callback.mode == "max":
                callback.best_score = -callback.best_score

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Write before the first step."""
        if self._write is not None:
            # Lightning numbers logged steps apart, and loses one where `max_steps` had ended the run within an epoch
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        self._begin()

    def on_train_end(self, *_: Any) -> None:
        """Write where there was no step to make."""
        self._begin()

    def _begin(self) -> None:
        if self._write is not None and is_first_rank():
            self._write()
        self._write = None


def make_lock(session: Session, curated: Curated) -> dict[str, Any]:
    """What `lock.json` holds."""
    base = resolve(session.model.base)
    named = class_paths(session.config)
    used = [entry for entry in session.catalog.entries if any(map(entry.answers_to, named))]
    return {
        "lock": FORMAT,
        "recipe": session.name,
        "fingerprint": digest(compared(method(session.config))),
        "method": method(session.config),
        "data": dict(curated.hashes),
        "base": {
            session.model.base: base_revision(base, session.model.revision),
            **template_revision(session.model.template),
        },
        "folders": folders_of({f"data.curators.{name}": one for name, one in session.data.curators.items()}),
        "files": files_of({f"model.regularizers.{name}": one for name, one in session.model.regularizers.items()}),
        "packages": environment(),
        "code": frame(),
        "plugins": plugin_code(used),
        "trusted": trusted_code(named, session.arguments.repeated["trust"]),
        "formats": {"model.precision": session.model.format},  # `auto` depends on the machine
        "seed": session.seed,
        "success": session.config.get("success") or {},
        "thresholds": digest(session.config.get("success") or {}),
        "version": __version__,
    }


def class_paths(config: Any) -> set[str]:
    """The import paths of all classes that a resolved recipe names."""
    if isinstance(config, list):
        return {path for value in config for path in class_paths(value)}
    if not isinstance(config, dict):
        return set()
    own = {config["class_path"]} if isinstance(config.get("class_path"), str) else set()
    return own | {path for value in config.values() for path in class_paths(value)}


def find_resumed(session: Session) -> tuple[Run | None, str | None]:
    """The run and the checkpoint that `--ckpt_path` and `--run` mean; none for a new run.

    Raises:
        RecipeError: There is no such run or checkpoint, or --relock has no lock to go beyond.
    """
    options, flag = session.arguments.options, session.arguments.flag
    if flag("relock") and "ckpt_path" not in options:
        way = "leave it out, or add --ckpt_path last (a lock beside a recipe: lightning-cli recipes lock)"
        msg = f"--relock goes on although the lock of a run differs; a new run has none: {way}"
        raise RecipeError(msg)
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
    if not path.is_file() and not is_sharded(path):
        msg = f"--ckpt_path {wanted} is no file; use `last` for the newest checkpoint of the newest run"
        raise RecipeError(msg)
    run = Run(path.absolute().parent.parent)
    if not (run.path / "lock.json").is_file():
        msg = f"--ckpt_path {wanted} does not lie in a run directory: there is no {run.path / 'lock.json'}"
        raise RecipeError(msg)
    return announce(run), str(path)


def _newest(session: Session) -> Run:
    return find_run(session.root, session.name, session.config, session.home, complete=False)


def find_obeyed(session: Session, resumed: Run | None) -> Run | None:
    """The run whose lock a `fit` has to agree with: the one that it goes on with, or a `config.yaml`'s with `--locked`.

    Any other recipe `recipe_lock.hold` compares with the lock beside it.

    Raises:
        RecipeError: The recipe is no longer the one that the `config.yaml` was written for.
    """
    if resumed is not None or not session.arguments.flag("locked") or session.home is None:
        return resumed
    advice = "--locked begins what a lock describes already: give the recipe of that run, or leave --locked out"
    return find_run(session.root, session.name, session.config, session.home, advice=advice)


def check_lock(session: Session, obeyed: Run | None, lock: dict[str, Any], *, goes_on: bool) -> bool:
    """Refuse where data, base or code are not those of a run's lock, but for `--relock`. Changes no file.

    Args:
        session: The opened recipe.
        obeyed: The run.
        lock: What there is now.
        goes_on: Whether that run is resumed.

    Returns:
        Whether the resumed run goes on with another recipe than it was begun with.

    Raises:
        RecipeError: Names the first difference.
    """
    if obeyed is None:
        return False
    where = obeyed.path / "lock.json"
    if not goes_on:
        compare(obeyed.lock, lock, where, "leave --locked out")
        return False
    changed = list(differences(compared(obeyed.lock.get("method") or {}), compared(lock["method"])))
    if not session.arguments.flag("relock"):
        compare(obeyed.lock, lock, where, "go on with --relock")
    if changed:
        key, then, now = changed[0]
        warn(f"this run goes on with another recipe: {key} was {then}, is {now}")
    return bool(changed)


def comparable(resumed: Run | None, lock: dict[str, Any]) -> bool:
    """Whether a run's validation losses are of the same tokens as before; says so where they are not."""
    if resumed is None or _validated(resumed.lock) == _validated(lock):
        return True
    warn("validation rows are not those of before: the lowest loss and the best step are looked for anew")
    return False


def _validated(lock: dict[str, Any]) -> list[Any]:
    """What validation losses depend on beside the weights."""
    made = compared(lock.get("method") or {})
    order = [names for key, names in made.items() if key.startswith("order of data.")]
    data = {key: value for key, value in made.get("data", {}).items() if key not in ("batch_size", "max_tokens")}
    model = [made.get("model", {}).get(key) for key in ("base", "objective", "template", "precision")]
    return [lock.get("data"), lock.get("base"), data, order, model, made.get("trainer", {}).get("limit_val_batches")]


def nothing_to_do(session: Session, resumed: Run, changed: bool) -> bool:
    """Whether the run is complete and `last` means its end; a checkpoint that is named may be an earlier one."""
    return resumed.complete and session.arguments.options.get("ckpt_path") == "last" and not changed


def check_position(session: Session, checkpoint: str, trainer: Trainer) -> None:
    """Look whether the checkpoint's place within an epoch still means the same rows.

    Where it does not, `--relock` ends that epoch there and goes on with the next, which is complete.

    Raises:
        RecipeError: It does not, and `--relock` is not given or there is no next epoch.
    """
    if is_sharded(Path(checkpoint)) and not isinstance(trainer.strategy, FSDP2):
        msg = f"{checkpoint} is in shards, which trainer.strategy fsdp2 alone can read; go on with it"
        raise RecipeError(msg)
    content = read_meta(Path(checkpoint))
    at = content.get(type(session.data).__qualname__, {}).get("train")
    if at is None or not 0 < at["done"] < at["of"]:
        return
    differences = layout_differences(at["layout"], session.data.plan_for(trainer).layout())
    if not differences:
        return
    epoch = at["epoch"] + 1
    where = f"epoch {epoch} was left after {at['done']} of {at['of']} micro-batches and cannot go on: "
    said = where + ", ".join(differences)
    last = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    if last is not None and epoch >= last:
        msg = f"{said}\nit is the last: restore them, raise trainer.max_epochs, or begin a new run without --ckpt_path"
        raise RecipeError(msg)
    if not session.arguments.flag("relock"):
        msg = f"{said}\nrestore them, or add --relock to go on with epoch {epoch + 1}"
        raise RecipeError(msg)
    session.data.leaves_cut_epoch = True
    warn(f"{said}; the rows of its rest are not seen in it; training goes on with epoch {epoch + 1}, on all rows")
