"""Tests of paired values: the same row with one group in it and with another."""

import math
from collections.abc import Hashable, Sequence

_DRAWS = 4000


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value that paired differences are as likely to be negative as positive (Fisher 1935).

    Exact over all signs for up to 12 differences other than 0; else by 4,000 draws, the observed one counted.

    Args:
        differences: Of the pairs; nan is left out.
        seed: Of the draws.
    """
    import numpy as np

    held = np.array([d for d in differences if not math.isnan(d) and d != 0], dtype=np.float64)
    if not len(held):
        return 1.0
    seen = abs(held.sum()) * (1 - 1e-12)
    if len(held) <= 12:
        signs = 1 - 2 * ((np.arange(2 ** len(held))[:, None] >> np.arange(len(held))) & 1)
        return float((np.abs(signs @ held) >= seen).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(_DRAWS, len(held)))
    return float(((np.abs(signs @ held) >= seen).sum() + 1) / (_DRAWS + 1))


def sign_flip_by(differences: Sequence[float], clusters: Sequence[Hashable], seed: int = 0) -> float:
    """The same of differences that come in clusters: the signs of whole clusters' sums are exchanged.

    Holds its level however alike those of a cluster are, and with few clusters too (Canay, Romano, Shaikh 2017).

    Args:
        differences: Of the rows.
        clusters: Which cluster each row is of.
        seed: Of the draws.
    """
    sums: dict[Hashable, float] = {}
    for value, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
    return sign_flip([0.0 if abs(total) < 1e-12 else total for total in sums.values()], seed)
