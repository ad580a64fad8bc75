"""A recipe's or a row's text is shown, and never obeyed by the terminal."""

import unicodedata
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tunesmith.evaluation.success import Verdict
from tunesmith.evaluation.tables import verdict_table
from tunesmith.printable import printable


@given(st.text())
def test_no_control_character_but_tabs_and_line_feeds_is_left_and_all_else_stays(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\t\n"]
    plain = [c for c in text if unicodedata.category(c) != "Cc" or c in "\t\n"]
    escapes = len(text) - len(plain)
    assert len(shown) == len(plain) + 4 * escapes


def test_an_escape_is_written_as_python_would() -> None:
    assert printable("a\x1b[2J\x9bK\r\tü\n") == "a\\x1b[2J\\x9bK\\x0d\tü\n"


def test_a_verdict_cannot_be_overwritten_by_its_key_or_its_reason() -> None:
    out = StringIO()
    verdict = Verdict("exact\x1b[2K/[bold]x", 0.0, 0.0, 1.0, 1.0, False, "0 is below 1", "\x1b[1Aall met")
    Console(file=out, width=120).print(verdict_table([verdict]))
    assert "\x1b" not in out.getvalue()
    assert "exact\\x1b[2K/[bold]x" in out.getvalue()
    assert "because: \\x1b[1Aall met" in out.getvalue()
