"""The verb `recipes lock`: writes what a recipe is made of beside it, or says whether it still is."""

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.cli.recipes_check import add_code
from tunesmith.cli.screen import tell
from tunesmith.cli.trusted import say_trusted
from tunesmith.errors import RecipeError
from tunesmith.recipe.package_fs import PROTOCOL
from tunesmith.recipe.remote import is_remote


def add(verbs: Any) -> None:
    """Add the verb to those of `recipes`."""
    lock = verbs.add_parser("lock", help="write beside a recipe what it is made of, for `fit --locked`")
    lock.add_argument("recipe", metavar="RECIPE", help="the recipe; mine.yaml gets mine.lock")
    lock.add_argument("--overlay", action="append", default=[], metavar="PATH", help="lay this over it")
    lock.add_argument("--check", action="store_true", help="only say whether the lock still holds")
    add_code(lock)
    lock.set_defaults(action=_lock, parser=lock)


def _lock(arguments: Any) -> int:
    # Loads torch, which most other verbs do without.
    from tunesmith.cli.check import open_stages
    from tunesmith.cli.recipe_lock import hold, make, refuse_remote
    from tunesmith.recipe.lock_file import as_read, changes, lock_path, read_lock, write_lock

    configs = [arguments.recipe, *arguments.overlay]
    far = is_remote(arguments.recipe)
    if far or (arguments.recipe.startswith(PROTOCOL) and not arguments.check):
        place = "lies on the net" if far else "is part of an installed package"
        copy = shlex.join(["lightning-cli", "recipes", "cp", arguments.recipe])
        msg = f"{arguments.recipe} {place}, where no lock can be written beside it; lock a copy: {copy}"
        raise RecipeError(msg)
    say_trusted(arguments.plugin, arguments.trust)
    sessions = open_stages("recipes lock", configs, arguments.plugin, arguments.trust)
    refuse_remote(sessions[0])
    path = lock_path(sessions[0].paths)
    if arguments.check:
        for session in sessions:
            hold(session)
        tell(f"{path.name} holds")
        return 0
    content = make(sessions)
    changed: list[str] = []
    with suppress(RecipeError):  # none was there, or one that is of no use
        changed = changes(read_lock(path, ""), as_read(content))
    write_lock(path, content, [Path(config).name for config in configs])
    tell("\n  ".join([f"wrote {os.path.relpath(path)}", *changed]))
    words = [word for config in configs for word in ("--config", config)]
    tell(f"next:\n  {shlex.join(['lightning-cli', 'fit', *words, '--locked'])}")
    return 0
