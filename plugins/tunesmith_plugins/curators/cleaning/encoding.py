"""Text that was decoded by the wrong table (`schÃ¶n` for `schön`), put right by ftfy.

Decoding such sequences by hand takes `CAFÉ»` for one (it would be `CAFɻ`); ftfy weighs what stands around it. It takes
a millisecond a kilobyte, so lines without a sequence that can be one are not shown to it.
"""

import re
from functools import cache
from typing import Any

# Tables that ftfy looks for.
_TABLES = ("latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso8859-2", "mac-roman", "cp437")
_LEADS, _FOLLOWERS = range(0xC2, 0xF5), range(0x80, 0xC0)
# C1 controls stand for letters of cp1252, surrogates are halves of a character, U+FFFD is what was lost; a no-break
# space, which ends `Ã\xa0`, may have become a plain one.
_ALSO = "[\x80-\x9f\ud800-\udfff]|[ÂÃÅÎÐÙ] |[âã] [^\x00-\x7f]"
# Where nothing like this is, neither is any of the above.
_RUN = re.compile(rf"[^\x00-\x7f]{{2}}|{_ALSO}")


def repaired(text: str) -> str:
    """The text with what was decoded wrongly decoded rightly, line by line."""
    if text.isascii() or not _RUN.search(text):
        return text
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    if line.isascii() or not _RUN.search(line) or not _gate().search(line):
        return line
    import ftfy

    return ftfy.fix_text(line, _config())


@cache
def _config() -> Any:
    """Encoding only: no quotes are straightened, no ligatures taken apart, no entities read."""
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )


@cache
def _gate() -> re.Pattern[str]:
    """Matches a first byte of UTF-8 and a following one, as each of the tables would show them."""
    pairs = [f"[{_shown(table, _LEADS)}][{_shown(table, _FOLLOWERS)}]" for table in _TABLES]
    lost = "[^\x00-\x7f]\ufffd|\ufffd[^\x00-\x7f]"
    return re.compile("|".join([*pairs, lost, _ALSO]))


def _shown(table: str, numbers: range) -> str:
    # what a table leaves open is shown as latin-1 does, as browsers do
    letters = [bytes([n]).decode(table, "ignore") or chr(n) for n in numbers]
    return re.escape("".join(letters))
