"""Where digits stand in a text: numbers, dates and addresses are looked for there, and not in all of it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_RUN = re.compile(r"\d\d*")
# In plain text all digits are made zeros first: `re` looks for one letter far faster than for ten.
_PLAIN_RUN = re.compile(rb"00*")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


class Digits(NamedTuple):
    """Runs of digits, in order.

    Args:
        starts: Where each begins.
        ends: Behind its last digit.
    """

    starts: list[int]
    ends: list[int]

    def near(self, before: int, after: int) -> list[tuple[int, int]]:
        """Stretches of text that reach so far to both sides of runs; those that touch are one."""
        made: list[tuple[int, int]] = []
        for start, end in zip(self.starts, self.ends, strict=True):
            if made and start - before <= made[-1][1]:
                made[-1] = made[-1][0], end + after
            else:
                made.append((max(0, start - before), end + after))
        return made


def digits_of(text: str) -> Digits:
    """The runs of digits of a text."""
    found = _PLAIN_RUN.finditer(text.encode().translate(_ZEROS)) if text.isascii() else _RUN.finditer(text)
    spans = [match.span() for match in found]
    return Digits([start for start, _ in spans], [end for _, end in spans])


def words_with(text: str, digits: Digits) -> list[int]:
    """Where each word begins that holds digits."""
    made, floor = [], 0
    for start, end in zip(*digits, strict=True):
        at = start
        while at > floor and (text[at - 1].isalnum() or text[at - 1] == "_"):
            at -= 1
        if at > floor or not floor:
            made.append(at)
        floor = end
    return made


def matches_at(pattern: "re.Pattern[str]", text: str, starts: Iterable[int]) -> Iterator["re.Match[str]"]:
    """Matches that begin at these places, none over another: what `finditer` finds where all matches begin there."""
    done, match_at = 0, pattern.match
    for start in starts:
        match = match_at(text, start) if start >= done else None
        if match is not None:
            done = match.end()
            yield match
