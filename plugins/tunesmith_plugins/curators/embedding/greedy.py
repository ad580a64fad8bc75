"""Which rows repeat one that stays, decided in order: exact, block by block."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith_plugins.curators.embedding.encode import Floats
from tunesmith_plugins.curators.embedding.rows import Places

BLOCK = 1024
_CHUNK = 4096
ROUNDING = 1e-6
"""What a cosine in float32 may be too small by: that of a text and itself is 1."""


def repeated(vectors: Floats, sides: Sequence[Places], threshold: float) -> Places:
    """For each row the first of those that stay before it whose sides all have a cosine of `threshold`; -1: it stays.

    Rows are compared with those that stay alone, so chains are not followed. No more than 1,024 x 4,096 cosines are
    held at a time; their number grows with the square of the rows that stay.

    Args:
        vectors: Of texts, of unit length.
        sides: For each side of a row the places of its texts' vectors; one or more.
        threshold: The least cosine.
    """
    count = len(sides[0])
    found = np.full(count, -1, np.int64)
    kept = np.zeros(count, np.int64)
    number = 0
    for start in range(0, count, BLOCK):
        open_ = np.arange(start, min(start + BLOCK, count))
        for at in range(0, number, _CHUNK):
            if len(open_):
                some = kept[at : min(at + _CHUNK, number)]
                alike = _alike(vectors, sides, open_, some, threshold)
                hit = alike.any(axis=1)
                found[open_[hit]] = some[alike[hit].argmax(axis=1)]
                open_ = open_[~hit]
        among = _alike(vectors, sides, open_, open_, threshold)
        for at, row in enumerate(open_.tolist()):
            if found[row] < 0:
                later = open_[at + 1 :][among[at, at + 1 :]]
                found[later[found[later] < 0]] = row
        stays = open_[found[open_] < 0]
        kept[number : number + len(stays)] = stays
        number += len(stays)
    return found


def _alike(
    vectors: Floats, sides: Sequence[Places], rows: Places, others: Places, threshold: float
) -> NDArray[np.bool_]:
    """Whether all sides of each row and each other are alike; later sides are looked at where the first ones are."""
    first, *further = sides
    found: NDArray[np.bool_] = vectors[first[rows]] @ vectors[first[others]].T >= threshold - ROUNDING
    for side in further:
        down, across = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        cosines = vectors[side[rows[down]]] @ vectors[side[others[across]]].T
        found[np.ix_(down, across)] &= cosines >= threshold - ROUNDING
    return found
