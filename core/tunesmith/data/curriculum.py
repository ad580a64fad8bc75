"""From simple to complex: the order of an epoch's rows by their difficulty, let in by a pacing function.

Bengio et al. 2009; the pacing functions are the competence of Platanios et al. 2019 (arXiv:1903.09848), with every row
drawn once an epoch nevertheless, so that an epoch is what it is without a curriculum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.errors import RecipeError

LOSS, LENGTH = "loss", "length"
Pacing = Literal["linear", "root", "step"]


@dataclass
class Curriculum:
    """Which rows come first.

    A row is drawn at random among those that are let in and were not drawn in this epoch yet: the easiest `start` of
    all at first, and all at the end of the last epoch that is ordered. Where all that are let in were drawn, the next
    easiest is let in.

    Args:
        by: What makes a row difficult: `length` (its tokens), `loss` (the objective's mean loss under the base, which
            `fit` measures before it trains), or a column of numbers.
        pacing: How the share that is let in grows with the time t, 0 to 1, from c = start: `linear`, c + (1 - c) t;
            `root`, (c^2 + (1 - c^2) t)^0.5, as many new rows for each at hand; `step`, in `steps` steps alike.
        start: Share that is let in first, above 0, at most 1.
        epochs: Epochs that are ordered; all after them are shuffled.
        steps: Of pacing `step`.
        hardest_first: Whether the most difficult come first.
    """

    by: str = LENGTH
    pacing: Pacing = "root"
    start: float = 0.2
    epochs: int = 1
    steps: int = 5
    hardest_first: bool = False

    def check(self) -> None:
        """Raise RecipeError where a number is out of its bounds, or read by nothing."""
        if not 0 < self.start <= 1:
            msg = f"data.curriculum.start is {self.start}; a share above 0, at most 1"
            raise RecipeError(msg)
        for name, least in (("epochs", 1), ("steps", 2)):
            if getattr(self, name) < least:
                msg = f"data.curriculum.{name} is {getattr(self, name)}; {least} or more"
                raise RecipeError(msg)
        if self.steps != Curriculum.steps and self.pacing != "step":
            msg = f"data.curriculum.steps is {self.steps}, and pacing {self.pacing} has none; leave it out"
            raise RecipeError(msg)

    def share(self, time: float) -> float:
        """Share of the rows that is let in.

        Args:
            time: 0 at the beginning, 1 at the end of the last epoch that is ordered.
        """
        start = self.start
        if self.pacing == "linear":
            return start + (1 - start) * time
        if self.pacing == "root":
            return math.sqrt(start**2 + (1 - start**2) * time)
        return start + (1 - start) * min(1.0, math.floor(time * self.steps + 1e-9) / (self.steps - 1))


@dataclass(frozen=True, eq=False)
class Order:
    """A curriculum over rows whose difficulty is known.

    Args:
        curriculum: What the recipe says.
        difficulty: Of each row, `[rows]`.
    """

    curriculum: Curriculum
    difficulty: NDArray[np.float64]

    def active(self, epoch: int) -> bool:
        """Whether an epoch is ordered."""
        return epoch < self.curriculum.epochs

    def of(self, shuffled: Sequence[int], epoch: int, generator: np.random.Generator) -> list[int]:
        """The rows of an ordered epoch in their order.

        Args:
            shuffled: Its rows in random order, a row as often as it is drawn.
            epoch: Which.
            generator: Draws.
        """
        sign = -1 if self.curriculum.hardest_first else 1
        rows = np.asarray(shuffled, np.int64)
        # rows of one difficulty stay in their random order
        waiting = rows[np.argsort(sign * self.difficulty[rows], kind="stable")].tolist()
        chances = generator.random(len(waiting)).tolist()
        inside: list[int] = []
        found: list[int] = []
        for at, chance in enumerate(chances):
            time = (epoch + at / len(waiting)) / self.curriculum.epochs
            let_in = max(at + 1, math.ceil(self.curriculum.share(time) * len(waiting) - 1e-9))
            inside += waiting[len(inside) + at : let_in]
            chosen = int(chance * len(inside))
            inside[chosen], inside[-1] = inside[-1], inside[chosen]
            found.append(inside.pop())
        return found

    @cached_property
    def digest(self) -> int:
        """Of all that decides the order, beside the seed."""
        total = sha256(repr(self.curriculum).encode() + self.difficulty.astype("<f8").tobytes())
        return int.from_bytes(total.digest()[:7], "big")
