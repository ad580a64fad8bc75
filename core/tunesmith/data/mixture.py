"""How often rows are trained on: sources, tasks or classes as strata with weights, and one epoch defined exactly.

A stratum s of n_s rows has the share p_s of an epoch's rows, p_s ~ w_s n_s^(1/T): its weight, and the temperature by
which small strata are raised (Arivazhagan et al. 2019, arXiv:1907.05019; Raffel et al. 2020, arXiv:1910.10683, whose
examples-proportional mixing is T = 1). An epoch has N rows: as many as it takes for every stratum to be seen whole
(`all_exhausted`, N = max n_s / p_s), or for the first one (`first_exhausted`, N = min n_s / p_s).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

Rows = NDArray[np.int64]
Stop = Literal["all_exhausted", "first_exhausted"]


@dataclass
class Mixture:
    """How often rows are trained on in an epoch, beside the weights of sources.

    Args:
        by: What is weighed: `source`, `task`, `label`, or a column of the rows.
        weights: Of values of `by`, 1 for the others; 2 is trained on twice as often. Sources have theirs themselves,
            `data.sources.NAME.weight`.
        temperature: 1 leaves strata as large as they are, more raises small ones, `.inf` makes all alike: shares are
            weight x rows^(1 / temperature).
        stop: When an epoch ends: `all_exhausted`, once all rows of every stratum were trained on, those of others more
            than once; `first_exhausted`, once those of one were.
        rows: Rows an epoch, instead of `stop`.
    """

    by: str = "source"
    weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    stop: Stop = "all_exhausted"
    rows: int | None = None

    def check(self, sources: Mapping[str, float]) -> None:
        """Refuse what cannot be.

        Args:
            sources: Weights of the sources, by name.

        Raises:
            RecipeError: A number is out of its bounds, or a key is read by nothing.
        """
        keys = {f"data.sources.{name}.weight": weight for name, weight in sources.items()}
        keys |= {f"data.mixture.weights.{name}": weight for name, weight in self.weights.items()}
        for key, weight in keys.items():
            if not (math.isfinite(weight) and weight >= 0):
                msg = f"{key} is {weight}; a weight is 0 or more: 2 trains on these rows twice as often"
                raise RecipeError(msg)
        if not self.temperature > 0:
            msg = f"data.mixture.temperature is {self.temperature}; it is above 0, and 1 changes nothing"
            raise RecipeError(msg)
        if self.rows is not None and self.rows < 1:
            msg = f"data.mixture.rows is {self.rows}; an epoch has 1 row or more"
            raise RecipeError(msg)
        if self.by == "source" and self.weights:
            name = next(iter(self.weights))
            msg = f"data.mixture.weights: the weight of a source is its own; write data.sources.{name}.weight"
            raise RecipeError(msg)
        if self.by != "source" and (odd := next((n for n, weight in sources.items() if weight != 1), None)):
            msg = (
                f"data.sources.{odd}.weight is {sources[odd]:g}, and data.mixture.by is {self.by}: "
                "sources are weighed, or what `by` names; leave one out"
            )
            raise RecipeError(msg)
        if not self.mixes(sources) and self != Mixture():
            msg = "data.mixture changes nothing: set weights, a temperature other than 1, or rows"
            raise RecipeError(msg)

    def mixes(self, sources: Mapping[str, float]) -> bool:
        """Whether any row is trained on more or less often than once an epoch."""
        weights = sources.values() if self.by == "source" else self.weights.values()
        return any(weight != 1 for weight in weights) or self.temperature != 1 or self.rows is not None

    def draws(self, values: Sequence[str], sources: Mapping[str, float], seed: int) -> "Draws":
        """How often each training row is drawn.

        Args:
            values: Of `by`, for each row; empty where a row has none.
            sources: Weights of the sources, by name.
            seed: The recipe's.

        Raises:
            RecipeError: A weight is given to a value that no row has, or none is left that weighs.
        """
        weights = sources if self.by == "source" else self.weights
        names = sorted(set(values))
        for name in self.weights:
            if name not in names:
                near = did_you_mean(name, names)
                msg = f"data.mixture.weights.{name}: no training row has this {self.by}{near}; there are {_list(names)}"
                raise RecipeError(msg)
        numbers = {name: at for at, name in enumerate(names)}
        of = np.array([numbers[value] for value in values], np.int64)
        rows = [np.flatnonzero(of == at) for at in range(len(names))]
        raised = [weights.get(n, 1.0) * len(r) ** (1 / self.temperature) for n, r in zip(names, rows, strict=True)]
        kept = [at for at, share in enumerate(raised) if share > 0]
        if not kept:
            msg = "all training rows have weight 0; give one source, or one value of data.mixture.by, a weight"
            raise RecipeError(msg)
        shares = [raised[at] / math.fsum(raised) for at in kept]
        sizes = [len(rows[at]) for at in kept]
        counts = apportion(shares, self.rows or _epoch(sizes, shares, self.stop))
        return Draws(tuple(names[at] for at in kept), tuple(rows[at] for at in kept), tuple(counts), seed)


@dataclass(frozen=True, eq=False)
class Draws:
    """Which rows an epoch draws: a pure function of the seed and the epoch.

    Each row of a stratum of n rows is drawn floor(count / n) times. What is left of the count goes through the rows in
    an order that the seed fixes, on from where the epoch before it ended: over n epochs all are drawn equally often.

    Args:
        names: Of the strata.
        rows: Of each stratum.
        counts: Rows that an epoch draws of each.
        seed: The recipe's.
    """

    names: tuple[str, ...]
    rows: tuple[Rows, ...]
    counts: tuple[int, ...]
    seed: int

    @property
    def size(self) -> int:
        """Rows an epoch, the same in each."""
        return sum(self.counts)

    def of(self, epoch: int) -> list[int]:
        """The rows of an epoch, stratum by stratum, a row as often as it is drawn."""
        found = [part for at in range(len(self.rows)) for part in (*self._whole(at), self._rest(at, epoch))]
        return [int(row) for part in found for row in part]

    def heaviest(self, sizes: Sequence[int]) -> list[int]:
        """The rows of an epoch that draws, wherever it has a choice, the largest: none is larger, row by row."""
        found = list[int]()
        for at, (rows, count) in enumerate(zip(self.rows, self.counts, strict=True)):
            rest = count % len(rows)
            largest = rows[np.argsort(-np.asarray(sizes, np.int64)[rows], kind="stable")][:rest]
            found += [int(row) for part in (*self._whole(at), largest) for row in part]
        return found

    @cached_property
    def digest(self) -> int:
        """Of what decides which rows are drawn, beside the seed."""
        total = sha256()
        for rows, count in zip(self.rows, self.counts, strict=True):
            total.update(f"{len(rows)} {count};".encode() + rows.astype("<i8").tobytes())
        return int.from_bytes(total.digest()[:7], "big")

    def told(self) -> list[dict[str, Any]]:
        """Each stratum with its rows and how many are drawn; JSON-able."""
        return [
            {"name": name, "rows": len(rows), "drawn": count}
            for name, rows, count in zip(self.names, self.rows, self.counts, strict=True)
        ]

    def _whole(self, at: int) -> list[Rows]:
        return [self.rows[at]] * (self.counts[at] // len(self.rows[at]))

    def _rest(self, at: int, epoch: int) -> Rows:
        rows = self.rows[at]
        rest = self.counts[at] % len(rows)
        places = (epoch * rest + np.arange(rest)) % len(rows)
        return rows[self._orders[at][places]]

    @cached_property
    def _orders(self) -> list[Rows]:
        return [np.random.default_rng([self.seed, at, 7]).permutation(len(rows)) for at, rows in enumerate(self.rows)]


def apportion(shares: Sequence[float], number: int) -> list[int]:
    """Whole numbers near `share * number` that sum to `number`: largest remainders (Hamilton), the first of equal ones.

    None is 0 if `number` is at least the number of shares.
    """
    exact = [share * number for share in shares]
    counts = [math.floor(value + 1e-9) for value in exact]  # 150 x 2/3 is not 99
    by_rest = sorted(range(len(shares)), key=lambda at: (counts[at] - exact[at], at))
    for at in by_rest[: max(0, number - sum(counts))]:
        counts[at] += 1
    while number >= len(counts) and 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts


def _epoch(sizes: Sequence[int], shares: Sequence[float], stop: Stop) -> int:
    lengths = [size / share for size, share in zip(sizes, shares, strict=True)]
    if stop == "all_exhausted":
        return math.ceil(max(lengths) * (1 - 1e-9))
    return max(len(sizes), math.floor(min(lengths) * (1 + 1e-9)))


def _list(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(name or "rows without one" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
