"""White space: nothing behind lines, no long gaps between them, plain spaces; indentation and code stay."""

import re

from tunesmith_plugins.curators.cleaning.code import lines

_BEHIND = re.compile(r"[^\S\n]\n")
# Not the ideographic space, which indents, nor no-break spaces beside the punctuation that French sets off with them.
_ODD = re.compile("(?<![«‹])\u00a0(?![»›:;!?%€])|[\u2000-\u200a\u205f]")  # noqa: RUF001


def tidy(text: str, blank_lines: int) -> str:
    """The text without white space at ends of lines, blank lines around it, or more than so many between lines.

    Args:
        text: Any; code between fences stays as it is, and so does white space before and inside of lines.
        blank_lines: Most blank lines in a row.
    """
    text = text if text.isascii() else _ODD.sub(" ", text)
    if not _untidy(text, blank_lines):
        return text
    kept: list[str] = []
    blank = 0
    for line, code in lines(text):
        bare = line if code else line.rstrip()
        blank = 0 if bare or code else blank + 1
        if blank <= blank_lines and (kept or bare.strip()):
            kept.append(bare)
    return "\n".join(kept).rstrip()


def _untidy(text: str, blank_lines: int) -> bool:
    """Whether there may be something to do; most texts are tidy, and this is far quicker than to go through lines."""
    signs = (" \n", "\t\n", "\r\n", "\n" * (blank_lines + 2))
    if text[:1] == "\n" or text[-1:].isspace() or any(sign in text for sign in signs):
        return True
    return not text.isascii() and _BEHIND.search(text) is not None
