"""Which tokens of a text are which of its counterfactual."""

from collections.abc import Sequence
from difflib import SequenceMatcher


def aligned(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """Places of tokens that two texts share, in order; those that differ are in none.

    What both begin and end with is matched token by token, and of what lies between the longest common stretches
    (Ratcliff, Metzener 1988, as `difflib` does).

    Args:
        one: Token ids of a text.
        other: Those of nearly the same text.
    """
    shortest = min(len(one), len(other))
    head = next((at for at in range(shortest) if one[at] != other[at]), shortest)
    rest = shortest - head
    tail = next((at for at in range(rest) if one[-1 - at] != other[-1 - at]), rest)
    ends = len(one) - tail, len(other) - tail
    between = SequenceMatcher(None, one[head : ends[0]], other[head : ends[1]], autojunk=False).get_matching_blocks()
    found = [(at, at) for at in range(head)]
    found += [(head + m.a + at, head + m.b + at) for m in between for at in range(m.size)]
    return found + [(ends[0] + at, ends[1] + at) for at in range(tail)]
