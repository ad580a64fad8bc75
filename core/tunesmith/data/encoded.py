"""What an objective makes of an example: token ids with a loss weight each."""

from dataclasses import dataclass, replace
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
        share: Share of the tokens with a weight that an epoch learns, at least one: which ones, `Objective.draw` says
            anew for each epoch. Since 0.13.
        targets: What is to be predicted at each place, where that is not what stands there, as of masked tokens; same
            length. Since 0.13.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    truncated: bool = False
    share: float = 1.0
    targets: tuple[int, ...] | None = None

    @property
    def supervised(self) -> int:
        """Number of tokens that an epoch learns: what a token-averaged loss is divided by."""
        number = sum(w != 0 for w in self.weights)
        return number if self.share == 1 else min(number, max(1, round(self.share * number)))

    def pieces(
        self, longest: int, overlap: int = 1, bos: int | None = None, closing: int | None = None
    ) -> "list[Encoded]":
        """Pieces of at most `longest` tokens in which each token is learnt once, as it would be in the whole.

        Every piece but the first begins with tokens of the one before it, which have no weight there: what is new is
        predicted from them. Since 0.13.

        Args:
            longest: Tokens of a piece; more than the overlap and a BOS take.
            overlap: Tokens of the piece before it that a piece begins with, at least one.
            bos: Id that each piece begins with where the whole does.
            closing: Id that each piece ends with where the whole does; its weight is that of the whole's end in the
                last piece, and 0 in others.
        """
        opening = self.ids[:1] if bos is not None and self.ids[:1] == (bos,) else ()
        end = self.ids[-1:] if closing is not None and self.ids[-1:] == (closing,) else ()
        overlap, number = max(1, overlap), len(self.ids) - len(end)
        new = longest - len(opening) - overlap - len(end)
        if new < 1:
            msg = f"pieces of {longest} tokens have no room for what is new behind {longest - new}"
            raise ValueError(msg)
        if len(self.ids) <= longest:
            return [self]
        first = longest - len(end)
        found = []
        for start in (0, *range(first, number, new)):
            stop = min(number, start + new if start else first)
            ids = self.ids[start:stop] if not start else (*opening, *self.ids[start - overlap : stop])
            weights = (0.0,) * (len(ids) - stop + start) + self.weights[start:stop]
            last = self.weights[number:] if stop == number else (0.0,) * len(end)
            found.append(replace(self, ids=(*ids, *end), weights=(*weights, *last)))
        return found
