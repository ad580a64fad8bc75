"""A recipe's or a row's text is shown, and never obeyed by the terminal."""

import unicodedata
from io import StringIO
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tunesmith.evaluation.success import Verdict
from tunesmith.evaluation.tables import verdict_table
from tunesmith.printable import message, printable


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
    verdict = Verdict("exact\x1b[2K/[bold]x", 0.0, 0.0, 1.0, 1.0, "missed", "0 is below 1", "\x1b[1Aall met")
    Console(file=out, width=120).print(verdict_table([verdict]))
    assert "\x1b" not in out.getvalue()
    assert "exact\\x1b[2K/[bold]x" in out.getvalue()
    assert "because: \\x1b[1Aall met" in out.getvalue()


@given(st.lists(st.text(max_size=399), max_size=9).map(" ".join), st.integers(400, 20_000))
def test_of_a_long_word_both_ends_stay_and_of_short_ones_all(text: str, length: int) -> None:
    assert len(printable(text)) >= 400 or message(text) == printable(text)
    word = "a" * (length - 1) + "z"
    shown = f"{'a' * 120}...({length - 180:,} more)...{word[-60:]}"
    assert message(f"key is {word} and more") == f"key is {shown} and more"
    assert len(message("ab " * length)) <= max(4000, 3 * 400)
    assert message(f"{'ab ' * 2000}\nwhat to do").endswith("\nwhat to do")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.default_root_dir", f"file:///{'x' * 5000}"),
        ("data.sources.notes.path", f"/{'x' * 5000}.jsonl"),
        ("data.sources.notes.path", f"{'a b ' * 1500}.jsonl"),
        ("data.batch_size", "1" * 5000),
        ("data.batch_size", f"0.{'1' * 5000}"),
        ("trainer.max_steps", f"-{'1' * 4200}"),
        ("model.base", f"./{'y' * 5000}"),
        ("model.base", "y" * 5000),
        ("model.adapter", "Z" * 5000),
        ("k" * 5000, "1"),
    ],
)
def test_a_value_of_thousands_of_letters_does_not_fill_the_screen(key: str, value: str, bench: Any) -> None:
    *parents, last = key.split(".")
    recipe = yaml.safe_load(yaml.safe_dump(bench.recipe))
    place = recipe
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = "VALUE"
    text = yaml.safe_dump(recipe, width=2**20).replace("VALUE", value)
    (bench.folder / "tiny.yaml").write_text(text)
    for words in (("recipes", "check", "tiny.yaml"), ("fit", "--config", "tiny.yaml")):
        ran = bench.run(*words)
        assert "Traceback" not in ran.err
        assert ran.code == 2 or (words[0] == "recipes" and "absent" in ran.out)
        assert last[:100] in ran.out + ran.err or "has 5000 digits" in ran.out + ran.err
        assert len(ran.out + ran.err) < 1500, "the message, and not what it quotes"
