"""Run directories: `runs/<recipe>/<time>/`, made by `fit`, found again by every other verb."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tunesmith.cli.lean import lean, orders
from tunesmith.cli.screen import is_first_rank
from tunesmith.errors import RecipeError
from tunesmith.recipe.lock_file import differences

_RUN_VARIABLE = "TUNESMITH_RUN_DIRECTORY"  # how the other ranks of a `fit` learn rank 0's directory
MERGED = "merged"  # the folder of a stage's whole weights, which the next one starts from
_METHOD = ("seed_everything", "model", "data", "trainer")
# What changes where or how a run is watched, not what is trained.
_WATCHING = (
    "logger",
    "enable_progress_bar",
    "enable_model_summary",
    "log_every_n_steps",
    "default_root_dir",
    "profiler",
)
# What is said about rows, for people.
_SAID = ("about", "licence", "approved_by")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def lock(self) -> dict[str, Any]:
        """The content of `lock.json`; empty where there is none."""
        return read_json(self.path / "lock.json")

    @property
    def data(self) -> dict[str, Any]:
        """The content of `data.json`: what became of the rows."""
        return read_json(self.path / "data.json")

    @property
    def tested(self) -> dict[str, Any]:
        """The content of `test/metrics.json`: what the last `test` measured; empty where there was none."""
        return read_json(self.path / "test/metrics.json")

    @property
    def complete(self) -> bool:
        """Whether `fit` ended and saved its adapter."""
        return read_json(self.result).get("complete") is True

    @property
    def processor_seconds(self) -> float:
        """What training it took, as `fit` measured it; nan where it does not say."""
        value = read_json(self.result).get("processor_seconds")
        return float(value) if isinstance(value, int | float) else math.nan

    @property
    def kept_step(self) -> int | None:
        """The step whose weights its adapter holds; None where `fit` does not say."""
        value = read_json(self.result).get("kept_step")
        return value if isinstance(value, int) else None

    @property
    def result(self) -> Path:
        """What `fit` writes last: how it went."""
        return self.path / "result.json"

    @property
    def result_content(self) -> dict[str, Any]:
        """The content of `result.json`; empty where `fit` did not end."""
        return read_json(self.result)

    @property
    def adapter(self) -> Path:
        """Where the adapter lies."""
        return self.path / "adapter"

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that can be resumed from."""
        found = list((self.path / "checkpoints").glob("last*.ckpt"))
        return max(found, key=lambda p: p.stat().st_mtime_ns) if found else None


def read_json(path: Path) -> dict[str, Any]:
    """The map that a JSON file holds; empty where there is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    # half of a surrogate pair, which JSON can say and UTF-8 cannot, is left as JSON's own escape
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    part.replace(path)


def digest(content: Any) -> str:
    """A short hash of a JSON-able value that does not depend on the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def method(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved recipe that decides what is trained."""
    part: dict[str, Any] = {key: config.get(key) for key in _METHOD}
    part["trainer"] = {k: v for k, v in (config.get("trainer") or {}).items() if k not in _WATCHING}
    data = {k: v for k, v in (config.get("data") or {}).items() if k not in ("workers", "keep_rejected", "cache")}
    if isinstance(sources := data.get("sources"), Mapping):
        # what is said about a file is not what is in it
        data["sources"] = {n: {k: v for k, v in s.items() if k not in _SAID} for n, s in sources.items()}
    part["data"] = data
    return part


def compared(method: Mapping[str, Any]) -> dict[str, Any]:
    """What two methods are compared by: what is not a default of today, and the order of names.

    Args:
        method: Of today, or out of the lock of an older run, which has kept the order.
    """
    return lean(method) | {f"order of {key}": names for key, names in orders(method).items()}


def new_run(root: Path, recipe: str) -> Run:
    """Make a run directory; the other ranks of the same `fit` get the one that rank 0 made."""
    given = os.environ.get(_RUN_VARIABLE)
    if given and "LOCAL_RANK" in os.environ:
        return Run(Path(given))
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    if not is_first_rank():  # started by torchrun, not by rank 0; only rank 0 writes
        return Run(root / recipe / stamp)
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        path = root / recipe / f"{stamp}{suffix}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except FileNotFoundError as error:  # what /proc says instead of a refusal
            msg = f"trainer.default_root_dir: {path} cannot be made; choose another place"
            raise RecipeError(msg) from error
        return announce(Run(path))
    msg = f"no free run directory below {root / recipe}"
    raise RecipeError(msg)


def announce(run: Run) -> Run:
    """Tell the ranks that this process will start which directory is used."""
    os.environ[_RUN_VARIABLE] = str(run.path.absolute())
    return run


def runs_of(root: Path, recipe: str) -> list[Run]:
    """The runs of a recipe, newest first."""
    folder = root / recipe
    if not folder.is_dir():
        return []
    return [Run(p) for p in sorted(folder.iterdir(), key=lambda p: p.name, reverse=True) if (p / "lock.json").is_file()]


def run_of(config: Path) -> Run | None:
    """The run that a `config.yaml` lies in, if it does."""
    run = Run(config.parent)
    return run if config.name == "config.yaml" and run.lock.get("recipe") else None


def chosen_run(path: str, said: str = "--run") -> Run:
    """The run that `--run`, or another option, names.

    Raises:
        RecipeError: It is none.
    """
    run = Run(Path(path))
    if not (run.path / "lock.json").is_file():
        inside = [p.parent for p in sorted(run.path.glob("*/lock.json"))] if run.path.is_dir() else []
        hint = f"; did you mean {inside[-1]}?" if inside else ""
        msg = f"{said} {path} is not a run directory: it has no lock.json{hint}\nruns lie in runs/RECIPE/TIME"
        raise RecipeError(msg)
    return run


def checkpoint_of(run: Run, wanted: str, said: str = "--ckpt_path") -> Path:
    """A checkpoint of a run by its path or its name; `last` is the newest.

    Raises:
        RecipeError: It is none.
    """
    if wanted == "last" and run.last_checkpoint is not None:
        return run.last_checkpoint
    for path in (Path(wanted), run.path / "checkpoints" / wanted):
        if path.is_file():
            return path
    there = ", ".join(sorted(p.name for p in (run.path / "checkpoints").glob("*.ckpt"))) or "none"
    msg = f"{said} {wanted} is no checkpoint; {run.path / 'checkpoints'} holds: {there}"
    raise RecipeError(msg)


def find_run(
    root: Path,
    recipe: str,
    config: Mapping[str, Any],
    first: Run | None = None,
    *,
    complete: bool = True,
    advice: str = "",
) -> Run:
    """The newest run that the recipe, as it is now, describes.

    Args:
        root: The folder of all runs.
        recipe: Its name.
        config: The resolved recipe.
        first: The run that the recipe's file lies in, which is taken if it fits.
        complete: Whether it must have ended; else it must hold a checkpoint to go on from.
        advice: What to do where none was made by this recipe; empty for what the verbs that judge need.

    Raises:
        RecipeError: There is none; names the nearest run and the first key that differs.
    """
    wanted = compared(method(config))
    candidates = [*([first] if first is not None else []), *runs_of(root, recipe)]
    others = [run for run in candidates if (run.complete if complete else run.last_checkpoint)]
    for run in others:
        if digest(_made_by(run)) == digest(wanted):
            return run
    if not others:
        what = f"complete run of {recipe}" if complete else f"run of {recipe} with a checkpoint"
        msg = f"there is no {what} below {root}{_what_to_do(candidates)}: lightning-cli fit ..."
        raise RecipeError(msg)
    nearest = min(others, key=lambda run: len(list(differences(_made_by(run), wanted))))
    key, then, now = next(differences(_made_by(nearest), wanted), ("version", None, None))
    # an option that equals its default is left out of what is compared, and has a value all the same
    then = value_at(nearest.lock.get("method"), key) if then is None else then
    now = value_at(method(config), key) if now is None else now
    msg = (
        f"no run of {recipe} was made by this recipe; the nearest is {nearest.path}: {key} was {_said(then)} there "
        f"and is {_said(now)} now\n"
        f"{advice or f'give the same --config and changes as for `fit`, or --run {nearest.path}'}"
    )
    raise RecipeError(msg)


def _what_to_do(begun: Sequence[Run]) -> str:
    if any(run.last_checkpoint for run in begun):
        return ", only some that did not end; go on with --ckpt_path last"
    if begun:
        return ", only some that did not end and saved no checkpoint; train it again, without --ckpt_path"
    return "; train it first"


def value_at(config: Any, key: str) -> Any:
    """What stands at a key of nested maps, its names joined by dots; None where nothing does."""
    for name in key.split("."):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config


def _made_by(run: Run) -> dict[str, Any]:
    return compared(run.lock.get("method") or {})


def _said(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
