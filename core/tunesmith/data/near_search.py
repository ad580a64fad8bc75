"""Search among signatures: which rows resemble an earlier one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.near_keys import HALF, POSITIONS, lookups, needed
from tunesmith.data.words import Numbers, mixed

Places = NDArray[np.int32]
_CHUNK = 1 << 14  # pairs that are compared at once: 4 MB


@dataclass(frozen=True)
class Signed:
    """Rows as they are searched, in order of precedence.

    Args:
        values: Signatures, `[rows, 128]`: of one text, or halves for two.
        texts: How many texts each row's signature is of: 0, 1 or 2.
        exact: What has to be equal, as a number; rows of unequal number of texts differ in it.
        colours: Where given, only rows of different colours are compared.
    """

    values: NDArray[np.uint8]
    texts: NDArray[np.uint8]
    exact: Numbers
    colours: NDArray[np.int64] | None = None

    def take(self, numbers: Sequence[int]) -> "Signed":
        """Some rows, in the given order."""
        at = np.asarray(numbers, np.int64)
        colours = None if self.colours is None else self.colours[at]
        return Signed(self.values[at], self.texts[at], self.exact[at], colours)

    def parted(self, groups: Sequence[int]) -> "Signed":
        """The same rows, of which only those of one group are compared."""
        group = np.asarray(groups, np.int64).astype(np.uint64)
        return replace(self, exact=mixed(self.exact ^ mixed(group)))

    def coloured(self, colours: Sequence[int]) -> "Signed":
        """The same rows, of which only those of different colours are compared."""
        return replace(self, colours=np.asarray(colours, np.int64))


def joined(parts: Sequence[Signed]) -> Signed:
    """The rows of several, one after the other."""
    if not parts:
        return Signed(np.zeros((0, POSITIONS), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.uint64))
    return Signed(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "texts", "exact")))


def first_alike(rows: Signed, threshold: float) -> Places:
    """The first row that each row resembles, of those before it; -1 where there is none."""
    copies_of, single = _collapsed(rows)
    found = _first(rows, single, np.ones(len(single), bool), threshold)
    # a copy resembles what its original does, and the original, which may be its first
    first = found[copies_of]
    is_copy = copies_of != np.arange(len(copies_of))
    first[is_copy & (first < 0)] = copies_of[is_copy & (first < 0)]
    return first


def repeats(rows: Signed, threshold: float) -> NDArray[np.bool_]:
    """Which rows resemble an earlier one that is none of these itself.

    Each round settles the rows that nothing before them resembles, and those whose first alike is settled; rows in
    random order take few rounds (a greedy maximal independent set; Fischer and Noever 2018).
    """
    copies_of, single = _collapsed(rows)
    count = len(rows.values)
    dropped, kept = np.zeros(count, bool), np.zeros(count, bool)
    open_ = single
    while len(open_):
        active = single[~dropped[single]]
        first = _first(rows, active, ~kept[active], threshold)[open_]
        kept[open_[first < 0]] = True
        dropped[open_[(first >= 0) & kept[first]]] = True
        open_ = open_[~kept[open_] & ~dropped[open_]]
    gone = dropped[copies_of]
    if rows.colours is None:
        gone |= copies_of != np.arange(count)
    return gone


def _collapsed(rows: Signed) -> tuple[Places, Places]:
    """The first row that is equal to each, itself included, colour too; and the rows that are first."""
    key = rows.exact.copy()
    for column in range(0, POSITIONS, 8):
        key = mixed(key ^ _packed(rows.values[:, column : column + 8]))
    if rows.colours is not None:
        key = mixed(key ^ mixed(rows.colours.astype(np.uint64)))
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int32), np.sort(first).astype(np.int32)


def _first(rows: Signed, active: Places, is_open: NDArray[np.bool_], threshold: float) -> Places:
    """The first alike of each row that is open, among the active ones; -1 for all others."""
    none = np.iinfo(np.int32).max
    first = np.full(len(rows.values), none, np.int32)
    searched = rows.texts[active] > 0
    active, is_open = active[searched], is_open[searched]
    for positions in lookups(threshold) if len(active) else ():
        members, run, at = _runs(rows, active, is_open, positions)
        heads = run[at]
        # Each row is compared with the members of its run from the first on, until one is alike: copies cost no square.
        while len(at):
            later, head = members[at], members[heads]
            is_new = first[later] > head
            if rows.colours is not None:
                is_new &= rows.colours[later] != rows.colours[head]
            asked = np.flatnonzero(is_new)
            alike = asked[_alike(rows, later[asked], head[asked], threshold)]
            first[later[alike]] = head[alike]
            heads += 1
            goes_on = heads < at
            goes_on[goes_on] = first[later[goes_on]] > members[heads[goes_on]]
            at, heads = at[goes_on], heads[goes_on]
    first[first == none] = -1
    return first


def _runs(
    rows: Signed, active: Places, is_open: NDArray[np.bool_], positions: tuple[int, ...]
) -> tuple[Places, Places, Places]:
    """Rows with equal values side by side, by precedence; the start of each one's run; those with one before them."""
    keys = mixed(_packed(rows.values[np.ix_(active, np.asarray(positions))])) ^ rows.exact[active]
    by_key = np.argsort(keys, kind="stable").astype(np.int32)
    keys = keys[by_key]
    begins = np.append(True, keys[1:] != keys[:-1])
    starts = np.flatnonzero(begins).astype(np.int32)
    sizes = np.diff(starts, append=np.int32(len(active)))
    members = active[by_key]
    wanted = ~begins & is_open[by_key]
    if rows.colours is not None:
        colours = rows.colours[members]
        wanted &= np.repeat(np.minimum.reduceat(colours, starts) != np.maximum.reduceat(colours, starts), sizes)
    return members, np.repeat(starts, sizes), np.flatnonzero(wanted).astype(np.int32)


def _alike(rows: Signed, some: Places, others: Places, threshold: float) -> NDArray[np.bool_]:
    found = np.zeros(len(some), bool)
    whole, half = needed(threshold, POSITIONS), needed(threshold, HALF)
    for begin in range(0, len(some), _CHUNK):
        one, other = some[begin : begin + _CHUNK], others[begin : begin + _CHUNK]
        equal = (rows.values[one] == rows.values[other]).view(np.uint64)
        left = np.bitwise_count(equal[:, : HALF // 8]).sum(axis=1, dtype=np.int64)
        right = np.bitwise_count(equal[:, HALF // 8 :]).sum(axis=1, dtype=np.int64)
        enough = np.where(rows.texts[one] == 2, np.minimum(left, right) >= half, left + right >= whole)
        found[begin : begin + _CHUNK] = enough & (rows.exact[one] == rows.exact[other])
    return found


def _packed(values: NDArray[np.uint8]) -> Numbers:
    """Up to 8 values of each row as one number."""
    whole = np.zeros((len(values), 8), np.uint8)
    whole[:, : values.shape[1]] = values
    return whole.view(np.uint64)[:, 0]
