"""Rows into micro-batches of at most so many tokens, nearly full, and as many in every epoch.

Lightning reads the number of micro-batches once, and best fit needs one or two more for one order of the rows than for
another. So a number is fixed by the lengths alone, which are the same in every epoch; an order that needs more is taken
in a coarser one, where rows are drawn at random only among those of similar length.
"""

from collections.abc import Sequence

import numpy as np

# Of so many micro-batches one may stay empty, so that rows can be drawn at random and need not be sorted by length.
_SPARE = 50
# Shares of a factor of two within which lengths count as alike, from coarse to fine.
_CLASSES = (1, 4, 16)


def bins_needed(lengths: Sequence[int], budget: int) -> int:
    """Micro-batches an epoch, whatever the order: those that best fit needs for the longest first, and 2 % more."""
    fewest = len(best_fit(_longest_first(range(len(lengths)), lengths), lengths, budget))
    return min(len(lengths), fewest + fewest // _SPARE)


def pack(order: Sequence[int], lengths: Sequence[int], budget: int, most: int) -> list[list[int]]:
    """Rows in at most `most` micro-batches of at most `budget` tokens; a longer row has its own.

    Args:
        order: Rows in the epoch's random order.
        lengths: Tokens of each row.
        budget: Tokens a micro-batch at most.
        most: As `bins_needed` says.

    Returns:
        Micro-batches, the one with the first row of `order` first.
    """
    place = {row: at for at, row in enumerate(order)}
    sizes = np.asarray(lengths, dtype=np.int64)
    # in random order; the longer classes first, in random order within each; in the order that `most` was found with
    rough = [np.zeros_like(sizes), *(-np.floor(np.log2(sizes) * parts).astype(np.int64) for parts in _CLASSES), -sizes]
    for classes in rough:
        bins = best_fit(sorted(order, key=lambda row: (classes[row], place[row])), lengths, budget)
        if len(bins) <= most:
            break
    return sorted(bins, key=lambda rows: min(place[row] for row in rows))


def best_fit(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Put each row into the fullest micro-batch that has room for it, or begin one (Johnson, 1974).

    Args:
        order: Rows as they come.
        lengths: Tokens of each row.
        budget: Tokens a micro-batch at most; a longer row gets its own.
    """
    bins: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(budget + 1)]
    free = 0  # bit k says that a micro-batch has room for exactly k more tokens
    for row in order:
        length = lengths[row]
        if length > budget:
            bins.append([row])
            continue
        wide_enough = free >> length
        if wide_enough:
            room = length + (wide_enough & -wide_enough).bit_length() - 1
            at = by_room[room].pop()
            if not by_room[room]:
                free ^= 1 << room
            bins[at].append(row)
        else:
            room, at = budget, len(bins)
            bins.append([row])
        left = room - length
        by_room[left].append(at)
        free |= 1 << left
    return bins


def _longest_first(rows: Sequence[int], lengths: Sequence[int]) -> list[int]:
    counted = np.asarray([lengths[row] for row in rows], dtype=np.int64)
    return [rows[int(at)] for at in np.argsort(-counted, kind="stable")]
