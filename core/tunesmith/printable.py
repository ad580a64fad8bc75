"""Texts of recipes and rows on a screen, which must not obey them."""

import re

# All but tabs and line ends: ESC, CSI and their like move the cursor or erase what was said before.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    r"""The text with control characters as escapes (`\x1b`); tabs and line feeds stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
