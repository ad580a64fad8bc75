"""How far each row is from the rows that are nearest to it."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith_plugins.curators.embedding.rows import Places, Rows

if TYPE_CHECKING:
    from tunesmith_plugins.curators.embedding.encode import Floats

BLOCK = 512
_CHUNK = 4096


def mean_distances(rows: Rows, others: Places, nearest: int) -> NDArray[np.float64]:
    """Of each row the mean cosine distance to the nearest ones of some rows, itself left out; exact.

    No more than 512 x 4,096 cosines are held at a time.

    Args:
        rows: All rows.
        others: Which of them distances are measured to.
        nearest: How many of these count; fewer where there are no more.
    """
    count = len(rows)
    found = np.zeros(count)
    if len(others) < 2:
        return found
    for start in range(0, count, BLOCK):
        block = np.arange(start, min(start + BLOCK, count))
        these = rows.of(block)
        best: Floats = np.full((len(block), nearest), -np.inf, np.float32)
        for at in range(0, len(others), _CHUNK):
            some = others[at : at + _CHUNK]
            cosines = these @ rows.of(some).T
            cosines[block[:, None] == some[None, :]] = -np.inf
            best = np.partition(np.concatenate([best, cosines], axis=1), -nearest, axis=1)[:, -nearest:]
        there = np.isfinite(best)
        total = np.where(there, best, 0).sum(axis=1, dtype=np.float64)
        found[block] = 1 - total / there.sum(axis=1)
    return found
