"""Levenshtein distance of two sequences, many cells of its table at once."""

from collections.abc import Hashable, Sequence


def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions that make one of the other.

    A column of the table is held as bits of two whole numbers, the steps up and down in it (Myers 1999,
    https://doi.org/10.1145/316542.316550, as Hyyrö 2003 has it for distances): as fast as long numbers are added.
    """
    if len(one) > len(other):
        one, other = other, one
    if not one:
        return len(other)
    places: dict[Hashable, int] = {}
    for at, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << at
    full, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, found = full, 0, len(one)
    for item in other:
        equal = places.get(item, 0)
        across = (((equal & up) + up) ^ up) | equal
        rises, falls = down | (full & ~(across | up)), up & across
        found += bool(rises & last) - bool(falls & last)
        rises, falls = (rises << 1 | 1) & full, falls << 1 & full
        equal |= down
        up, down = falls | (full & ~(equal | rises)), rises & equal
    return found
