"""Real third-party packages, a good one and two bad ones, seen through the real command."""

import json
import subprocess
from collections.abc import Callable

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
NAMES = {
    "formatter": "Ticket",
    "curator": "Shortest",
    "objective": "SmoothedNextToken",
    "adapter": "LastLayers",
    "regularizer": "StayClose",
    "audit": "LengthGap",
    "evaluator": "AnswerLength",
}


def listed(ran: subprocess.CompletedProcess[str]) -> dict[str, list[dict[str, str]]]:
    assert (ran.returncode, ran.stderr) == (0, "")
    data: dict[str, list[dict[str, str]]] = json.loads(ran.stdout)
    return data


def test_an_installed_package_brings_one_plugin_of_each_kind(command: Command) -> None:
    plugins = listed(command("plugins", "list", "--json"))["plugins"]
    acme = {p["kind"]: p["name"] for p in plugins if p["package"] == "acme-tunesmith" and not p["needs_path"]}
    assert acme == NAMES
    assert {p["version"] for p in plugins if p["package"] == "acme-tunesmith"} == {"1.2.0"}
    assert all(p["summary"] for p in plugins)


def test_trap_41_broken_packages_are_shown_with_the_reason_and_stop_nobody(command: Command) -> None:
    data = listed(command("plugins", "list", "--json"))
    reasons = {b["package"]: b["reason"] for b in data["broken"]}
    assert reasons == {
        "broken-tunesmith": "ModuleNotFoundError: No module named 'a_library_that_is_not_installed'",
        "misspelt-tunesmith": (
            "tunesmith_register_evaluator is not a hook; did you mean tunesmith_register_evaluators?"
        ),
    }
    shown = command("plugins", "list").stdout
    assert shown.index("failed to load") > shown.index("AnswerLength")
    assert "broken-tunesmith 0.3.1: ModuleNotFoundError" in shown


def test_a_missing_class_names_the_package_that_may_have_brought_it(command: Command) -> None:
    ran = command("plugins", "describe", "Shouting")
    assert ran.returncode == 2
    assert "misspelt-tunesmith 2.0.0 failed to load: tunesmith_register_evaluator is not a hook" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_builtins_name_that_a_package_has_too_means_neither(command: Command) -> None:
    bare = command("plugins", "describe", "ExactMatch")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert "  tunesmith_plugins.evaluators.exact_match.ExactMatch  (built-in)\n" in bare.stderr
    assert "  acme_tunesmith.evidence.ExactMatch  (acme-tunesmith 1.2.0)\n" in bare.stderr
    dotted = json.loads(command("plugins", "describe", "acme_tunesmith.ExactMatch", "--json").stdout)
    assert (dotted["package"], dotted["path"]) == ("acme-tunesmith", "acme_tunesmith.evidence.ExactMatch")
    listed = command("plugins", "list", "--kind", "evaluator")
    assert listed.returncode == 0
    assert "in a recipe, write acme_tunesmith.evidence.ExactMatch" in " ".join(listed.stdout.split())


def test_a_blocked_package_is_shown_as_such(command: Command) -> None:
    data = listed(command("plugins", "list", "--json", TUNESMITH_BLOCK="acme-tunesmith,broken"))
    assert {b["package"]: b["reason"] for b in data["blocked"]} == {
        "acme-tunesmith": "blocked by TUNESMITH_BLOCK",
        "broken-tunesmith": "blocked by TUNESMITH_BLOCK",
    }
    assert not [p for p in data["plugins"] if p["package"] == "acme-tunesmith"]
    assert [b["package"] for b in data["broken"]] == ["misspelt-tunesmith"]


def test_a_description_of_an_outside_class_says_where_it_comes_from(command: Command) -> None:
    shown = command("plugins", "describe", "LastLayers").stdout
    assert shown.startswith("LastLayers  adapter\n")
    assert "acme-tunesmith 1.2.0" in shown
    assert "How many layers train, counted from the end." in " ".join(shown.split())


@pytest.mark.slow
def test_a_whole_package_keeps_the_contract(command: Command) -> None:
    ran = command("plugins", "check", "acme-tunesmith", packages=("acme-tunesmith",))
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    *lines, summary = ran.stdout.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [*NAMES.values(), "ExactMatch"]
    (warning,) = [line for line in lines if line.strip().startswith("warning")]
    assert "a built-in has this name too" in warning
    assert summary.startswith("8 plugins, ")
    assert summary.endswith(" checks: all passed")


def test_a_package_that_does_not_load_cannot_be_checked(command: Command) -> None:
    ran = command("plugins", "check", "broken-tunesmith")
    assert (ran.returncode, ran.stdout) == (2, "")
    reason = "ModuleNotFoundError: No module named 'a_library_that_is_not_installed'"
    assert ran.stderr == f"broken-tunesmith 0.3.1 failed to load: {reason}\n"


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_each_kind_can_be_described(command: Command, kind: str) -> None:
    ran = command("plugins", "describe", NAMES[kind], "--kind", kind, packages=("acme-tunesmith",))
    assert ran.returncode == 0, ran.stderr


def test_an_option_that_a_package_gives_up_is_shown_as_such(command: Command) -> None:
    described = json.loads(command("plugins", "describe", "AnswerLength", "--json").stdout)
    told = {option["name"]: option["deprecated"] for option in described["options"]}
    assert told == {"most": "", "limit": "limit is deprecated and gone from 2.0 on; use most"}
    assert "use most" in " ".join(command("plugins", "describe", "AnswerLength").stdout.split())
    page = command("plugins", "describe", "--all", "--markdown", "--package", "acme-tunesmith").stdout
    assert "### AnswerLength (acme-tunesmith)" in page
    assert "| `limit` | `int | None` | `None` | **limit is deprecated" in page.replace("\\|", "|")
    assert "ROUGE" not in page
