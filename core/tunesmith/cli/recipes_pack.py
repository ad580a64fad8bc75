"""The verb `recipes pack`: makes a package of a recipe that others install and use as `package://`."""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tunesmith import __version__
from tunesmith.cli.screen import tell
from tunesmith.cli.trusted import say_trusted
from tunesmith.cli.write_file import write_file
from tunesmith.errors import RecipeError
from tunesmith.plugins.installed import version_of
from tunesmith.recipe.lock_file import lock_path
from tunesmith.recipe.package_fs import PROTOCOL
from tunesmith.recipe.shipped import ENDINGS, PACKAGE, look
from tunesmith.recipe.stages import KEY


def add(verbs: Any) -> None:
    """Add the verb to those of `recipes`."""
    pack = verbs.add_parser("pack", help="make a package of a recipe, which others install and use as package://")
    pack.add_argument("recipe", metavar="RECIPE", type=Path, help="the recipe")
    pack.add_argument("--name", metavar="NAME", help="its name, such as acme-recipes (default: by the recipe)")
    pack.add_argument("--version", default="0.1.0", metavar="VERSION", help="its version (0.1.0)")
    pack.add_argument("--overlay", action="append", default=[], type=Path, metavar="PATH", help="pack this with it")
    pack.add_argument("--output", type=Path, metavar="DIR", help="the folder to write (default: the name)")
    pack.add_argument("--no-data", action="store_true", help="leave the rows out")
    pack.add_argument("--copy-in", action="store_true", help="copy files that lie outside of the recipe's folder too")
    pack.add_argument("--trust", action="append", default=[], metavar="PREFIX", help="an import prefix to allow")
    pack.set_defaults(action=_pack, parser=pack)


def _pack(arguments: Any) -> int:
    from tunesmith.recipe.pack import Packer
    from tunesmith.recipe.pack_project import import_name, project

    recipe: Path = arguments.recipe
    if recipe.suffix not in ENDINGS or not recipe.is_file():
        msg = f"{recipe} is no recipe here; name a .yaml file"
        raise RecipeError(msg)
    name = arguments.name or f"{recipe.stem.replace('_', '-')}-recipes"
    package, folder = import_name(name), arguments.output or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there already; remove it, or name another folder with --output"
        raise RecipeError(msg)
    _check_version(arguments.version)
    say_trusted((), arguments.trust)
    sessions = _sessions(recipe, arguments.overlay, arguments.trust)
    locks = [path for path in dict.fromkeys(map(_held, sessions)) if path is not None]
    # `--locked` with the recipe alone asks for the recipe's own lock, not for one with an overlay
    locked = lock_path(sessions[0].paths) in locks
    dependencies = _dependencies(sessions)
    packed = Packer(recipe, arguments.overlay, with_data=not arguments.no_data, copy_in=arguments.copy_in).gather()
    packed.files.update({lock.name: lock for lock in locks})
    listed = look(recipe, recipe.parent)
    around = project(
        name,
        arguments.version,
        (listed.summary if listed is not None else "") or f"The recipe {recipe.stem}",
        dependencies,
        recipe=recipe.name,
        locked=locked,
        absent=_sources(recipe) if arguments.no_data else (),
    )
    inside = folder / "src" / package
    _write({folder / path: text for path, text in around.items()})
    _write({inside / path: text for path, text in packed.texts.items()})
    for inner, file in packed.files.items():
        (inside / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, inside / inner)
    contents = [*packed.texts, *(f"{inner} ({file.stat().st_size:,} bytes)" for inner, file in packed.files.items())]
    tell("\n  ".join([f"packed {name} {arguments.version} in {folder}", *contents, *packed.notes]))
    if packed.rows and not arguments.no_data:
        tell(f"who gets the package gets the rows in {', '.join(packed.rows)}; --no-data leaves them out")
    if not locks:
        tell(f"no lock goes with it: lightning-cli recipes lock {shlex.quote(str(recipe))}  writes one")
    tell(f"needs {', '.join(dependencies)}")
    tell(f"next:\n  pip install {shlex.quote(f'./{folder}' if not folder.is_absolute() else str(folder))}")
    absent = _sources(recipe) if arguments.no_data else ()
    rows = "".join(f" --{source}.path=FILE" for source in absent)
    tell(f"  lightning-cli fit --config {PROTOCOL}{package}/{recipe.name}{rows}{' --locked' if locked else ''}")
    return 0


def _sessions(recipe: Path, overlays: Sequence[Path], trust: Sequence[str]) -> list[Any]:
    """The recipe alone, and with each of its overlays; all their stages.

    Raises:
        RecipeError: One of them is wrong.
    """
    from tunesmith.cli.check import open_stages

    alone = [str(recipe)]
    configs = (alone, *([*alone, str(overlay)] for overlay in overlays))
    return [session for more in configs for session in open_stages("recipes pack", more, [], trust)]


def _held(session: Any) -> Path | None:
    """The lock of a recipe, if there is one.

    Raises:
        RecipeError: It does not hold: whoever gets it would be refused.
    """
    from tunesmith.cli.recipe_lock import hold

    path = lock_path(session.paths)
    if not path.is_file():
        return None
    hold(session)
    return path


def _dependencies(sessions: Sequence[Any]) -> list[str]:
    """What the recipe requires, and what it uses all the same: tunesmith, packages of plugins, of rows and bases."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    stated = dict.fromkeys(text for session in sessions for text in session.config.get("requires") or ())
    known = {canonicalize_name(Requirement(text).name) for text in stated}
    used = {"tunesmith": __version__}
    for session in sessions:
        used |= _used(session)
    unstated = {name: version for name, version in used.items() if canonicalize_name(name) not in known}
    return [*(f"{name}>={version.partition('+')[0]}" for name, version in unstated.items()), *stated]


def _used(session: Any) -> Iterator[tuple[str, str]]:
    from tunesmith.cli.resume import class_paths

    named = class_paths(session.config)
    for entry in session.catalog.entries:
        if not entry.builtin and any(map(entry.answers_to, named)):
            yield entry.package, entry.version
    owners = metadata.packages_distributions()
    for address in _addresses(session.config):
        package = address.removeprefix(PROTOCOL).partition("/")[0]
        if package != PACKAGE:
            yield from ((owner, version_of(owner)) for owner in owners.get(package, ())[:1])


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _addresses(inner)
    elif isinstance(value, str) and value.startswith(PROTOCOL):
        yield value


def _sources(recipe: Path) -> list[str]:
    """Keys of the sources whose rows lie here, as a command line names them."""
    from tunesmith.recipe.compose import compose

    whole = compose([str(recipe)])
    parts = [(f"{KEY}.{name}.", compose([str(recipe)], stage=name)) for name in whole.stages] or [("", whole)]
    return [
        f"{of}data.sources.{name}"
        for of, part in parts
        for name, source in ((part.data.get("data") or {}).get("sources") or {}).items()
        if any(not path.startswith(PROTOCOL) for path in _paths(source))
    ]


def _paths(source: Any) -> list[str]:
    path = source.get("path") if isinstance(source, dict) else None
    return [str(one) for one in path] if isinstance(path, list) else [str(path)]


def _check_version(version: str) -> None:
    from packaging.version import InvalidVersion, Version

    try:
        Version(version)
    except InvalidVersion as error:
        msg = f"--version {version!r} is no version; write 0.1.0 or the like"
        raise RecipeError(msg) from error


def _write(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        write_file(path, text)
