"""`plugins/REFERENCE.md` is what the docstrings of the built-ins say."""

from pathlib import Path

import pytest

from tunesmith.cli.main import main

REFERENCE = Path(__file__).parents[2] / "plugins/REFERENCE.md"
RENEW = "lightning-cli plugins describe --all --markdown --package tunesmith > plugins/REFERENCE.md"


def test_the_page_is_in_step_with_the_docstrings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RENEW.partition(" > ")[0].split()[1:]) == 0
    there = capsys.readouterr().out
    assert REFERENCE.read_text(encoding="utf-8") == there, f"a docstring has changed; renew the page: {RENEW}"


def test_one_plugin_is_a_section_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "describe", "Template", "--markdown"]) == 0
    section = capsys.readouterr().out
    assert section.startswith("### Template\n")
    assert section in REFERENCE.read_text(encoding="utf-8")
    assert "| `prompt` | `str` | required |" in section


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ROUGE", "--all"], "name one plugin, or all of them with --all"),
        (["ROUGE", "--package", "tunesmith"], "--package goes with --all"),
        (["--all", "--package", "tunesmit"], "--package tunesmit: no such package brings plugins; did you mean tunesm"),
        (["--all", "--json", "--markdown"], "--json and --markdown are two forms; choose one"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "describe", *words]) == 2
    assert says in capsys.readouterr().err
