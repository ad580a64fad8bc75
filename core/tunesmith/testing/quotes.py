"""Whether a message quotes the text that it is about."""

import re
from collections.abc import Iterable

from tunesmith.testing.material import MADE_UP, MARK

_RUN = 12
_WORDS = 3
_LETTERS = 9
# As much of the mark as no word has.
_PART = 5


def quotation(message: str, texts: Iterable[str] = ()) -> str:
    """The first piece of a trial's texts that a message holds; empty where it holds none.

    Looked for are parts of the mark, words that the trial made up, 12 characters in a row, and three words in a row:
    what no two texts have in common by chance.

    Args:
        message: What is said.
        texts: What it must not be taken from, beside the mark and the made-up words.
    """
    said, mark = _plain(message), _plain(MARK)
    parts = [mark[at : at + _PART] for at in range(len(mark) - _PART + 1)]
    for piece in (*parts, *MADE_UP):
        if piece in said:
            return piece
    words = _words(said)
    runs = [said[at : at + _RUN] for at in range(len(said) - _RUN + 1)]
    threes = [words[at : at + _WORDS] for at in range(len(words) - _WORDS + 1)]
    phrases = [" ".join(three) for three in threes if len("".join(three)) >= _LETTERS]
    for text in texts:
        plain = _plain(text)
        heard = f" {' '.join(_words(plain))} "
        for piece in runs:
            if piece in plain:
                return piece
        for piece in phrases:
            if f" {piece} " in heard:
                return piece
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _plain(text: str) -> str:
    """The text in lower case, with single spaces."""
    return " ".join(text.casefold().split())
