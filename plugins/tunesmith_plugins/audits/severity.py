"""How bad a finding is, by the size of its metric."""

import math
from typing import Literal

Severity = Literal["none", "low", "medium", "high"]
RANKS: tuple[Severity, ...] = ("none", "low", "medium", "high")


def graded(value: float, limits: tuple[float, float, float]) -> Severity:
    """The severity of a value: low, medium, high from the limits on; none of nan."""
    return "none" if math.isnan(value) else RANKS[sum(value >= limit - 1e-12 for limit in limits)]


def worst(*found: Severity) -> Severity:
    """The worst of several; none of nothing."""
    return max(found, key=RANKS.index, default="none")
