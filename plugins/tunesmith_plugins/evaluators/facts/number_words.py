"""Numbers written as words: "two", "twenty-five", "two hundred and five"."""

import re
from collections.abc import Iterator

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_VALUES = {word: at for at, word in enumerate(_ONES)} | {word: 10 * at for at, word in enumerate(_TENS, 2)}
_WORD = re.compile(rf"\b(?:{'|'.join([*_VALUES, *SCALES])})\b", re.IGNORECASE)
_GAP = re.compile(r"[ -]+(?:and[ -]+)?")


def number_words(text: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and value of each number; words that make none together are numbers of their own."""
    held: list[re.Match[str]] = []
    for match in _WORD.finditer(text):
        if held and not _continues(text, held, match):
            yield held[0].start(), held[-1].end(), _value(held)
            held = []
        if held or match[0].lower() not in SCALES:  # "hundreds of", "a million" say no number
            held.append(match)
    if held:
        yield held[0].start(), held[-1].end(), _value(held)


def _continues(text: str, held: "list[re.Match[str]]", match: "re.Match[str]") -> bool:
    gap, last, word = text[held[-1].end() : match.start()], held[-1][0].lower(), match[0].lower()
    if not _GAP.fullmatch(gap):
        return False
    if "and" in gap.lower():
        return last in SCALES and word in _VALUES
    if word in SCALES:
        above = [SCALES[one[0].lower()] for one in held if one[0].lower() in SCALES and SCALES[one[0].lower()] >= 1000]
        return last != word and (SCALES[word] == 100 or not above or SCALES[word] < above[-1])
    return last in SCALES or (last in _TENS and 0 < _VALUES[word] < 10)


def _value(held: "list[re.Match[str]]") -> int:
    total = group = 0
    for match in held:
        word = match[0].lower()
        if word == "hundred":
            group *= 100
        elif word in SCALES:
            total, group = total + group * SCALES[word], 0
        else:
            group += _VALUES[word]
    return total + group
