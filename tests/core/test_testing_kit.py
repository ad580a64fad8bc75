"""The conformance kit: each broken plugin fails the one check that is meant for it, and the kit is easy to use."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Evaluator, Formatter, RowError
from tunesmith.cli.main import main
from tunesmith.plugins.interfaces import Plugin
from tunesmith.plugins.load import BASES, classes_of_file
from tunesmith.testing import Check, CheckFailedError, checks_for, parametrize_with_checks

HERE = Path(__file__).parent
DATA = [cls for name in ("broken_plugins.py", "broken_imports.py") for _, cls in classes_of_file(HERE / name)]
METHODS = [cls for _, cls in classes_of_file(HERE / "broken_methods.py")]
KINDS = sorted(BASES)
SOUND = {cls.__name__: cls for cls in (*DATA, *METHODS)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some of the plugins write into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def failures(plugin: Any) -> dict[str, CheckFailedError]:
    found = {}
    for check in checks_for(plugin):
        try:
            check()
        except CheckFailedError as error:
            found[check.name] = error
    return found


def assert_breaks_one(cls: Any) -> None:
    failed = failures(cls)
    assert list(failed) == [cls.breaks], {name: str(error) for name, error in failed.items()}
    (error,) = failed.values()
    assert error.check == f"{cls.__name__}-{cls.breaks}"
    assert error.found
    assert error.expected
    assert error.advice


@pytest.mark.parametrize("cls", DATA, ids=lambda cls: cls.__name__)
def test_a_broken_plugin_fails_the_check_meant_for_it_and_no_other(cls: type[Plugin]) -> None:
    assert_breaks_one(cls)


@pytest.mark.slow
@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_a_broken_method_fails_the_check_meant_for_it_and_no_other(cls: type[Plugin]) -> None:
    assert_breaks_one(cls)


def test_there_is_a_broken_plugin_for_every_check() -> None:
    checked = {check.name for cls in SOUND.values() for check in checks_for(cls)}
    broken = {cls.breaks for cls in SOUND.values()}  # type: ignore[attr-defined]
    assert checked == broken
    assert {cls.kind for cls in SOUND.values()} == set(KINDS)


def test_every_check_says_its_rule_and_why() -> None:
    for cls in SOUND.values():
        for check in checks_for(cls):
            assert check.summary.endswith("."), check.id
            assert check.reason.endswith("."), check.id
            assert (check.rule.__doc__ or "").count("\n\n    Why: ") == 1, check.id


# What authors write


@parametrize_with_checks(
    [SOUND["TakesTheMean"]._Sound if False else SOUND["NeedsAnOption"], SOUND["DividesByZero"]],
    expected_failures={
        "makes_trial_instances": "its option is the author's to choose",
        "DividesByZero-values_are_numbers": "infinity is meant",
    }
    if False
    else {"DividesByZero-values_are_numbers": "infinity is meant", "NeedsAnOption-makes_trial_instances": "known"},
)
def test_expected_failures_are_strict_and_have_a_reason(check: Check) -> None:
    check()
