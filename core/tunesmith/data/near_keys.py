"""Which positions of signatures are looked up, so that no pair over the threshold is missed."""

from functools import cache
from itertools import combinations
from math import ceil, comb

POSITIONS = 128
HALF = POSITIONS // 2
_MOST_KEYS = 128
_MOST_VALUES = 8  # of 8 bits: a key is a number of 64 bits


def needed(threshold: float, positions: int) -> int:
    """Equal positions that make two signatures alike."""
    return ceil(threshold * positions - 1e-9)


@cache
def lookups(threshold: float) -> tuple[tuple[int, ...], ...]:
    """Sets of positions, of which any two signatures over the threshold have all equal in at least one.

    Two such signatures differ in `misses` positions at most, and so in at most that many bands of `rows` positions. The
    bands that are left are dealt out among fewer groups than there are sets of `size` in them: some group holds `size`
    equal bands (the pigeonhole principle), and each choice of `size` bands of a group is looked up. Plain banding
    (Leskovec et al., section 3.4) is `size` 1; more bands to a key let fewer unlike pairs through.

    Args:
        threshold: Least share of equal positions.

    Returns:
        Positions of each lookup: as many as can be, up to 8, then as few lookups as can be; none where the threshold is
        too low for that.
    """
    misses = POSITIONS - needed(threshold, POSITIONS)
    found: list[tuple[int, int, int, list[range]]] = []
    for rows in range(1, _MOST_VALUES + 1):
        bands = POSITIONS // rows
        if bands > misses:
            found.append((-rows, misses + 1, rows, [range(band, band + 1) for band in range(misses + 1)]))
        for size in range(2, _MOST_VALUES // rows + 1):
            if (groups := (bands - misses - 1) // (size - 1)) > 0:
                dealt = [range(bands * at // groups, bands * (at + 1) // groups) for at in range(groups)]
                found.append((-rows * size, sum(comb(len(group), size) for group in dealt), rows, dealt))
    few = [design for design in found if design[1] <= _MOST_KEYS]
    if not few:
        return ()
    values, _, rows, dealt = min(few, key=lambda design: design[:2])
    return tuple(
        tuple(_stored(band * rows + place) for band in bands_of_key for place in range(rows))
        for group in dealt
        for bands_of_key in combinations(group, -values // rows)
    )


def _stored(position: int) -> int:
    """Signatures of two texts lie one behind the other; each lookup takes from both."""
    return position // 2 + HALF * (position % 2)
