"""What of a row can be measured without a model, and how unusual a value is among others."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tunesmith import ngram_hashes

Values = NDArray[np.float64]
_NORMAL_MAD = 0.6745
"""Median absolute deviation of the standard normal distribution."""
_NORMAL_MEAN = 0.7979
"""Mean absolute deviation of it."""


def robust_z(values: Values, least: float = 1e-9) -> Values:
    """How many standard deviations each value lies over the median, which outliers themselves hardly move.

    The deviation is estimated from the median of absolute deviations (Iglewicz and Hoaglin 1993, "How to detect and
    handle outliers"); from their mean where half of the values or more are equal.

    Args:
        values: The values.
        least: The deviation is taken to be this where it is smaller.
    """
    if not len(values):
        return values
    apart = values - np.median(values)
    size = np.abs(apart)
    middle, mean = float(np.median(size)), float(size.mean())
    deviation = middle / _NORMAL_MAD if middle > 0 else mean / _NORMAL_MEAN
    return apart / max(deviation, least)


def rarities(texts: Iterable[str]) -> Values:
    """How rare the words of each text are: the mean over its words of log(texts / texts with the word).

    That is the mean inverse document frequency (Spärck Jones 1972). Texts without words get no number (nan).
    """
    # each text's words as numbers from 0 on, with how often it has them
    numbers: dict[int, int] = {}
    words: list[NDArray[np.int32]] = []
    counts: list[NDArray[np.int32]] = []
    for hashes in ngram_hashes(texts, 1):
        own, times = np.unique(hashes, return_counts=True)
        words.append(np.array([numbers.setdefault(word, len(numbers)) for word in own.tolist()], np.int32))
        counts.append(times.astype(np.int32))
    frequency = np.bincount(np.concatenate([np.zeros(0, np.int32), *words]), minlength=len(numbers))
    weight = np.log(len(words) / frequency)
    weighed = zip(words, counts, strict=True)
    return np.array([weight[held] @ times / times.sum() if len(held) else np.nan for held, times in weighed])
