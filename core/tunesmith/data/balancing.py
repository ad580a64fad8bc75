"""Equal work for ranks: rows dealt to micro-batches, those dealt to ranks, and rows exchanged within a token budget.

All ranks wait for the slowest in every optimizer step. Micro-batches that are filled by tokens differ in cost, since
attention costs more in long rows. They are too full for rows to be dealt anew by cost, as hardly any such deal keeps
the budget; but one or two rows can be exchanged for others of about as many tokens.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

Rows = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]

# Ranks are even where the slowest takes so little longer than the mean.
_EVEN = 0.003
# An exchange has to be nearer to half of what two ranks differ by than this share of it: half would change nothing.
_HELPS = 0.49
# Exchanges a rank at most.
_EXCHANGES = 4
# Choices of one or two rows that are tried of a micro-batch at most: all of 13 rows, some of more.
_CHOICES = 100


def balance(rows: Sequence[int], costs: Sequence[float], parts: int) -> list[Rows]:
    """Deal rows to `parts` micro-batches of nearly equal costs and rows, the heaviest first.

    Costliest row first to the lightest part that has room (Graham's LPT rule). Neighbours in the result have similar
    loads, so that ranks which run side by side wait little for each other.
    """
    room = -(-len(rows) // parts)
    dealt: list[list[int]] = [[] for _ in range(parts)]
    heap = [(0.0, part) for part in range(parts)]
    for place in sorted(range(len(rows)), key=lambda place: (-costs[rows[place]], place)):
        load, part = heapq.heappop(heap)
        dealt[part].append(place)
        if len(dealt[part]) < room:
            heapq.heappush(heap, (load + costs[rows[place]], part))
    filled = [tuple(rows[place] for place in sorted(places)) for places in dealt]
    return sorted(filled, key=lambda part: sum(costs[row] for row in part), reverse=True)


def share(parts: Sequence[Rows], world: int, cost: Callable[[Rows], float]) -> list[Rows]:
    """Deal micro-batches to ranks: those that run side by side cost alike, and so do the ranks' sums.

    Args:
        parts: Micro-batches of a window, a multiple of `world`.
        world: Ranks.
        cost: Of a micro-batch; nothing if it is empty.

    Returns:
        The same micro-batches, `world` that run side by side after each other, by rank.
    """
    ordered = sorted(((cost(rows), rows) for rows in parts), key=lambda part: part[0], reverse=True)
    lanes: list[list[Rows]] = [[] for _ in range(world)]
    done = [0.0] * world
    for start in range(0, len(ordered), world):
        idle_first = sorted(range(world), key=lambda rank: (done[rank], rank))
        for rank, (load, rows) in zip(idle_first, ordered[start : start + world], strict=True):
            lanes[rank].append(rows)
            done[rank] += load
    return [rows for beside in zip(*lanes, strict=True) for rows in beside]


def exchange(
    parts: Sequence[Rows], world: int, budget: int, lengths: Sequence[int], costs: Sequence[float]
) -> list[Rows]:
    """Deal micro-batches to ranks and exchange rows until ranks cost alike, or nothing that is tried helps.

    Rows change places between micro-batches that run side by side, and where ranks' sums still differ, between ranks.
    None becomes empty, and one that is empty, or longer than the budget, stays as it is. The slowest rank is never
    slower than without exchanges.

    Args:
        parts: Micro-batches of a window, a multiple of `world`.
        world: Ranks.
        budget: Tokens a micro-batch at most.
        lengths: Tokens of each row.
        costs: Of each row.

    Returns:
        As many micro-batches of the same rows, `world` that run side by side after each other, by rank.
    """

    def cost(rows: Rows) -> float:
        return sum(costs[row] for row in rows)

    packed = share(parts, world, cost)
    if world == 1:
        return packed
    ordered = sorted(parts, key=cost, reverse=True)
    for start in range(0, len(ordered), world):
        lanes = [[_Part(rows, lengths, costs)] for rows in ordered[start : start + world]]
        _level(lanes, budget)
        ordered[start : start + world] = [part.rows for (part,) in lanes]
    shared = share(ordered, world, cost)
    lanes = [[_Part(rows, lengths, costs) for rows in shared[rank::world]] for rank in range(world)]
    if len(shared) > world:
        _level(lanes, budget)
    exchanged = [part.rows for beside in zip(*lanes, strict=True) for part in beside]

    def slowest(dealt: list[Rows]) -> float:
        return max(sum(cost(rows) for rows in dealt[rank::world]) for rank in range(world))

    return min(exchanged, packed, key=slowest)  # of equally slow ones that whose other ranks are more alike


@dataclass(frozen=True)
class _Part:
    """A micro-batch, and what its rows can be exchanged by: choices of none, one or two."""

    rows: Rows
    lengths: Sequence[int]
    costs: Sequence[float]

    @cached_property
    def tokens(self) -> int:
        return sum(self.lengths[row] for row in self.rows)

    @cached_property
    def cost(self) -> float:
        return sum(self.costs[row] for row in self.rows)

    @cached_property
    def choice_tokens(self) -> Array:
        return self._sums([self.lengths[row] for row in self.rows])

    @cached_property
    def choice_costs(self) -> Array:
        return self._sums([self.costs[row] for row in self.rows])

    def _sums(self, values: Sequence[float]) -> Array:
        first, second = _choices(len(values))
        padded = np.array([*values, 0])
        return np.asarray(padded[first] + padded[second])

    def chosen(self, choice: int) -> Rows:
        first, second = _choices(len(self.rows))
        return tuple(self.rows[at] for at in (first[choice], second[choice]) if at < len(self.rows))

    def swapped(self, out: Rows, into: Rows) -> "_Part":
        return _Part((*(row for row in self.rows if row not in out), *into), self.lengths, self.costs)


@lru_cache(maxsize=1024)
def _choices(rows: int) -> tuple[Array, Array]:
    """Places of both rows of each choice, `rows` for none: first none at all, then one, then two; spread if many."""
    one = _spread(np.arange(rows), _CHOICES)
    pairs = [(at, other) for at in range(rows) for other in range(at + 1, rows)] if rows < _CHOICES else []
    two = _spread(np.array(pairs, dtype=np.int64).reshape(-1, 2), _CHOICES - len(one))
    none = np.full_like(one, rows)
    return np.concatenate([[rows], one, two[:, 0]]), np.concatenate([[rows], none, two[:, 1]])


def _spread(values: Array, number: int) -> Array:
    return values if len(values) <= number else np.asarray(values[np.arange(number) * len(values) // number])


Lane = list[_Part]


def _level(lanes: list[Lane], budget: int) -> None:
    """Lighten the lane that costs most by exchanges with others, the lightest first, as long as one helps."""
    done = [sum(part.cost for part in lane) for lane in lanes]
    mean = sum(done) / len(done)
    for _ in range(_EXCHANGES * len(lanes)):
        by_cost = sorted(range(len(lanes)), key=lambda lane: done[lane])
        slowest = by_cost.pop()
        if done[slowest] <= (1 + _EVEN) * mean:
            return
        for other in by_cost:
            gap = done[slowest] - done[other]
            change = _change(lanes[slowest], lanes[other], gap, _EVEN * mean / 2, budget)
            if change is not None:
                at, lanes[slowest][at], lanes[other][at] = change
                for lane in (slowest, other):
                    done[lane] = sum(part.cost for part in lanes[lane])
                break
        else:
            return


def _change(heavy: Lane, light: Lane, gap: float, close: float, budget: int) -> tuple[int, _Part, _Part] | None:
    """The exchange, of those between micro-batches side by side, that moves nearest to half the gap.

    Args:
        heavy: The lane that costs more.
        light: The other one.
        gap: What they differ by.
        close: The first exchange that is off by no more is taken.
        budget: Tokens a micro-batch at most.

    Returns:
        Place in the lanes, and what comes there in the first and in the second; None if none moves anything.
    """
    best, nearest = None, _HELPS * gap
    for at, (ours, theirs) in enumerate(zip(heavy, light, strict=True)):
        if not ours.rows or not theirs.rows:
            continue
        moved = ours.choice_tokens[:, None] - theirs.choice_tokens
        off = np.abs(ours.choice_costs[:, None] - theirs.choice_costs - gap / 2)
        off[(moved > budget - theirs.tokens) | (moved < ours.tokens - budget)] = np.inf
        if len(ours.rows) <= 2:
            off[-1, 0] = np.inf  # all rows for none
        given, taken = divmod(int(off.argmin()), off.shape[1])
        if off[given, taken] < nearest:
            nearest = float(off[given, taken])
            gone, come = ours.chosen(given), theirs.chosen(taken)
            best = (at, ours.swapped(gone, come), theirs.swapped(come, gone))
            if nearest <= close:
                break
    return best
