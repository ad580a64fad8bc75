"""Weights of stretches of a turn, as numbers of characters: they hold no text, and go with it when it changes."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

Stretches = tuple[tuple[int, float], ...]
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def stretches(weights: Iterable[float]) -> Stretches:
    """The weights of characters, as stretches that weigh alike."""
    return tuple((len(list(run)), weight) for weight, run in groupby(weights))


def by_character(spans: Stretches) -> list[float]:
    """The weight of each character."""
    return [weight for length, weight in spans for _ in range(length)]


def moved(spans: Stretches, old: str, new: str) -> Stretches:
    """The stretches of a text that became another.

    Words that stay keep their weight. What takes the place of others weighs as the last character that went; what
    stands between others as the character before it, or behind it at the beginning.
    """
    if not spans or not new:
        return ()
    weights = by_character(spans)
    if len(weights) != len(old):
        return spans  # of another text already: the renderer refuses them
    found: list[float] = []
    one, other = _WORDS.findall(old), _WORDS.findall(new)
    starts, begins = _starts(map(len, one)), _starts(map(len, other))
    for what, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        first, last = starts[a], starts[b]
        if what == "equal":
            found += weights[first:last]
        else:
            found += [weights[max(0, last - 1)]] * (begins[d] - begins[c])
    return stretches(found)


def detail(spans: Stretches) -> list[dict[str, Any]]:
    """The stretches as the parts of a turn that `train_detail` lists, whose last character is part of them."""
    places = _starts([length for length, _ in spans])
    return [
        {"begin_offset": begin, "end_offset": begin + length - 1, "weight": weight}
        for begin, (length, weight) in zip(places, spans, strict=False)
    ]


def _starts(lengths: Iterable[int]) -> list[int]:
    """Where each piece begins, and where the last one ends."""
    places = [0]
    for length in lengths:
        places.append(places[-1] + length)
    return places
