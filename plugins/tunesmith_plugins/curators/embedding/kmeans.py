"""Rows in clusters of like direction, and a choice among them that lies as far apart as can be."""

import numpy as np
from numpy.typing import NDArray

from tunesmith_plugins.curators.embedding.encode import Floats, unit
from tunesmith_plugins.curators.embedding.rows import Places, Rows

_EACH = 128
_ROUNDS = 25
_BLOCK = 4096


def centres_of(rows: Rows, count: int, seed: int) -> Floats:
    """Directions of clusters, by spherical k-means (Dhillon, Modha 2001) that begins as k-means++ does.

    At most 128 rows for each cluster are drawn for it: more hardly move the centres.

    Args:
        rows: All rows.
        count: Clusters; no more than there are different rows come back.
        seed: Of the draws.
    """
    draw = np.random.default_rng(seed)
    chosen = np.arange(len(rows))
    if len(chosen) > _EACH * count:
        chosen = np.sort(draw.choice(chosen, _EACH * count, replace=False))
    sample = rows.of(chosen)
    centres = _first(sample, count, draw)
    own = np.full(len(sample), -1)
    for _ in range(_ROUNDS):
        cosines = sample @ centres.T
        now = cosines.argmax(axis=1)
        if (now == own).all():
            break
        own = now
        sums = np.zeros_like(centres)
        np.add.at(sums, own, sample)
        # one that lost all its rows, or whose rows cancel each other, begins anew where rows are farthest from theirs
        empty = np.flatnonzero(~(np.abs(sums) > 1e-9).any(axis=1))
        sums[empty] = sample[np.argsort(cosines.max(axis=1), kind="stable")[: len(empty)]]
        centres = unit(sums)
    return centres


def clusters(rows: Rows, centres: Floats) -> tuple[Places, Floats]:
    """The nearest centre of each row, of equally near ones the first; and the cosine to it."""
    own, cosine = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        cosines = rows.of(block) @ centres.T
        own[block], cosine[block] = cosines.argmax(axis=1), cosines.max(axis=1)
    return own, cosine


def spread(vectors: Floats, first: int, count: int) -> list[int]:
    """Some rows, each of which is the one farthest from those before it (k-centre greedy: Gonzalez 1985).

    The farthest any row lies from the chosen ones is at most twice what the best choice reaches.

    Args:
        vectors: Of the rows, of unit length.
        first: The one to begin with.
        count: How many.
    """
    chosen = [first]
    nearest = vectors @ vectors[first]
    nearest[first] = np.inf
    while len(chosen) < min(count, len(vectors)):
        chosen.append(int(nearest.argmin()))
        np.maximum(nearest, vectors @ vectors[chosen[-1]], out=nearest)
        nearest[chosen[-1]] = np.inf
    return chosen


def evenness(own: Places) -> float:
    """How many clusters of equal size are as diverse as these: the exponential of the entropy of their shares."""
    sizes = np.bincount(own)
    shares: NDArray[np.float64] = sizes[sizes > 0] / len(own)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _first(sample: Floats, count: int, draw: np.random.Generator) -> Floats:
    """Rows to begin with, drawn by their distance to those before; of a few that are drawn the one that helps most.

    Greedy k-means++ (Arthur, Vassilvitskii 2007), with as many tries as scikit-learn's.
    """
    tries = 2 + int(np.log(count))
    picked = [int(draw.integers(len(sample)))]
    distance = _apart(sample, picked)[0]
    while len(picked) < count and distance.max() > 1e-6:
        drawn = draw.choice(len(sample), tries, p=distance / distance.sum()).tolist()
        then = np.minimum(distance, _apart(sample, drawn))
        best = int(then.sum(axis=1).argmin())
        picked.append(drawn[best])
        distance = then[best]
    return sample[picked].copy()


def _apart(sample: Floats, some: list[int]) -> NDArray[np.float64]:
    apart: NDArray[np.float64] = np.clip(1 - sample[some] @ sample.T, 0, None).astype(np.float64)
    return apart
