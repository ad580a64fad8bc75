"""MinHash signatures of rows of texts."""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.near_keys import HALF, POSITIONS
from tunesmith.data.near_search import Signed
from tunesmith.data.normal import normal_text
from tunesmith.data.words import Counts, hashed_words, mixed, runs

_WORDS = 3
_FEW = 10


def sign(rows: Sequence[tuple[str, ...]]) -> Signed:
    """Sign rows, each a label and one or two texts.

    A text of more than 10 words is signed by its runs of 3 words; a shorter one, and the label, has to be equal: a word
    that changes in it leaves less than 0.6 of its runs, so that no share of them says much.
    """
    texts = [text for _, *both in rows for text in both]
    words, counts = hashed_words(texts)
    found, sizes = runs(words, counts, _WORDS)
    pieces = (found >> np.uint64(32)).astype(np.uint32)
    long = iter((counts > _FEW).tolist())
    which = [[next(long) for _ in both] for _, *both in rows]
    ends = np.cumsum(sizes)
    begins = ends - sizes
    values = np.zeros((len(rows), POSITIONS), np.uint8)
    row_of = np.repeat(np.arange(len(rows)), [len(both) for both in which])
    place = np.concatenate([np.arange(len(both)) for both in which])
    is_long = counts > _FEW
    both_long = np.bincount(row_of[is_long], minlength=len(rows)) == 2
    signed = [
        (is_long & ~both_long[row_of], slice(0, POSITIONS)),
        (is_long & both_long[row_of] & (place == 0), slice(0, HALF)),
        (is_long & both_long[row_of] & (place == 1), slice(HALF, POSITIONS)),
    ]
    for chosen, positions in signed:
        values[row_of[chosen], positions] = _least(pieces, begins[chosen], sizes[chosen], positions)
    exact = [_exact(row, longs) for row, longs in zip(rows, which, strict=True)]
    return Signed(values, np.array([sum(longs) for longs in which], np.uint8), np.array(exact, np.uint64))


def _least(pieces: NDArray[np.uint32], begins: Counts, sizes: Counts, positions: slice) -> NDArray[np.uint8]:
    """For each text and position the least number that its runs are mapped to, 8 bits of it."""
    factors, terms = (numbers[positions] for numbers in _maps())
    least = np.zeros((len(begins), len(factors)), np.uint32)
    if not len(begins):
        return least.astype(np.uint8)
    firsts = np.cumsum(sizes) - sizes
    chosen = pieces[np.arange(sizes.sum()) + np.repeat(begins - firsts, sizes)]
    for at, (factor, term) in enumerate(zip(factors, terms, strict=True)):
        least[:, at] = np.minimum.reduceat(chosen * factor + term, firsts)
    # two least numbers that differ are near 0 both: their upper bits would agree
    return (least * np.uint32(0x9E3779B1) >> np.uint32(24)).astype(np.uint8)


@cache
def _maps() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """A factor and a term for each position: x * factor + term modulo 2**32 is a permutation, since factors are odd."""
    drawn = (mixed(np.arange(1, 2 * POSITIONS + 1, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)
    return drawn[:POSITIONS] | np.uint32(1), drawn[POSITIONS:]


def _exact(row: tuple[str, ...], longs: Sequence[bool]) -> int:
    label, *texts = row
    total = blake2b(digest_size=8)
    for text, is_long in zip(texts, longs, strict=True):
        said = "long" if is_long else f"={normal_text(text)}"
        total.update(f"{len(said)}:{said}".encode("utf-8", "surrogatepass"))
    total.update(label.encode("utf-8", "surrogatepass"))
    return int.from_bytes(total.digest(), "little")
