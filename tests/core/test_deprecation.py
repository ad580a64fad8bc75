"""What goes is said in time: once, in a line, with what to use instead."""

import ast
import json
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import tunesmith
import tunesmith_plugins
from tunesmith.deprecation import DeprecatedWarning, Deprecation, deprecated, deprecation_of
from tunesmith.plugins import hookspecs
from tunesmith.plugins.load import classes

OLD = '''
from tunesmith import Evaluator, Measure, deprecated


@deprecated("ExactMatch", removal="2.0")
class Sameness(Evaluator):
    """Share of outputs that are the reference.

    Args:
        casefold: Compare in lower case.
    """

    def __init__(self, casefold: bool = False):
        self.casefold = casefold

    def measure(self, samples):
        return [Measure("same", [float(s.output == s.reference) for s in samples])]


@deprecated("most", removal="2027-06-01", option="limit")
class Words(Evaluator):
    """Words an output.

    Args:
        limit: Most words, as it was called.
        most: Most words.
    """

    def __init__(self, limit: int = 9, most: int = 9):
        self.limit, self.most = limit, most

    def measure(self, samples):
        return [Measure("words", [float(len(s.output.split())) for s in samples])]
'''
SAMENESS = "Sameness is deprecated and gone from 2.0 on; use ExactMatch"
LIMIT = "limit is deprecated and gone from 2027-06-01 on; use most"


@pytest.fixture
def old(bench: Any) -> Iterator[Any]:
    (bench.folder / "old_measures.py").write_text(OLD)
    yield bench
    sys.modules.pop("old_measures", None)


def test_a_recipe_that_uses_what_goes_is_told_once_in_a_line_each(old: Any) -> None:
    words = {"class_path": "Words", "init_args": {"limit": 3}}
    old.write(evaluators={"a": "Sameness", "b": words, "c": {"class_path": "Words", "init_args": {"most": 3}}})
    said = old.done("prepare", "--config", "tiny.yaml", "--plugin", "old_measures.py").err
    assert [line for line in said.splitlines() if "deprecated" in line] == [
        f"warning: tiny.yaml: evaluators.a: {SAMENESS}",
        f"warning: tiny.yaml: evaluators.b.init_args.limit: {LIMIT}",
    ]
    assert "old_measures.py:" not in said, "no place in Python's own form"
    # said again by the next command
    assert said == old.done("recipes", "check", "tiny.yaml", "--plugin", "old_measures.py").err


def test_a_recipe_that_uses_nothing_of_it_is_told_nothing(old: Any) -> None:
    assert "deprecated" not in old.done("prepare", "--config", "tiny.yaml", "--plugin", "old_measures.py").err


def test_lists_and_descriptions_show_what_goes(old: Any) -> None:
    own = ("--plugin", "old_measures.py")

    def flat(*words: str) -> str:
        return " ".join(old.done("plugins", *words, *own).out.split())

    assert SAMENESS in flat("list")
    assert SAMENESS in flat("describe", "Sameness")
    assert "deprecated" not in flat("describe", "ExactMatch")
    assert f"| `limit` | `int` | `9` | **{LIMIT}.** Most words, as it was called. |" in flat(
        "describe", "--all", "--markdown"
    )
    assert f"**{SAMENESS}.**" in flat("describe", "Sameness", "--markdown")
    described = json.loads(old.done("plugins", "describe", "Words", "--json", *own).out)
    assert (described["deprecated"], [o["deprecated"] for o in described["options"]]) == ("", [LIMIT, ""])
    listed = json.loads(old.done("plugins", "list", "--json", *own).out)["plugins"]
    assert [p["deprecated"] for p in listed if p["name"] in ("Sameness", "ROUGE")] == ["", SAMENESS]
    schema = json.loads(old.done("recipes", "schema", *own).out)["definitions"]
    assert schema["old_measures.Words"]["properties"]["limit"]["deprecationMessage"] == LIMIT
    bare = next(s for s in schema["a.evaluator"]["anyOf"] if s.get("const") == "Sameness")
    assert bare["deprecationMessage"] == SAMENESS


def test_a_mark_is_the_classes_own_and_its_options_are_inherited() -> None:
    @deprecated("b", removal="2.0", option="a")
    @deprecated("New", removal="3.0")
    class Old:
        def __init__(self, a: int = 1, b: int = 1) -> None: ...

    class Heir(Old):
        pass

    assert deprecation_of(Old) == Deprecation("Old", "New", "3.0")
    assert deprecation_of(Heir) is None
    assert deprecation_of(Heir, "a") == deprecation_of(Old, "a") == Deprecation("a", "b", "2.0")
    assert deprecation_of(Old, "b") is None


def test_a_mark_that_says_nothing_or_marks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="what to use instead"):
        deprecated("", removal="2.0")
    for when in ("", "some day", "2", "2027-6-1"):
        with pytest.raises(ValueError, match=r"when it goes: 2\.0 or 2027-06-01, not"):
            deprecated("b", removal=when)
    with pytest.raises(ValueError, match="ROUGE has no option stemm"):
        deprecated("stem", removal="2.0", option="stemm")(type("ROUGE", (), {}))


def test_a_package_that_implements_a_hook_that_goes_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Package:
        @tunesmith.hookimpl
        def tunesmith_register_audits(self) -> list[type]:
            return []

    hook = hookspecs.tunesmith_register_audits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classes(Package()) == []
    monkeypatch.setattr(hook, "__tunesmith_deprecated__", {}, raising=False)
    deprecated("tunesmith_register_evaluators", removal="2.0")(hook)
    with pytest.warns(DeprecatedWarning, match="Package: tunesmith_register_audits is deprecated .* use tunesmith_reg"):
        assert classes(Package()) == []


def removals(source: str) -> list[str]:
    """When what a module marks as deprecated is to be gone."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    marks = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "deprecated"]
    return [ast.literal_eval(word.value) for mark in marks for word in mark.keywords if word.arg == "removal"]


def due(removal: str, version: str, today: date) -> bool:
    """Whether something is to be gone by now."""
    return today >= date.fromisoformat(removal) if "-" in removal else Version(version) >= Version(removal)


def test_what_was_to_be_gone_by_now_is_gone() -> None:
    today = datetime.now(UTC).date()
    folders = [Path(package.__path__[0]) for package in (tunesmith, tunesmith_plugins)]
    over = [
        f"{file}: gone from {removal} on"
        for folder in folders
        for file in sorted(folder.rglob("*.py"))
        for removal in removals(file.read_text(encoding="utf-8"))
        if due(removal, tunesmith.__version__, today)
    ]
    assert not over, "deprecated and due; remove it:\n  " + "\n  ".join(over)


def test_every_mark_of_a_module_is_seen() -> None:
    hook = "\n@tunesmith.deprecated('x', removal='0.9')\ndef hook(): ..."
    assert removals(OLD + hook) == ["2.0", "2027-06-01", "0.9"]


@pytest.mark.parametrize(
    ("removal", "expected"),
    [
        ("0.9", True),
        ("0.9.3", True),
        ("0.9.4", False),
        ("0.10", False),
        ("1.0", False),
        ("2026-05-31", True),
        ("2026-06-01", True),
        ("2026-06-02", False),
    ],
)
def test_something_is_due_from_its_version_or_day_on(removal: str, expected: bool) -> None:
    assert due(removal, "0.9.3", date(2026, 6, 1)) == expected
    assert not due("1.0", "1.0.dev1", date(2026, 6, 1)), "what leads to a version is not it yet"
