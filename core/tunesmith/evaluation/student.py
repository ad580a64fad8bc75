"""Student's t distribution for whole degrees of freedom, without scipy."""

import math


def two_sided(t: float, degrees: int) -> float:
    """Probability of a value at least as far from 0 as `t`.

    By the finite sums of Abramowitz and Stegun (1964, 26.7.3 and 26.7.4).

    Args:
        t: The value.
        degrees: Degrees of freedom, 1 or more.
    """
    angle = math.atan(abs(t) / math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total, at = (term if degrees > 1 else 0.0), 3 if odd else 2
    while at < degrees:
        term *= square * (at - 1) / at
        total += term
        at += 2
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 1.0 - within))


def quantile(confidence: float, degrees: int) -> float:
    """The value that `confidence` of the distribution lies within, on both sides of 0; by bisection."""
    low, high = 0.0, 1.0
    while two_sided(high, degrees) > 1 - confidence:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, degrees) > 1 - confidence else (low, middle)
    return high
