"""Shares of groups held against those of a population, even ones, or, of two dimensions that cross, independence."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith import RecipeError, Table
from tunesmith_plugins.audits.dimensions import Dimension
from tunesmith_plugins.audits.lexicon import nearest
from tunesmith_plugins.audits.statistics import binomial, fisher, wilson


@dataclass(frozen=True)
class Cell:
    """A group, or where two meet: how many examples of how many, the share that was expected, and chance's p-value."""

    group: str
    n: int
    total: int
    expected: float
    p: float

    @property
    def share(self) -> float:
        """Its part of the examples."""
        return self.n / self.total

    @property
    def distance(self) -> float:
        """How far the share is from the expected one, whichever way: 0 is as expected, 1 is none or infinitely more."""
        small, large = sorted((self.share, self.expected))
        return 1 - small / large if large else 0.0


@dataclass(frozen=True)
class Shares:
    """All cells of a dimension, or of two that cross.

    Args:
        name: As in the names of metrics.
        against: What is expected, in words.
        cells: One a group.
        ids: By group, the ids of its examples.
        stated: Whether a population was stated, or independence is what is held against.
    """

    name: str
    against: str
    cells: Sequence[Cell]
    ids: Mapping[str, Sequence[str]]
    stated: bool

    @property
    def tests(self) -> list[float]:
        """The p-values that count in a correction: where a group's test is the same as that of all others, one."""
        ps = [cell.p for cell in self.cells]
        return ps[:1] if max(ps) - min(ps) <= 1e-9 * max(ps) else ps

    def spread(self, corrected: Sequence[float]) -> list[float]:
        """A corrected p-value for each cell, of those for `tests`."""
        return list(corrected) if len(corrected) == len(self.cells) else [corrected[0]] * len(self.cells)

    def table(self, corrected: Sequence[float]) -> Table:
        """The cells with their 95 % intervals and corrected p-values, the furthest from what is expected first."""
        rows = [
            (c.group, c.n, c.share, *wilson(c.n, c.total), c.expected, c.share / c.expected if c.expected else "", p)
            for c, p in zip(self.cells, corrected, strict=True)
        ]
        rows.sort(key=lambda row: float(row[7]))
        total = self.cells[0].total
        columns = ("group", "examples", "share", "from", "to", "expected", "ratio", "p")
        title = f"{self.name}: shares of the {total} examples of one group against {self.against} (p corrected)"
        return Table(title, columns, tuple(rows))


def of_groups(dimension: Dimension, stated: Mapping[str, float] | None) -> Shares | None:
    """A dimension's groups against a population, by exact binomial tests.

    Args:
        dimension: Of which the examples that name one group alone count.
        stated: Share of each group in the population, which sum to 1; if None even shares are expected.

    Returns:
        None where there are fewer than two groups, or no example.
    """
    groups = list(stated) if stated is not None else list(dimension.compared)
    ids: dict[str, list[str]] = {group: [] for group in groups}
    for i, group in dimension.alone.items():
        if group in ids:
            ids[group].append(i)
    total = sum(map(len, ids.values()))
    if len(groups) < 2 or not total:
        return None
    expected = stated if stated is not None else dict.fromkeys(groups, 1 / len(groups))
    cells = [Cell(g, len(ids[g]), total, expected[g], binomial(len(ids[g]), total, expected[g])) for g in groups]
    against = "even shares" if stated is None else "the stated population"
    return Shares(dimension.name, against, cells, ids, stated is not None)


def of_crossing(one: Dimension, other: Dimension, stated: Mapping[str, float] | None) -> Shares | None:
    """Each group of one dimension within each group of another (`female/black`).

    Against a stated population by exact binomial tests; without one against what the shares of both would give if they
    were independent, by Fisher's exact test of being in the one group and in the other.

    Args:
        one: The first dimension.
        other: The second.
        stated: Share of each crossing in the population.

    Returns:
        None where a dimension has fewer than two groups among the examples of both.
    """
    both = {i: (group, other.alone[i]) for i, group in one.alone.items() if i in other.alone}
    counts, total = Counter(both.values()), len(both)
    rows, columns = Counter(group for group, _ in both.values()), Counter(group for _, group in both.values())
    if len(rows) < 2 or len(columns) < 2:
        return None
    ids: dict[str, list[str]] = {}
    cells = []
    for first in sorted(rows):
        for second in sorted(columns):
            name, n = f"{first}/{second}", counts[first, second]
            if stated is not None and name not in stated:
                continue
            ids[name] = [i for i, where in both.items() if where == (first, second)]
            if stated is not None:
                expected, p = stated[name], math.nan
            else:
                r, c = rows[first], columns[second]
                expected, p = r * c / total**2, fisher(n, r - n, c - n, total - r - c + n)
            cells.append(Cell(name, n, total, expected, p))
    if stated is not None:
        cells = _within(cells, stated)
    against = "independence of the two" if stated is None else "the stated population"
    found = Shares(f"{one.name}_x_{other.name}", against, cells, ids, stated=True)
    return found if cells and cells[0].total else None


def _within(cells: Sequence[Cell], stated: Mapping[str, float]) -> list[Cell]:
    """The cells that a population states, those that no example is in too, as shares of them all."""
    counts = {cell.group: cell.n for cell in cells}
    total = sum(counts.values())
    return [
        Cell(group, counts.get(group, 0), total, share, binomial(counts.get(group, 0), total, share))
        for group, share in stated.items()
    ]


def check_stated(
    stated: Mapping[str, Mapping[str, float]], categories: Mapping[str, Sequence[str]], names: Sequence[str]
) -> None:
    """Refuse a reference that nothing reads, or whose shares are none.

    Args:
        stated: Shares of groups, by category, column or intersection.
        categories: The groups of each category; those of columns are known once there are examples.
        names: All categories, columns and intersections.

    Raises:
        RecipeError: A name or group does not exist; a share lies not between 0 and 1, or they do not sum to 1.
    """
    for name, shares in stated.items():
        if name not in names:
            msg = f"Representation.reference: {name!r} is not looked at{nearest(name, names)}"
            raise RecipeError(msg)
        sides = [categories.get(side) for side in name.split("/")]
        for group in shares:
            parts = group.split("/") if len(sides) > 1 else [group]
            wrong = [p for p, side in zip(parts, sides, strict=False) if side is not None and p not in side]
            if wrong or len(parts) != len(sides):
                known = next((side for side in sides if side is not None), [])
                msg = f"Representation.reference: {name} has no group {group!r}"
                raise RecipeError(msg + (nearest(wrong[0], known) if wrong else ", a crossing is written female/black"))
        if min(shares.values(), default=0.0) <= 0 or abs(sum(shares.values()) - 1) > 0.005:
            msg = f"Representation.reference: the shares of {name} sum to {sum(shares.values()):.3g}"
            msg += "; each has to be above 0, and all together 1"
            raise RecipeError(msg)
