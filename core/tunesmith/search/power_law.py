"""Learning curves: how the validation loss falls with the number of training rows, and how sure that is.

L(n) = a + b n^-c with a, b >= 0 (Hestness et al. 2017, arXiv:1712.00409; Rosenfeld et al. 2020, arXiv:1909.12673). For
each exponent of a grid a and b are least squares; the interval is a bootstrap's: the measured losses are drawn anew
from normal distributions around the curve, with the spread that repeats of one size, or else the curve's own misses,
show; which itself is drawn from what is known of it (a t distribution, since few measurements tell it).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_EXPONENTS = np.geomspace(0.02, 3.0, 300)
_DRAWS = 2000


@dataclass(frozen=True)
class LearningCurve:
    """A curve through measured losses.

    Args:
        sizes: Training rows of each measurement, `[m]`.
        losses: Validation losses, `[m]`.
        limit: a: what no number of rows goes below.
        factor: b.
        exponent: c.
        spread: Standard deviation of a measurement.
        drawn: `a`, `b`, `c` of bootstrap curves, `[draws, 3]`.
    """

    sizes: Floats
    losses: Floats
    limit: float
    factor: float
    exponent: float
    spread: float
    drawn: Floats

    def at(self, rows: float) -> float:
        """The loss that the curve gives for so many rows."""
        return float(self.limit + self.factor * rows**-self.exponent)

    def interval(self, rows: float, confidence: float = 0.95) -> tuple[float, float]:
        """Where the curve lies there."""
        return _between(self._drawn_at(rows), confidence)

    def fall(self, rows: float, more: float, confidence: float = 0.95) -> tuple[float, float, float]:
        """By what share of itself the loss falls from so many rows to more, and its interval."""
        falls = 1 - self._drawn_at(more) / self._drawn_at(rows)
        return 1 - self.at(more) / self.at(rows), *_between(falls, confidence)

    def _drawn_at(self, rows: float) -> Floats:
        limit, factor, exponent = self.drawn.T
        return np.asarray(limit + factor * rows**-exponent)


def learning_curve(sizes: Sequence[float], losses: Sequence[float], seed: int = 0) -> LearningCurve:
    """Fit the curve.

    Args:
        sizes: Training rows of each measurement; of three sizes or more, each measured once or more often.
        losses: Validation losses.
        seed: Of the bootstrap.

    Raises:
        ValueError: There are fewer than three sizes.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(losses, np.float64)
    if len(np.unique(x)) < 3:
        msg = "a learning curve takes three sizes or more"
        raise ValueError(msg)
    (fitted,) = _fit(x, y[None])
    curve = fitted[0] + fitted[1] * x ** -fitted[2]
    spread, freedom = _spread(x, y, curve)
    generator = np.random.default_rng([seed, len(x)])
    unsure = np.sqrt(freedom / generator.chisquare(freedom, (_DRAWS, 1)))
    drawn = _fit(x, curve + spread * unsure * generator.standard_normal((_DRAWS, len(x))))
    limit, factor, exponent = fitted.tolist()
    return LearningCurve(x, y, limit, factor, exponent, spread, drawn)


def _spread(x: Floats, y: Floats, curve: Floats) -> tuple[float, int]:
    """Of repeats around their mean, where there are some; else of the points around the curve; with its freedom."""
    groups = [y[x == size] for size in np.unique(x)]
    freedom = sum(len(group) - 1 for group in groups)
    within = float(sum(((group - group.mean()) ** 2).sum() for group in groups))
    around = float(((y - curve) ** 2).sum())
    if freedom >= 2:
        return float(np.sqrt(within / freedom)), freedom
    left = max(1, len(y) - 3)
    return float(np.sqrt(around / left)), left


def _fit(x: Floats, y: Floats) -> Floats:
    """`a, b, c` for each row of `y`: `[draws, m]` to `[draws, 3]`, the best of the grid."""
    best, found = np.full(len(y), np.inf), np.zeros((len(y), 3))
    mean = y.mean(1)
    for exponent in _EXPONENTS:
        basis = x**-exponent
        centred = basis - basis.mean()
        factor = np.maximum(0, (y - mean[:, None]) @ centred / (centred @ centred))
        limit = mean - factor * basis.mean()
        below = limit < 0
        factor = np.where(below, np.maximum(0, y @ basis / (basis @ basis)), factor)
        limit = np.where(below, 0.0, limit)
        error = ((y - limit[:, None] - factor[:, None] * basis) ** 2).sum(1)
        better = error < best
        best = np.where(better, error, best)
        found[better] = np.stack([limit, factor, np.full(len(y), exponent)], 1)[better]
    return found


def _between(values: Floats, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
