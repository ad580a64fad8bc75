"""Words and runs of words as numbers, for many texts at once.

A word is a run of letters, digits and marks of the normalised text; all else parts words. In scripts that put no spaces
between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) each character counts as a word. The numbers are the same
in every run and on every machine.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.normal import folded_text

Numbers: TypeAlias = NDArray[np.uint64]
Counts: TypeAlias = NDArray[np.int64]

_NO_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals of Chinese characters
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters, here and below
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_LETTER, _ALONE = 1, 2
_LAST = 0x40000  # planes above hold no letters
_ODD = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd


def hashed_words(texts: Sequence[str]) -> tuple[Numbers, Counts]:
    """The words of several texts, one after the other, and how many each text has."""
    folded = [folded_text(text) for text in texts]
    joined = "\n".join([*folded, ""])
    codes: NDArray[Any]
    if joined.isascii():
        codes = np.frombuffer(joined.encode(), dtype=np.uint8)
    else:
        codes = np.minimum(np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32), _LAST)
    kinds, values = _letters()
    kind = kinds[codes]
    inside = kind > 0
    # a word goes on where a letter follows a letter, and neither is a word by itself
    goes_on = np.zeros(len(codes) + 1, bool)
    goes_on[1:-1] = (kind[1:] == _LETTER) & (kind[:-1] == _LETTER)
    starts = np.flatnonzero(inside & ~goes_on[:-1])
    stops = np.flatnonzero(inside & ~goes_on[1:]) + 1
    # the sum of a letter's number times the power of its place, from the sums over all that lies before
    powers, inverses = _powers(1 << len(codes).bit_length())
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(values[codes] * powers[: len(codes)], out=sums[1:])
    words = mixed((sums[stops] - sums[starts]) * inverses[starts])
    ends = np.cumsum([len(text) + 1 for text in folded])
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    return words, counts.astype(np.int64)


def runs(words: Numbers, counts: Counts, n: int) -> tuple[Numbers, Counts]:
    """The runs of `n` words of each text, one after the other, and how many each has; none where it has fewer words.

    Args:
        words: As `hashed_words` returns them.
        counts: The same.
        n: Words of a run.
    """
    found = np.maximum(counts - n + 1, 0)
    if not found.sum():
        return np.zeros(0, np.uint64), found
    total = np.zeros(len(words) - n + 1, np.uint64)
    for place, power in enumerate(_powers(64)[0][:n]):
        total += words[place : place + len(total)] * power
    starts = np.cumsum(counts) - counts
    first = np.cumsum(found) - found
    picked = np.arange(found.sum()) + np.repeat(starts - first, found)
    return mixed(total[picked]), found


def mixed(numbers: Numbers) -> Numbers:
    """Numbers of 64 bits, each bit of which hangs on all bits of the given ones (the finaliser of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@cache
def _letters() -> tuple[NDArray[np.uint8], Numbers]:
    """What each code point is to a word, and its number, 0 where it parts words; the last stands for all above."""
    kinds = np.zeros(_LAST + 1, np.uint8)
    kinds[[code for code in range(_LAST) if unicodedata.category(chr(code))[0] in "LNM"]] = _LETTER
    for first, last in _NO_SPACES:
        span = kinds[first : min(last + 1, _LAST)]
        span[span == _LETTER] = _ALONE
    return kinds, np.where(kinds > 0, mixed(np.arange(1, _LAST + 2, dtype=np.uint64)), np.uint64(0))


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[Numbers, Numbers]:
    """The first powers of an odd number modulo 2**64, and of its inverse."""
    inverse = pow(_ODD, -1, 2**64)
    steps = [np.append(np.uint64(1), np.full(count - 1, base, np.uint64)) for base in (_ODD, inverse)]
    return np.cumprod(steps[0], dtype=np.uint64), np.cumprod(steps[1], dtype=np.uint64)
