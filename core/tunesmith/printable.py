"""Texts of recipes and rows on a screen, which must not obey them, nor be filled by them."""

import re

# All but tabs and line ends: ESC, CSI and their like move the cursor or erase what was said before.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Longer than the path of any file that people name; what is longer by an accident is known by both of its ends.
_LONG_WORD = re.compile(r"\S{400,}")
_LONG_LINE = re.compile(r".{4000,}")
_BEGIN, _END = 120, 60


def printable(text: str) -> str:
    r"""The text with control characters as escapes (`\x1b`); tabs and line feeds stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def message(text: str) -> str:
    """A message with all that it quotes: printable, and without the middle of words and lines of endless length."""
    return _LONG_LINE.sub(_shortened, _LONG_WORD.sub(_shortened, printable(text)))


def _shortened(found: "re.Match[str]") -> str:
    text = found[0]
    return f"{text[:_BEGIN]}...({len(text) - _BEGIN - _END:,} more)...{text[-_END:]}"
