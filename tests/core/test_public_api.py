"""The public surface is a promise: what is in it has a version since when, and does not go without a deprecation.

`python tests/core/test_public_api.py` renews the list, `public_api.txt`.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tunesmith
from tunesmith.plugins import hookspecs
from tunesmith.plugins.catalog import Catalog

HERE = Path(__file__)
LIST = HERE.with_name("public_api.txt")
RENEW = f"python tests/core/{HERE.name}"
SINCE = re.compile(r"^Since (\d+\.\d+)\.$", re.MULTILINE)
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("tunesmith_register_")}
# What plugin authors import from, beside the hooks that they implement.
MODULES = ("tunesmith", "tunesmith.testing")
# Whose fixtures their tests use.
FIXTURES = "tunesmith.testing.pytest"


def public(module: str) -> dict[str, Any]:
    """What a module names in `__all__`."""
    there = importlib.import_module(module)
    return {name: getattr(there, name) for name in getattr(there, "__all__", [])}


def surface() -> Iterator[str]:
    """A line for everything that someone else's code may rest on."""
    for module in MODULES:
        for name, thing in sorted(public(module).items()):
            yield from _lines(f"{module}.{name}", thing)
    for base in inherited():
        yield from _lines(base.__name__, base)
    yield from _fixtures()
    for name, hook in sorted(HOOKS.items()):
        yield from _lines(f"hook {name}", hook)


def inherited() -> list[type]:
    """What public classes inherit from that no module names: its methods are theirs."""
    named = [thing for module in MODULES for thing in public(module).values() if inspect.isclass(thing)]
    bases = {base for cls in named for base in cls.__mro__ if base.__module__.partition(".")[0] == "tunesmith"}
    return sorted(bases.difference(named), key=lambda base: base.__name__)


def _fixtures() -> Iterator[str]:
    """The fixtures, whose parameters are no caller's business."""
    spec = find_spec(FIXTURES)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        marks = [ast.unparse(mark) for mark in node.decorator_list] if isinstance(node, ast.FunctionDef) else []
        for mark in marks:
            if mark.startswith("pytest.fixture"):
                assert isinstance(node, ast.FunctionDef)
                assert node.returns is not None
                since = SINCE.search(ast.get_docstring(node) or "")
                gives = ast.unparse(node.returns)
                yield f"{FIXTURES}.@{mark} {node.name} -> {gives}  since {since[1] if since else '?'}"


def _lines(name: str, thing: Any) -> Iterator[str]:
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        yield name
        return
    # Read from the source, whose annotations are spelt alike under every Python.
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    since = SINCE.search(inspect.getdoc(thing) or "")
    ending = f"  since {since[1] if since else '?'}"
    if isinstance(node, ast.FunctionDef):
        yield f"{name}{_signature(node)}{ending}"
        return
    assert isinstance(node, ast.ClassDef)
    yield f"{name}({', '.join(map(ast.unparse, node.bases))}){ending}"
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and _is_public(ast.unparse(part.target)):
            yield f"{name}.{ast.unparse(part)}"
        elif isinstance(part, ast.FunctionDef) and _is_public(part.name):
            marks = [f"@{ast.unparse(mark)} " for mark in part.decorator_list]
            yield f"{name}.{''.join(marks)}{part.name}{_signature(part)}"


def _signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__")


def test_the_public_surface_is_what_the_list_says() -> None:
    listed, there = LIST.read_text(encoding="utf-8").splitlines(), list(surface())
    gone = [line for line in listed if line not in there]
    new = [line for line in there if line not in listed]
    assert not gone, (
        "gone or changed, so that plugins of others may break:\n  "
        + "\n  ".join(gone)
        + "\nkeep it, mark it with tunesmith.deprecated and remove it no sooner than that says; a parameter that is "
        f"added with a default breaks nobody. Then renew the list: {RENEW}"
        + ("\nnew beside it:\n  " + "\n  ".join(new) if new else "")
    )
    assert not new, "new, and a promise from now on:\n  " + "\n  ".join(new) + f"\nrenew the list: {RENEW}"
    assert listed == there, f"the order of the list is another; renew it: {RENEW}"


def test_everything_public_says_since_when() -> None:
    named = {f"{module}.{name}": thing for module in MODULES for name, thing in public(module).items()}
    classes = {name: thing for name, thing in named.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
    plugins = {entry.path: entry.cls for entry in Catalog.load(allow=()).entries}
    assert len(classes) > 20
    assert len(plugins) > 10
    silent = [
        name
        for name, thing in {**classes, **HOOKS, **plugins}.items()
        if not SINCE.search(inspect.cleandoc(thing.__doc__ or ""))
    ]
    silent += [line for line in surface() if line.endswith("  since ?")]
    assert not silent, f"docstrings lack a line `Since X.Y.`: {', '.join(silent)}"


def test_no_version_lies_in_the_future() -> None:
    now = _number(tunesmith.__version__)
    later = [line for line in surface() if (since := re.search(r"  since (\S+)$", line)) and _number(since[1]) > now]
    # what is written for the next version may say so before its number is set
    assert all(_number(line.rpartition(" ")[2]) == (now[0], now[1] + 1) for line in later), later


def _number(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def test_what_the_list_reads_of_a_class_is_what_others_rest_on() -> None:
    lines = list(_lines("x.Evaluator", tunesmith.Evaluator))
    assert lines[0] == "x.Evaluator(Plugin)  since 0.1"
    assert "x.Evaluator.@abstractmethod measure(self, samples: Sequence[Sample]) -> list[Measure]" in lines
    assert any(line.startswith("x.Evaluator.needs: ") for line in lines)


def test_what_classes_inherit_and_what_tests_are_given_is_in_the_list() -> None:
    lines = list(surface())
    assert "Plugin.@classmethod trial_instances(cls) -> Sequence[Self]" in lines
    (runner,) = [line for line in lines if line.startswith(f"{FIXTURES}.@pytest.fixture recipe_runner ")]
    assert runner.endswith(" -> Iterator[RecipeRunner]  since 0.7")


if __name__ == "__main__":
    LIST.write_text("".join(f"{line}\n" for line in surface()), encoding="utf-8")
    sys.stdout.write(f"wrote {LIST}\n")
