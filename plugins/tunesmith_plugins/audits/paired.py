"""Tests of paired values: the same row with one group in it and with another."""

import math
from collections.abc import Sequence

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
