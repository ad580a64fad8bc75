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

    def pieces(self, longest: int, overlap: int = 1, bos: int | None = None) -> "list[Encoded]":
        """Pieces of at most `longest` tokens in which each token is learnt once, as it would be in the whole.

        Every piece but the first begins with tokens of the one before it, which have no weight there: what is new is
        predicted from them. Since 0.13.

        Args:
            longest: Tokens of a piece; more than the overlap and a BOS take.
            overlap: Tokens of the piece before it that a piece begins with, at least one.
            bos: Id that each piece begins with where the whole does.
        """
        opening = self.ids[:1] if bos is not None and self.ids[:1] == (bos,) else ()
        overlap = max(1, overlap)
        new = longest - len(opening) - overlap
        if new < 1:
            msg = f"pieces of {longest} tokens have no room for what is new behind {len(opening) + overlap}"
            raise ValueError(msg)
        found = [Encoded(self.ids[:longest], self.weights[:longest], self.truncated)]
        for start in range(longest, len(self.ids), new):
            ids = (*opening, *self.ids[start - overlap : start + new])
            context = (0.0,) * (len(opening) + overlap)
            found.append(Encoded(ids, (*context, *self.weights[start : start + new]), self.truncated))
        return found
