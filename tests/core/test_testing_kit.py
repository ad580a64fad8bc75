"""The conformance kit: each broken plugin fails the one check that is meant for it, and the kit is easy to use."""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.main import main
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.installed import Absent
from tunesmith.plugins.interfaces import Plugin
from tunesmith.plugins.load import BASES, classes_of_file
from tunesmith.testing import CheckFailedError, NotApplicableError, checks_for, parametrize_with_checks

HERE = Path(__file__).parent
DATA = [cls for name in ("broken_plugins.py", "broken_imports.py") for _, cls in classes_of_file(HERE / name)]
METHODS = [cls for _, cls in classes_of_file(HERE / "broken_methods.py")]
SOUND = {name: [cls for _, cls in classes_of_file(HERE / f"sound_{name}.py")] for name in ("plugins", "methods")}
KINDS = sorted(BASES)
BROKEN = {cls.__name__: cls for cls in (*DATA, *METHODS)}


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
        except NotApplicableError:
            continue
    return found


def assert_breaks_one(cls: Any) -> None:
    failed = failures(cls)
    assert list(failed) == [cls.breaks], {name: str(error) for name, error in failed.items()}
    (error,) = failed.values()
    assert error.check == f"{cls.__name__}-{cls.breaks}"
    assert error.found
    assert error.expected
    assert error.advice


def test_what_needs_an_absent_package_is_not_tried() -> None:
    cls = next(cls for cls in SOUND["plugins"] if cls.__name__ == "NeedsAPackage")
    check = next(check for check in checks_for(cls) if check.name == "deterministic")
    with pytest.raises(NotApplicableError, match=r"pip install 'acme\[words\]'"):
        check()
    elsewhere = next(check for check in checks_for(cls) if check.name == "writes_only_where_told")
    with pytest.raises(NotApplicableError, match=r"pip install 'acme\[words\]'"):
        elsewhere()


@pytest.mark.parametrize("cls", DATA, ids=lambda cls: cls.__name__)
def test_a_broken_plugin_fails_the_check_meant_for_it_and_no_other(cls: type[Plugin]) -> None:
    assert_breaks_one(cls)


@pytest.mark.slow
@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_a_broken_method_fails_the_check_meant_for_it_and_no_other(cls: type[Plugin]) -> None:
    assert_breaks_one(cls)


@pytest.mark.slow
@pytest.mark.parametrize("cls", SOUND["methods"], ids=lambda cls: cls.__name__)
def test_a_sound_method_passes_whatever_its_unit(cls: type[Plugin]) -> None:
    assert {name: str(error) for name, error in failures(cls).items()} == {}


@pytest.mark.parametrize("cls", SOUND["plugins"], ids=lambda cls: cls.__name__)
def test_what_is_rarely_done_and_allowed_passes(cls: type[Plugin]) -> None:
    assert {name: str(error) for name, error in failures(cls).items()} == {}


def test_there_is_a_broken_plugin_for_every_check() -> None:
    checked = {check.name for cls in BROKEN.values() for check in checks_for(cls)}
    broken = {cls.breaks for cls in BROKEN.values()}  # type: ignore[attr-defined]
    assert checked == broken
    assert {cls.kind for cls in BROKEN.values()} == set(KINDS)


def test_every_check_says_its_rule_and_why() -> None:
    for cls in BROKEN.values():
        for check in checks_for(cls):
            assert check.summary.endswith("."), check.id
            assert check.reason.endswith("."), check.id
            assert (check.rule.__doc__ or "").count("\n\n    Why: ") == 1, check.id


# What authors write

MINE = """
from tunesmith import Evaluator, Formatter, Example, Measure, Message, RowError


class Words(Evaluator):
    \"\"\"Counts words.

    Args:
        limit: The most that count.
    \"\"\"

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit

    def measure(self, samples):
        return [Measure("words", [float(min(self.limit, len(s.output.split()))) for s in samples])]


class Hidden(Formatter):
    \"\"\"Rows of a form that nobody guesses.\"\"\"

    def format(self, row):
        if row.get("form") != "v7" or not isinstance(row.get("body"), str) or not row["body"].strip():
            raise RowError("form", "is another form")
        turns = (Message("user", "Say it."), Message("assistant", row["body"]))
        return Example(messages=turns, extras={k: v for k, v in row.items() if k not in ("form", "body")})
"""


@pytest.fixture
def mine(folder: Path) -> list[str]:
    """The words that name a file of one's own, with an evaluator and a formatter."""
    name = f"mine_{folder.name}"
    (folder / f"{name}.py").write_text(MINE)
    return ["--plugin", f"{name}.py"]


def mine_class(words: list[str], name: str) -> Any:
    return next(cls for _, cls in classes_of_file(Path(words[1])) if cls.__name__ == name)


def parameters(decorator: Any) -> dict[str, Any]:
    names, values = decorator.args
    assert names == "check"
    return {value.id: value for value in values}


def test_there_is_one_id_for_each_check_and_object(mine: list[str]) -> None:
    words = mine_class(mine, "Words")
    found = parameters(parametrize_with_checks([words, words(limit=3)]))
    assert "Words-constructor_only_stores" in found
    assert "Words(limit=3)-constructor_only_stores" in found
    assert len(found) == len(checks_for(words)) + len(checks_for(words(limit=3)))
    assert not any(value.marks for value in found.values())


def test_expected_failures_are_strict_and_keep_their_reason(mine: list[str]) -> None:
    words = mine_class(mine, "Words")
    expected = {"deterministic": "it draws", "Words-can_be_pickled": "it holds a file"}
    found = parameters(parametrize_with_checks([words, words(limit=3)], expected))
    marked = {name: value.marks[0].kwargs for name, value in found.items() if value.marks}
    assert {name: marks["reason"] for name, marks in marked.items()} == {
        "Words-deterministic": "it draws",
        "Words(limit=3)-deterministic": "it draws",
        "Words-can_be_pickled": "it holds a file",
    }
    assert all(marks["strict"] for marks in marked.values())


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"determinstic": "x"}, "no check is called determinstic; did you mean deterministic?"),
        ({"deterministic": ""}, "deterministic is given no reason"),
    ],
)
def test_a_wrong_expectation_is_an_error(mine: list[str], expected: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parametrize_with_checks([mine_class(mine, "Words")], expected)


def test_pytest_reports_failed_expected_and_unexpectedly_passed_checks(folder: Path) -> None:
    (folder / "test_mine.py").write_text(
        f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from broken_plugins import DividesByZero
from tunesmith.testing import parametrize_with_checks

@parametrize_with_checks([DividesByZero], {{"values_are_numbers": "infinity is meant", "can_be_pickled": "x"}})
def test_expected(check):
    check()

@parametrize_with_checks([DividesByZero])
def test_plain(check):
    check()
"""
    )
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short", "-rA", "test_mine.py"]
    ran = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=folder, capture_output=True, text=True)
    assert "XFAIL test_mine.py::test_expected[DividesByZero-values_are_numbers] - infinity is meant" in ran.stdout
    assert "[XPASS(strict)] x" in ran.stdout
    assert "FAILED test_mine.py::test_plain[DividesByZero-values_are_numbers]" in ran.stdout
    assert "2 failed" in ran.stdout
    assert "1 xfailed" in ran.stdout


SORTS = """
from tunesmith import Encoded, Objective, RowError, Term


class Sorts(Objective):
    \"\"\"Learns that each conversation is of the first of two classes.\"\"\"

    model_class = "classification"

    def encode(self, example, renderer):
        if not example.messages:
            raise RowError("messages", "is empty")
        ids = renderer.conversation(example.messages, example.tools).ids
        return [Encoded(ids, (0.0,) * len(ids))]

    def loss(self, forward):
        return Term(-forward.head(forward.pooled()).float().log_softmax(-1)[:, 0].sum(), "example")
"""
UNTRIED = ["loss_counts_its_unit", "loss_learns_the_next_token"]  # of an objective that learns no token


@pytest.fixture
def sorts(folder: Path) -> list[str]:
    """The words that name a file with an objective to which some checks cannot be applied."""
    name = f"sorts_{folder.name}"
    (folder / f"{name}.py").write_text(SORTS)
    return ["--plugin", f"{name}.py"]


def test_what_cannot_be_tried_is_said_and_not_called_passed(
    sorts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "check", "Sorts", *sorts]) == 0
    lines = capsys.readouterr().out.splitlines()
    number, untried = len(checks_for(mine_class(sorts, "Sorts"))), len(UNTRIED)
    assert lines[0] == f"Sorts  objective  {number - untried} checks passed, {untried} not applicable"
    said = " ".join(" ".join(lines).split())
    assert "not tried loss_counts_its_unit why no row has two tokens with a weight" in said
    assert lines[-1] == f"1 plugin, {number} checks: {number - untried} passed, {untried} not applicable"
    assert main(["plugins", "check", "Sorts", *sorts, "--json"]) == 0
    (plugin,) = json.loads(capsys.readouterr().out)["plugins"]
    found = {check["name"]: check["not applicable"] for check in plugin["checks"] if check["passed"] is None}
    assert list(found) == UNTRIED
    assert "no supervised token has another one behind it" in found[UNTRIED[1]]


def test_what_cannot_be_tried_is_a_skipped_test(sorts: list[str]) -> None:
    found = parameters(parametrize_with_checks([mine_class(sorts, "Sorts")]))
    for name, why in zip(UNTRIED, ("two tokens with a weight", "no supervised token"), strict=True):
        ((check,),) = [found[f"Sorts-{name}"].values]
        with pytest.raises(NotApplicableError, match=why):
            check()
    assert issubclass(NotApplicableError, unittest.SkipTest)


def test_importing_the_kit_loads_neither_torch_nor_the_extra() -> None:
    script = "import sys, tunesmith.testing; print([m for m in sys.argv[1:] if m in sys.modules])"
    words = [sys.executable, "-c", script, "torch", "transformers", "lightning", "pytest", "hypothesis", "jsonargparse"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_is_no_plugin_is_refused() -> None:
    with pytest.raises(TypeError, match="is no plugin: give a class or an instance of Formatter"):
        checks_for(int)  # type: ignore[arg-type]


def test_a_crash_names_the_plugin_the_exception_and_its_line() -> None:
    cls = BROKEN["NeedsExamples"]
    found = failures(cls)["takes_an_empty_set"].found
    line = next(
        n for n, text in enumerate((HERE / "broken_plugins.py").read_text().splitlines(), 1) if "longest = max" in text
    )
    assert found.startswith("NeedsExamples failed with ValueError: max() ")
    assert found.endswith(f"broken_plugins.py:{line})")


# plugins check


def test_a_sound_plugin_passes_in_two_lines(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "Words", *mine]) == 0
    number = len(checks_for(mine_class(mine, "Words")))
    assert capsys.readouterr().out == (
        f"Words  evaluator  {number} checks passed\n1 plugin, {number} checks: all passed\n"
    )


def test_a_failure_says_rule_finding_and_advice_within_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(HERE / "broken_plugins.py")
    code = main(["plugins", "check", "DividesByZero", "--plugin", file])
    shown = capsys.readouterr()
    assert (code, shown.err) == (2, f"trusted: the plugins in {file} (--plugin)\n")
    lines = shown.out.splitlines()
    number = len(checks_for(BROKEN["DividesByZero"]))
    assert lines[0] == f"DividesByZero  evaluator  1 of {number} checks failed"
    assert lines[1] == "  values_are_numbers"
    assert [line[:14].strip() for line in lines[2:-1] if line[4] != " "] == [
        "rule",
        "found",
        "expected",
        "to do",
        "why",
    ]
    assert "    found     ratio holds inf" in lines
    assert lines[-1] == f"1 plugin, {number} checks: 1 failed, of DividesByZero"
    assert max(map(len, lines)) <= 80


def test_a_crash_in_a_plugin_is_a_failed_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "NeedsExamples", "--plugin", str(HERE / "broken_plugins.py")]) == 2
    shown = capsys.readouterr()
    assert "NeedsExamples failed with ValueError" in " ".join(shown.out.split())
    assert "Traceback" not in shown.out + shown.err


def test_a_file_is_checked_whole_where_no_name_is_given(
    mine: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"form": "v7", "body": "A lamp."}) + "\n")
    assert main(["plugins", "check", *mine, "--rows", "rows.jsonl", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["passed"]
    assert [plugin["name"] for plugin in data["plugins"]] == ["Words", "Hidden"]
    for plugin in data["plugins"]:
        assert {check["passed"] for check in plugin["checks"]} == {True}
        assert all(check["rule"] and check["why"] for check in plugin["checks"])


def test_rows_that_no_guess_finds_are_asked_for(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "Hidden", *mine, "--json"]) == 2
    (plugin,) = json.loads(capsys.readouterr().out)["plugins"]
    (failed,) = [check for check in plugin["checks"] if not check["passed"]]
    assert failed["name"] == "reads_some_row"
    assert "override Hidden.trial_rows" in failed["to do"]


def test_given_rows_must_be_readable(mine: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"form": "v6", "body": "A lamp."}) + "\n")
    assert main(["plugins", "check", "Hidden", *mine, "--rows", "rows.jsonl"]) == 2
    assert "not one of 1 given rows is read: form: is another form" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Wrds"], "no plugin and no package is called Wrds; did you mean Words?\n"),
        (["tunesmth"], "no plugin and no package is called tunesmth; did you mean tunesmith?\n"),
        (["Words", "--kind", "audit"], "no plugin of kind audit and no package is called Words\n"),
        (["Words", "--rows", "x.jsonl"], "--rows x.jsonl: only formatters read rows, and none is checked\n"),
        (["tunesmith", "--rows", "x.jsonl"], "--rows x.jsonl: only formatters read rows, and name the one that reads"),
        (["Hidden", "--rows", "x.jsonl"], "--rows x.jsonl: there is no such file\n"),
        (["--kind", "audit"], "lightning-cli plugins check: say which: the name of a plugin or package"),
    ],
)
def test_what_cannot_be_checked_is_one_message(
    mine: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "check", *words, *mine]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    trusted, said = shown.err.split("\n", 1)
    assert trusted.startswith("trusted: the plugins in ")
    assert said.startswith(message)


def test_a_package_that_failed_to_load_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = Absent("acme-broken", "0.1", "acme", "ImportError: no such thing")
    monkeypatch.setattr(Catalog, "load", lambda **_: Catalog([], [absent]))
    assert main(["plugins", "check", "acme_broken"]) == 2
    assert capsys.readouterr().err == "acme-broken 0.1 failed to load: ImportError: no such thing\n"


def test_without_hypothesis_one_message_names_the_extra(
    mine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tunesmith.cli.plugins_check.find_spec", lambda _: None)
    assert main(["plugins", "check", *mine]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("which needs hypothesis: pip install 'tunesmith[testing]'\n")
    assert main(["plugins", "check", "Words", *mine]) == 0


def test_the_command_leaves_no_file_behind(mine: list[str], folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"form": "v7", "body": "A lamp."}) + "\n")
    before = {path.name for path in folder.iterdir()} | {"__pycache__"}
    assert main(["plugins", "check", *mine, "--rows", "rows.jsonl"]) == 0
    assert {path.name for path in folder.iterdir()} <= before
