"""Recipes with stages: whose weights a stage starts from, and `fit`, which runs one after the other."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.handing_on import check_handing_on, check_heads
from tunesmith.cli.runs import MERGED, Run, compared, digest, find_run, method, runs_of
from tunesmith.cli.screen import say
from tunesmith.cli.trainer_cli import Session, open_session
from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import Recipe

# What these say of a later stage they can say of the recipe's base: it has the same shape.
UNTRAINED = ("preview", "prepare", "recipes check")


def weights_before(arguments: Arguments, names: Sequence[str], at: int) -> Path | None:
    """The weights that a stage starts from: those that the run which is meant started from, else the newest.

    Args:
        arguments: The command line.
        names: The recipe's stages.
        at: Which stage.

    Returns:
        A folder that holds a base; None where the stage before was not trained.
    """
    sessions = [_unresolved(arguments, name) for name in names[: at + 1]]
    check_heads(sessions)
    wanted = arguments.verb != "fit" or "ckpt_path" in arguments.options
    if wanted and (run := _newest(sessions, at)) is not None:
        return Path(_base(run))
    before = _newest(sessions, at - 1, complete=True)
    if before is None and at == 1 and arguments.verb not in UNTRAINED:
        first = sessions[0]
        find_run(first.root, first.name, first.config)  # says what differs, where there are runs
    return None if before is None else (before.path / MERGED).absolute()


def start_from_weights_before(arguments: Arguments, recipe: Recipe, checked: dict[str, Any]) -> None:
    """Make the weights of the stage before the base.

    Args:
        arguments: The command line.
        recipe: Of the stage.
        checked: What it says, whose base is changed.

    Raises:
        RecipeError: The stage before was not trained.
    """
    assert recipe.stage is not None
    at = recipe.stages.index(recipe.stage)
    if not at:
        return
    found = weights_before(arguments, recipe.stages, at)
    if found is not None:
        checked["model"]["base"] = str(found)
    elif arguments.verb not in UNTRAINED:
        before = recipe.stages[at - 1]
        way = f"lightning-cli fit ... --stage {before}, or fit without --stage, which runs all"
        msg = f"stage {recipe.stage} starts from the weights of {before}, which this recipe has not trained: {way}"
        raise RecipeError(msg)


def fit_stages(arguments: Arguments, names: Sequence[str]) -> int:
    """Run all stages, each in a process of its own; the exit code of the first that ends otherwise than well.

    With `--ckpt_path last` those that are complete are left out, and the one that was left goes on where it was.
    """
    wanted = arguments.options.get("ckpt_path")
    if wanted not in (None, "last") or "run" in arguments.options:
        option = "--run" if "run" in arguments.options else f"--ckpt_path {wanted}"
        msg = f"{option} is of one stage: name it too, --stage {names[-1]}; --ckpt_path last goes on with all"
        raise RecipeError(msg)
    sessions = [_unresolved(arguments, name) for name in names]
    for session in sessions:  # before the first one trains
        check_handing_on(session)
    check_heads(sessions)
    for number, name in enumerate(names):
        title = f"stage {number + 1} of {len(names)}: {name}"
        begun = _newest(sessions, number) if wanted else None
        if begun is not None and number:
            before = _newest(sessions, number - 1, complete=True)
            if before is None or Path(_base(begun)) != (before.path / MERGED).absolute():
                begun = None
        if begun is not None and begun.complete:
            say(f"{title}: {begun.path} is complete", style="bold")
            continue
        say(title, style="bold")
        goes_on = begun is not None and begun.last_checkpoint is not None
        assert begun is not None or not goes_on
        more = ["--ckpt_path=last", f"--run={begun.path}"] if begun is not None and goes_on else []
        code = subprocess.run([*_COMMAND, *_words(arguments, name), *more], check=False).returncode  # noqa: S603
        if code:
            return code if code > 0 else 128 - code
    return 0


_COMMAND = (sys.executable, "-c", "import sys; from tunesmith.cli.main import main; sys.exit(main())")


def _words(arguments: Arguments, stage: str) -> list[str]:
    """The command line of one stage."""
    named = [f"--{name}={value}" for name, values in arguments.repeated.items() for value in values]
    left_out = ("stage", "ckpt_path")
    flags = [
        f"--{name}" if value == "true" else f"--{name}={value}"
        for name, value in arguments.options.items()
        if name not in left_out
    ]
    return ["fit", *named, f"--stage={stage}", *flags, *arguments.overrides]


def _unresolved(arguments: Arguments, stage: str) -> Session:
    """A stage's session, whose base is still the recipe's."""
    options = {**arguments.options, "stage": stage}
    return open_session(replace(arguments, options=options), resolve=False)


def _newest(sessions: Sequence[Session], at: int, *, complete: bool = False) -> Run | None:
    """The newest run of a stage that the recipe describes, complete or to be gone on with."""
    if at < 0:
        return None
    session = sessions[at]
    for run in runs_of(session.root, session.name):
        there = run.complete if complete else run.complete or run.last_checkpoint is not None
        if there and _describes(sessions, at, run) and (not complete or at == len(sessions) - 1 or _handed(run)):
            return run
    return None


def _handed(run: Run) -> bool:
    return (run.path / MERGED / "config.json").is_file()


def _describes(sessions: Sequence[Session], at: int, run: Run) -> bool:
    """Whether a run was made by a stage as the recipe says it now, and those before it too."""
    then, now = run.lock.get("method") or {}, method(sessions[at].config)
    if at == 0:
        return digest(compared(then)) == digest(compared(now))
    before = Run(Path(_base(run)).parent)
    return digest(compared(_baseless(then))) == digest(compared(_baseless(now))) and _describes(
        sessions, at - 1, before
    )


def _base(run: Run) -> str:
    return str(((run.lock.get("method") or {}).get("model") or {}).get("base") or "")


def _baseless(method: Mapping[str, Any]) -> dict[str, Any]:
    return {**method, "model": {key: value for key, value in (method.get("model") or {}).items() if key != "base"}}
