"""What an objective makes of an example: token ids with a loss weight each."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["token", "example", "pair", "step"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence to train on.

    Since 0.1.

    Args:
        ids: Token ids, special tokens included.
        weights: Loss weight of *predicting* each token from those before it; same length, the first is always 0.
        truncated: Whether tokens were cut off to fit `data.max_length`.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    truncated: bool = False

    @property
    def supervised(self) -> int:
        """Number of tokens with a loss weight: what a token-averaged loss is divided by."""
        return sum(w != 0 for w in self.weights)
