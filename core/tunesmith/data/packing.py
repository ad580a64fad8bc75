"""Rows into micro-batches of at most so many tokens, nearly full, and as many in every epoch.

Lightning reads the number of micro-batches once, and best fit needs one or two more for one order of the rows than for
another. So a number is fixed by the lengths alone, which are the same in every epoch; an order that needs more is taken
in a coarser one, where rows are drawn at random only among those of similar length.

Where a model runs padded, a micro-batch computes as many tokens as its longest document for each of its documents. Then
the budget bounds those, so that rows of similar length have to meet.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

# Of so many micro-batches one may stay empty, so that rows can be drawn at random and need not be sorted by length.
_SPARE = 50
# The same for padded ones, which are full only if all rows in them are of one length.
_SPARE_PADDED = 20
# Shares of a factor of two within which lengths count as alike, from coarse to fine.
_CLASSES = (1, 4, 16)
# Micro-batches that are open at once where rows are to meet their neighbours: few first, then as many as it takes.
_OPENED = (4, 16, 64)


class Shape(NamedTuple):
    """A row where documents are padded.

    Attributes:
        documents: One, or the two of a pair.
        longest: Tokens of the longest of them.
    """

    documents: int
    longest: int


Shapes = Sequence[Shape]


def area(rows: Sequence[int], shapes: Shapes) -> int:
    """Tokens that a micro-batch of these rows computes, padding included."""
    return max(shapes[row].longest for row in rows) * sum(shapes[row].documents for row in rows)


def bins_needed(lengths: Sequence[int], budget: int, shapes: Shapes | None = None) -> int:
    """Micro-batches an epoch, whatever the order: those that are needed for the longest first, and a few more."""
    fewest = len(_fit(lengths, budget, shapes)(_longest_first(lengths, shapes)))
    return min(len(lengths), fewest + fewest // (_SPARE if shapes is None else _SPARE_PADDED))


def pack(
    order: Sequence[int],
    lengths: Sequence[int],
    budget: int,
    most: int,
    shapes: Shapes | None = None,
    *,
    near: bool = False,
) -> list[list[int]]:
    """Rows in at most `most` micro-batches of at most `budget` tokens; a longer row has its own.

    Args:
        order: Rows in the epoch's random order.
        lengths: Tokens of each row.
        budget: Tokens a micro-batch at most.
        most: As `bins_needed` says.
        shapes: Of each row where documents are padded; None where they are not.
        near: Whether rows should meet others that are near to them in `order`, as far as `most` allows.

    Returns:
        Micro-batches, the one with the first row of `order` first.
    """
    if near and shapes is None:
        for opened in _OPENED:
            bins = best_fit(order, lengths, budget, opened)
            if len(bins) <= most:
                return bins
    place = {row: at for at, row in enumerate(order)}
    sizes = np.asarray(lengths if shapes is None else [shape.longest for shape in shapes], dtype=np.int64)
    fit = _fit(lengths, budget, shapes)
    # in random order; the longer classes first, in random order within each; in the order that `most` was found with
    rough: list[Any] = [np.zeros_like(sizes)]
    rough += [-np.floor(np.log2(sizes) * parts).astype(np.int64) for parts in _CLASSES]
    for classes in (*rough, -_by_length(lengths, shapes)):
        bins = fit(sorted(order, key=lambda row: (classes[row], place[row])))
        if len(bins) <= most:
            break
    return sorted(bins, key=lambda rows: min(place[row] for row in rows))


def best_fit(order: Sequence[int], lengths: Sequence[int], budget: int, opened: int | None = None) -> list[list[int]]:
    """Put each row into the fullest micro-batch that has room for it, or begin one (Johnson, 1974).

    Args:
        order: Rows as they come.
        lengths: Tokens of each row.
        budget: Tokens a micro-batch at most; a longer row gets its own.
        opened: Whether only the last so many micro-batches take further rows; None for all.
    """
    if opened is not None:
        return _best_fit_near(order, lengths, budget, opened)
    bins: list[list[int]] = []
    rooms: list[int] = []  # how much room there is in any of them, each number once, in order
    by_room: dict[int, list[int]] = {}
    for row in order:
        length = lengths[row]
        if length > budget:
            bins.append([row])
            continue
        found = bisect_left(rooms, length)
        if found < len(rooms):
            room = rooms[found]
            at = by_room[room].pop()
            if not by_room[room]:
                del rooms[found], by_room[room]
            bins[at].append(row)
        else:
            room, at = budget, len(bins)
            bins.append([row])
        left = room - length
        if left in by_room:
            by_room[left].append(at)
        else:
            by_room[left] = [at]
            insort(rooms, left)
    return bins


def _best_fit_near(order: Sequence[int], lengths: Sequence[int], budget: int, opened: int) -> list[list[int]]:
    bins: list[list[int]] = []
    last: list[list[int]] = []  # room and number of those that are open, the oldest first
    for row in order:
        length = lengths[row]
        fitting = [one for one in last if one[0] >= length]
        if length <= budget and fitting:
            one = min(fitting)
            one[0] -= length
            bins[one[1]].append(row)
            continue
        bins.append([row])
        if length <= budget:
            last = [*last, [budget - length, len(bins) - 1]][-opened:]
    return bins


def next_fit(order: Sequence[int], shapes: Shapes, budget: int) -> list[list[int]]:
    """Put each row into the micro-batch before it if the padded rows have room there, or begin one.

    With the longest first no other way needs fewer.

    Args:
        order: Rows as they come.
        shapes: Of each row.
        budget: Tokens a micro-batch at most, padding included; a row that is larger gets its own.
    """
    bins: list[list[int]] = []
    documents = longest = 0
    for row in order:
        documents, longest = documents + shapes[row].documents, max(longest, shapes[row].longest)
        if bins and documents * longest <= budget:
            bins[-1].append(row)
        else:
            bins.append([row])
            documents, longest = shapes[row]
    return bins


def _fit(lengths: Sequence[int], budget: int, shapes: Shapes | None) -> Callable[[Sequence[int]], list[list[int]]]:
    if shapes is None:
        return partial(best_fit, lengths=lengths, budget=budget)
    return partial(next_fit, shapes=shapes, budget=budget)


def _longest_first(lengths: Sequence[int], shapes: Shapes | None) -> list[int]:
    return [int(at) for at in np.argsort(-_by_length(lengths, shapes), kind="stable")]


def _by_length(lengths: Sequence[int], shapes: Shapes | None) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """What grows with a row's length; where documents are padded, with the longest, and then with their number."""
    if shapes is None:
        return np.asarray(lengths, dtype=np.int64)
    counted = np.asarray(shapes, dtype=np.int64).reshape(-1, 2)
    documents, longest = counted[:, 0], counted[:, 1]
    return np.asarray(longest * (1 + documents.max(initial=0)) + documents)
