"""From supervised characters of a text to loss weights of its tokens: by offsets, never by lengths (trap 18)."""

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Characters `[start, end)` and their loss weight."""

    start: int
    end: int
    weight: float


def token_weights(text: str, spans: Sequence[Span], offsets: Sequence[tuple[int, int]]) -> list[float]:
    """Loss weight of each token: that of its last character that is not white space, or of its last character.

    So a leading space that merges into a word follows the word, and an end token that swallows the line break after it
    stays an end token. Tokens that share one character (a letter of several bytes) all get its weight. Some tokenizers
    leave white space out of offsets: a token without characters covers what lies between its neighbours.

    Args:
        text: What was tokenised.
        spans: Supervised stretches; all else weighs 0.
        offsets: `[start, end)` of each token, in characters.
    """
    by_character = [0.0] * (len(text) + 1)
    for span in spans:
        by_character[span.start : span.end] = [span.weight] * (span.end - span.start)
    weights, reached = [], 0
    for start, end in offsets:
        begin = start if start < end else min(reached, end)
        piece = text[begin:end].rstrip()
        last = begin + len(piece) - 1 if piece else max(begin, end - 1)
        weights.append(by_character[last])
        reached = max(reached, end)
    return weights


def overlaid(base: Sequence[Span], stretches: Sequence[tuple[int, float]], start: int) -> list[Span]:
    """Where stretches that begin at a character lie within spans, as spans of the product of both weights."""
    found = []
    for length, share in stretches:
        for span in base:
            begin, end = max(start, span.start), min(start + length, span.end)
            if begin < end:
                found.append(Span(begin, end, span.weight * share))
        start += length
    return found


def close_turn(text: str, start: int, end: int, limit: int, ends: Sequence[str]) -> int | None:
    """Where a supervised stretch ends so that its last token ends the turn (trap 12).

    White space after the end token belongs to the next turn's frame. An end token that the template writes just after
    what it marks as generated is taken in.

    Args:
        text: The whole conversation.
        start: First character of the stretch.
        end: Where the template, or the turn, ends it.
        limit: Where the turn ends.
        ends: Tokens that end a turn.

    Returns:
        The new end; None if no end token closes the turn.
    """
    kept = text[start:end].rstrip()
    if any(kept.endswith(token) for token in ends):
        return start + len(kept)
    after = text[start + len(kept) : limit]
    bare = after.lstrip()
    longest = max((len(token) for token in ends if bare.startswith(token)), default=0)
    return start + len(kept) + len(after) - len(bare) + longest if longest else None


def common_prefix(left: str, right: str) -> int:
    """Number of leading characters that two texts share."""
    shortest = min(len(left), len(right))
    if left[:shortest] == right[:shortest]:
        return shortest
    return next(place for place in range(shortest) if left[place] != right[place])
