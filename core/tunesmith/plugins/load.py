"""Reads the classes out of one plugin: an entry point's object, or a single file.

Every plugin gets a plugin manager of its own, so that nothing that one does can reach another.
"""

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import pluggy

from tunesmith.deprecation import warn_if_deprecated
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file
from tunesmith.plugins import hookspecs
from tunesmith.plugins.import_from import NoPythonFileError, import_from
from tunesmith.plugins.interfaces import Adapter, Audit, Curator, Evaluator, Formatter, Objective, Plugin, Regularizer

BASES: dict[str, type[Plugin]] = {
    base.kind: base for base in (Formatter, Curator, Objective, Adapter, Regularizer, Audit, Evaluator)
}
_PREFIX = f"{hookspecs.PROJECT}_register_"
T = TypeVar("T")
HOOKS = {f"{_PREFIX}{kind}s": kind for kind in BASES}


class BadPluginError(Exception):
    """A plugin does not keep the contract; the message is one line that says how."""


def guarded(
    read: Callable[[T], list[tuple[str, type[Plugin]]]], source: T
) -> tuple[list[tuple[str, type[Plugin]]], str]:
    """What `read` gives, or why it failed; a plugin may raise anything, and call `sys.exit` on import."""
    try:
        return read(source), ""
    except (Exception, SystemExit) as error:
        return [], short(error)


def short(error: BaseException) -> str:
    """One line that says what went wrong, with the place of a syntax error."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{error.msg} ({Path(error.filename).name}, line {error.lineno})"
    if isinstance(error, BadPluginError):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def classes(plugin: Any) -> list[tuple[str, type[Plugin]]]:
    """Kind and class of everything that a plugin's hooks return, in the order of the hooks.

    Args:
        plugin: A module, class or object with functions marked `@tunesmith.hookimpl`.

    Raises:
        BadPluginError: It has no hook, a misspelt one, or one that returns what is no class of its kind.
        Exception: Whatever the plugin's own hooks raise.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _refuse_unmarked(plugin)
    manager.register(plugin)
    _refuse_unknown(manager)
    found: list[tuple[str, type[Plugin]]] = []
    hooks = manager.get_hookcallers(plugin) or []
    for hook in sorted(hooks, key=lambda h: list(HOOKS).index(h.name)):
        if hook.spec is not None:
            warn_if_deprecated(getattr(plugin, "__name__", type(plugin).__name__), hook.spec.function)
        # pluggy leaves a hook's None out of the results.
        for returned in hook() or [None]:
            found += [(HOOKS[hook.name], _checked(cls, hook.name)) for cls in _listed(returned, hook.name)]
    if not hooks:
        msg = f"has no hook: a function {next(iter(HOOKS))} or the like, marked @tunesmith.hookimpl"
        raise BadPluginError(msg)
    _refuse_twice(found)
    return found


def classes_of_file(file: Path) -> list[tuple[str, type[Plugin]]]:
    """Kind and class of everything in one Python file: what its hooks return, or its plugin classes if it has none.

    The module is known by the file's stem from then on, so that `stem.Class` is its dotted path.

    Raises:
        BadPluginError: It has neither, or its name is that of an installed module.
        Exception: Whatever the file itself raises.
    """
    module = _import_file(file)
    if any(name.startswith(_PREFIX) for name in vars(module)):
        return classes(module)
    found = [
        (cls.kind, _checked(cls, module.__name__))
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Plugin) and cls.__module__ == module.__name__
        if not inspect.isabstract(cls) and not cls.__name__.startswith("_")
    ]
    if not found:
        msg = f"has no plugin class ({', '.join(base.__name__ for base in BASES.values())}) and no hook"
        raise BadPluginError(msg)
    return found


def _import_file(file: Path) -> ModuleType:
    path = file.expanduser().resolve()
    if why := why_no_file(path):
        msg = "there is no such file" if why == ABSENT else why
        raise BadPluginError(msg)
    name = re.sub(r"\W", "_", path.stem)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    other = None if loaded else importlib.util.find_spec(name)
    if loaded is not None or (other is not None and other.origin != str(path)):
        msg = f"another module is called {name}; rename the file"
        raise BadPluginError(msg)
    try:
        return import_from(path, name)
    except NoPythonFileError as error:
        msg = "is no Python file: its name must end in .py"
        raise BadPluginError(msg) from error


def _refuse_unmarked(plugin: Any) -> None:
    for name in dir(plugin):
        function = inspect.getattr_static(plugin, name, None)
        function = getattr(function, "__func__", function)
        if name.startswith(_PREFIX) and not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            msg = f"{name} is not marked @tunesmith.hookimpl"
            raise BadPluginError(msg)


def _refuse_unknown(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = next((n for n, h in vars(manager.hook).items() if not n.startswith("_") and not h.has_spec()), "")
        msg = f"{unknown} is not a hook{did_you_mean(unknown, HOOKS)}"
        raise BadPluginError(msg) from error


def _listed(returned: Any, hook: str) -> list[Any]:
    if not isinstance(returned, Iterable) or isinstance(returned, str | type):
        msg = f"{hook} returned {returned!r}, not an iterable of classes"
        raise BadPluginError(msg)
    return list(returned)


def _checked(cls: Any, where: str) -> type[Plugin]:
    """The class, if it is one that a recipe can name."""
    base = BASES[HOOKS[where]] if where in HOOKS else Plugin
    if not inspect.isclass(cls):
        msg = f"{where} returned {cls!r}, which is no class"
    elif not issubclass(cls, base) or cls.kind not in BASES:
        msg = f"{where} returned {cls.__qualname__}, which is no {base.__name__}"
    elif inspect.isabstract(cls):
        msg = f"{cls.__qualname__} lacks {', '.join(sorted(cls.__abstractmethods__))}"
    elif getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls:
        # A resolved recipe names classes by their import path, and so do later runs.
        msg = f"{cls.__qualname__} cannot be imported as {cls.__module__}.{cls.__name__}"
    else:
        return cast("type[Plugin]", cls)
    raise BadPluginError(msg)


def _refuse_twice(found: Iterable[tuple[str, type[Plugin]]]) -> None:
    seen: dict[tuple[str, str], type[Plugin]] = {}
    for kind, cls in found:
        if seen.setdefault((kind, cls.__name__), cls) is not cls:
            msg = f"has two {kind}s called {cls.__name__}"
            raise BadPluginError(msg)
