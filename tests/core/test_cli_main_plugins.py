"""The verb `plugins`, on a catalog made by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tunesmith import Evaluator, Measure, Sample
from tunesmith.cli.main import main
from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.installed import Absent


class Words(Evaluator):
    """Counts words in [0, 1]; :smile: is no emoji here.

    Args:
        most: The most words that count, however long the answer is.
        stop: Words that do not count.
    """

    def __init__(self, most: int, stop: Sequence[str] = ("the", "a")) -> None:
        self.most, self.stop = most, stop

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("words", [])]


Twin = type("Words", (Words,), {"__module__": "acme.deep", "__doc__": "Counts otherwise."})


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Catalog(
        [Entry("evaluator", Words, "tunesmith", "0.1.0"), Entry("evaluator", Twin, "acme", "1.0")],
        [Absent("acme-broken", "0.1", "broken", "ImportError: no such thing")],
        [Absent("acme-shy", "2.0", "shy", "blocked by TUNESMITH_BLOCK")],
        ["acme-gone"],
    )
    monkeypatch.setattr(Catalog, "load", lambda **_: made)
    monkeypatch.setenv("COLUMNS", "80")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_the_list_is_grouped_and_ends_with_what_could_not_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list"]) == 0
    shown = lines(capsys)
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert "evaluators\n  Words" in text
    assert "Counts words in [0, 1]; :smile: is no emoji" in text
    assert "built-in" in text
    assert "acme 1.0" in text
    flat = " ".join(text.split())
    assert f"acme 1.0 has this name too; in a recipe, write {Words.__module__}.Words" in flat
    assert "a built-in has this name too; in a recipe, write acme.deep.Words" in flat
    assert "formatters\n  none" in text
    after = text[text.index("failed to load") :]
    assert "acme-broken 0.1: ImportError: no such thing" in after
    assert "acme-shy 2.0: blocked by TUNESMITH_BLOCK" in after
    assert "TUNESMITH_BLOCK names what is not installed: acme-gone" in after


def test_the_list_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list", "--json", "--kind", "evaluator"]) == 0
    data = json.loads(capsys.readouterr().out)
    builtin = f"{Words.__module__}.Words"
    assert [(p["name"], p["package"], p["needs_path"], p["same_name"]) for p in data["plugins"]] == [
        ("Words", "tunesmith", True, ["acme.deep.Words"]),
        ("Words", "acme", True, [builtin]),
    ]
    assert data["broken"][0]["reason"] == "ImportError: no such thing"
    assert main(["plugins", "list", "--json", "--kind", "audit"]) == 0
    assert json.loads(capsys.readouterr().out)["plugins"] == []


def test_a_description_shows_options_with_type_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "describe", f"{Words.__module__}.Words"]) == 0
    shown = lines(capsys)
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert shown[0] == "Words  evaluator"
    assert "tunesmith 0.1.0 (built-in)" in text
    assert Path(__file__).name in "".join(line.strip() for line in shown)
    (most,) = [line for line in shown if line.lstrip().startswith("most ")]
    assert most.split()[1:3] == ["int", "required"]
    assert "('the', 'a')" in text


def test_a_description_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "describe", "acme.deep.Words", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["package"], data["summary"]) == ("acme", "Counts otherwise.")
    assert [(o["name"], o["required"]) for o in data["options"]] == [("most", True), ("stop", False)]


@pytest.mark.parametrize("verb", ["describe", "check"])
def test_a_name_that_two_packages_have_is_refused_with_both(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", verb, "Words"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "2 packages have an evaluator called Words; write which one:\n"
        f"  {Words.__module__}.Words  (built-in)\n"
        "  acme.deep.Words  (acme 1.0)\n"
        "or do without: TUNESMITH_BLOCK=acme or `pip uninstall acme`\n"
    )


def test_an_unknown_name_gets_the_nearest_and_the_packages_that_are_not_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plugins", "describe", "Wrods"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("there is no plugin Wrods; did you mean Words?\n")
    assert "acme-broken 0.1 failed to load: ImportError: no such thing" in said
    assert "acme-shy 2.0 is installed and not used: blocked by TUNESMITH_BLOCK" in said


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list", "--kind", "evalator"]) == 2
    assert "evaluator" in capsys.readouterr().err


def test_a_package_of_which_a_part_failed_to_load_is_not_said_to_keep_its_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = Catalog([Entry("evaluator", Twin, "acme", "1.0")], [Absent("acme", "1.0", "second", "ImportError: gone")])
    monkeypatch.setattr(Catalog, "load", lambda **_: half)
    assert main(["plugins", "check", "acme"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "failed to load: ImportError: gone" in said.err


def test_a_file_is_checked_though_a_built_in_has_the_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = type("Words", (Words,), {"__module__": Words.__module__, "__doc__": ""})
    both = Catalog([Entry("evaluator", Words, "tunesmith", "0.1.0"), Entry("evaluator", own, "mine.py", "1")])
    monkeypatch.setattr(Catalog, "load", lambda **_: both)
    assert main(["plugins", "check", "Words", "--plugin", "mine.py", "--json"]) == 2
    (checked,) = json.loads(capsys.readouterr().out)["plugins"]
    assert checked["package"] == "mine.py"


def test_a_check_warns_of_a_name_that_another_has_and_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugins", "check", "acme"])
    out = lines(capsys)
    assert out[0].startswith("Words  evaluator  ")
    assert out[1] == "    warning   a built-in has this name too; in a recipe, write acme.deep.Words"
    main(["plugins", "check", "tunesmith", "--json"])
    (checked,) = json.loads(capsys.readouterr().out)["plugins"]
    assert checked["warning"] == f"acme 1.0 has this name too; in a recipe, write {__name__}.Words"


def test_a_name_of_ones_own_is_no_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    alone = Catalog([Entry("evaluator", Words, "acme", "1.0")])
    monkeypatch.setattr(Catalog, "load", lambda **_: alone)
    main(["plugins", "check", "acme"])
    assert "warning" not in capsys.readouterr().out
