"""Cutting a sequence to the longest that is allowed: never a fake end token, never a row without a label."""

from dataclasses import replace
from typing import Literal

from tunesmith.data.encoded import Encoded

Truncation = Literal["right", "left", "drop"]


def cut_right(sequence: Encoded, longest: int, closing: int | None = None) -> Encoded:
    """Keep the first `longest` tokens. The end token goes with the end and is not put back (trap 16).

    Args:
        sequence: What is cut.
        longest: Tokens at most.
        closing: Id that a sequence ends with however long it was: a mark of encoders, which ends no answer.
    """
    if len(sequence.ids) <= longest:
        return sequence
    kept = int(closing is not None and sequence.ids[-1:] == (closing,))
    end = len(sequence.ids) - kept
    ids = sequence.ids[: longest - kept] + sequence.ids[end:]
    weights = sequence.weights[: longest - kept] + sequence.weights[end:]
    return replace(sequence, ids=ids, weights=weights, truncated=True)


def spare_left(sequence: Encoded) -> int:
    """Prompt tokens that may go from the front.

    One token stays before the first supervised one, because a token is predicted from those before it; where the
    sequence begins with BOS that token is BOS.
    """
    first = next((place for place, weight in enumerate(sequence.weights) if weight != 0), len(sequence.ids))
    return max(0, first - 1)


def cut_left(sequence: Encoded, number: int, bos: int | None) -> Encoded:
    """Remove `number` tokens from the front, after BOS if the sequence begins with it."""
    if number <= 0:
        return sequence
    keep = int(bos is not None and sequence.ids[:1] == (bos,))
    ids = sequence.ids[:keep] + sequence.ids[keep + number :]
    weights = sequence.weights[:keep] + sequence.weights[keep + number :]
    return replace(sequence, ids=ids, weights=weights, truncated=True)


def truncate(
    sequences: tuple[Encoded, ...],
    longest: int,
    policy: Truncation,
    bos: int | None = None,
    closing: int | None = None,
) -> tuple[Encoded, ...] | None:
    """Bring every sequence of a row to at most `longest` tokens.

    `right` cuts the end. `left` cuts prompt tokens from the front, the same number of both sequences of a pair, so
    that their prompts stay equal, and the end only of what is still too long. `drop` gives up the row.

    Args:
        sequences: One sequence, or the two of a pair.
        longest: Tokens a sequence at most.
        policy: What to cut.
        bos: Id that stays at the front of a sequence that begins with it.
        closing: Id that stays at the end of a sequence that ends with it.

    Returns:
        The sequences, flagged where they were cut; None if the policy drops the row.
    """
    excess = max((len(sequence.ids) - longest for sequence in sequences), default=0)
    if excess <= 0:
        return sequences
    if policy == "drop":
        return None
    if policy == "left":
        number = min(excess, *(spare_left(sequence) for sequence in sequences))
        sequences = tuple(cut_left(sequence, number, bos) for sequence in sequences)
    return tuple(cut_right(sequence, longest, closing) for sequence in sequences)
