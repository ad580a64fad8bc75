"""Tests and intervals for counts, without scipy: exact where that is short, else by their textbook approximations."""

import math
from collections.abc import Sequence

_Z = 1.959963984540054  # of 95 %
_EXPECTED = 5
_DRAWS = 9999


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); from 0 to 1 where there is nothing to count."""
    if n <= 0:
        return 0.0, 1.0
    share, z2 = successes / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(a: float, n: float, b: float, m: float) -> tuple[float, float]:
    """95 % interval of a/n - b/m by Newcombe's method (1998), from the Wilson intervals of both."""
    (low1, high1), (low2, high2) = wilson(a, n), wilson(b, m)
    one, other = (a / n if n else 0.0), (b / m if m else 0.0)
    gap = one - other
    return (
        gap - math.sqrt((one - low1) ** 2 + (high2 - other) ** 2),
        gap + math.sqrt((high1 - one) ** 2 + (other - low2) ** 2),
    )


def binomial(successes: int, n: int, share: float) -> float:
    """Two-sided p-value of so many of n where each is one with probability `share`: all counts at most as likely.

    Of more than 10,000, with a variance above 100, by the normal distribution.
    """
    if n <= 0 or not 0 < share < 1:
        return 1.0 if n <= 0 or successes == n * share else 0.0
    if n > 10_000 and n * share * (1 - share) > 100:
        return chi_square_tail((successes - n * share) ** 2 / (n * share * (1 - share)), 1)

    def log(x: int) -> float:
        return _choose(n, x) + x * math.log(share) + (n - x) * math.log1p(-share)

    seen = log(successes)
    return min(1.0, math.fsum(math.exp(log(x)) for x in range(n + 1) if log(x) <= seen + 1e-7))


def fisher(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of Fisher's exact test of the table [[a, b], [c, d]]: all tables at most as likely."""
    row, column, n = a + b, a + c, a + b + c + d
    low, high = max(0, row + column - n), min(row, column)

    def log(x: int) -> float:
        return _choose(column, x) + _choose(n - column, row - x) - _choose(n, row)

    seen = log(a)
    return min(1.0, math.fsum(math.exp(log(x)) for x in range(low, high + 1) if log(x) <= seen + 1e-7))


def chi_square(table: Sequence[Sequence[float]]) -> tuple[float, int, float]:
    """Pearson's test of independence, without a correction: statistic, degrees of freedom, p-value.

    Rows and columns without counts are left out; 0, 0 and 1 where fewer than two of either are left.
    """
    rows = [row for row in table if sum(row)]
    kept = [at for at in range(len(rows[0]) if rows else 0) if sum(row[at] for row in rows)]
    if len(rows) < 2 or len(kept) < 2:
        return 0.0, 0, 1.0
    sums, total = [sum(row[at] for row in rows) for at in kept], sum(map(sum, rows))
    found = 0.0
    for row in rows:
        for at, column in zip(kept, sums, strict=True):
            expected = sum(row) * column / total
            found += (row[at] - expected) ** 2 / expected
    degrees = (len(rows) - 1) * (len(kept) - 1)
    return found, degrees, chi_square_tail(found, degrees)


def chi_square_tail(value: float, degrees: int) -> float:
    """Probability that a chi-square variable is larger: closed forms for one and two degrees, two more at a time."""
    half = value / 2
    if half <= 0:
        return 1.0
    if degrees % 2:
        found, a = math.erfc(math.sqrt(half)), 0.5
    else:
        found, a = math.exp(-half), 1.0
    while a < degrees / 2:  # Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1)
        found += math.exp(a * math.log(half) - half - math.lgamma(a + 1))
        a += 1
    return min(1.0, found)


def independence(table: Sequence[Sequence[int]]) -> tuple[float, str]:
    """p-value of independence, and by which test.

    Fisher's exact test for two by two. Else chi-square, which is no good where few are expected in a cell: a test at
    5 % then gives as much as 17 % of false alarms (20 labels, groups of 20 and 2,000). Where fewer than five are
    expected in any (Cochran 1954), the statistic is compared with those of drawn tables instead.
    """
    if len(table) == 2 and all(len(row) == 2 for row in table):
        return fisher(*table[0], *table[1]), "Fisher"
    sums, total = [sum(row) for row in table if sum(row)], sum(map(sum, table))
    columns = [c for column in zip(*table, strict=True) if (c := sum(column))]
    if len(sums) > 1 and len(columns) > 1 and min(sums) * min(columns) < _EXPECTED * total:
        return permuted(table), "permutation"
    return chi_square(table)[2], "chi-square"


def permuted(table: Sequence[Sequence[int]], seed: int = 0) -> float:
    """p-value of independence by 9,999 tables with the same sums of rows and columns, the observed one counted.

    They are drawn as dealing out the columns among the rows would (Patefield 1981, cell by cell, each hypergeometric),
    and compared by Pearson's statistic. Exact, whatever the counts (Davison and Hinkley 1997, 4.2).

    Args:
        table: Counts.
        seed: Of the draws.
    """
    import numpy as np

    seen = np.array(table, dtype=np.int64)
    rows, columns, total = seen.sum(1), seen.sum(0), int(seen.sum())
    draw = np.random.default_rng(seed)
    expected = np.outer(rows, columns) / max(1, total)
    scale = np.where(expected > 0, expected, 1.0)
    left = np.tile(columns, (_DRAWS, 1))
    found = np.zeros(_DRAWS)
    for at, size in enumerate(rows):
        dealt = left
        if at < len(rows) - 1:
            dealt, need, others = np.zeros_like(left), np.full(_DRAWS, size), left.sum(1)
            for column in range(len(columns)):
                others = others - left[:, column]
                dealt[:, column] = draw.hypergeometric(left[:, column], others, need)
                need = need - dealt[:, column]
            left = left - dealt
        found += ((dealt - expected[at]) ** 2 / scale[at]).sum(1)
    least = float(((seen - expected) ** 2 / scale).sum()) * (1 - 1e-9)
    return (int((found >= least).sum()) + 1) / (_DRAWS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979); nan stays nan and does not count."""
    order = sorted((at for at, p in enumerate(values) if not math.isnan(p)), key=lambda at: values[at])
    found, last = list(values), 0.0
    for rank, at in enumerate(order):
        last = max(last, min(1.0, (len(order) - rank) * values[at]))
        found[at] = last
    return found


def kruskal(groups: Sequence[Sequence[float]]) -> float:
    """p-value of Kruskal and Wallis (1952) that values of groups come from one distribution, corrected for ties.

    By the chi-square approximation; 1 where all values are the same.
    """
    pooled = sorted(value for group in groups for value in group)
    n, rank, at, ties = len(pooled), {}, 0, 0
    while at < n:
        end = at
        while end < n and pooled[end] == pooled[at]:
            end += 1
        rank[pooled[at]] = (at + 1 + end) / 2
        ties += (end - at) ** 3 - (end - at)
        at = end
    shrunk = 1 - ties / (n**3 - n) if n > 1 else 0.0
    if len(groups) < 2 or shrunk <= 0:
        return 1.0
    sums = math.fsum(math.fsum(rank[value] for value in group) ** 2 / len(group) for group in groups)
    statistic = (12 / (n * (n + 1)) * sums - 3 * (n + 1)) / shrunk
    return chi_square_tail(statistic, len(groups) - 1)


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
