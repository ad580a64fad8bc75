"""What of a row an epoch learns, where an objective draws it: as many tokens every time, by seed, epoch and row."""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.plugins.interfaces import Objective, Renderer


@dataclass(frozen=True)
class Drawing:
    """Draws rows; the same row of the same epoch is drawn alike, whatever it is batched with.

    Args:
        objective: Says how.
        renderer: Text to token ids.
        seed: The recipe's.
    """

    objective: Objective
    renderer: Renderer
    seed: int

    def __call__(self, row: EncodedRow, epoch: int) -> EncodedRow:
        """The row as an epoch learns it."""
        return replace(row, sequences=tuple(self._drawn(row, sequence, epoch) for sequence in row.sequences))

    def _drawn(self, row: EncodedRow, sequence: Encoded, epoch: int) -> Encoded:
        # by its tokens too: pieces of one text have one id
        name = sha256(repr((row.example.id, sequence.ids)).encode()).digest()
        random = np.random.Generator(np.random.PCG64([self.seed, epoch, int.from_bytes(name[:8], "big")]))
        drawn = self.objective.draw(sequence, self.renderer, random)
        if drawn.supervised != sequence.supervised or len(drawn.ids) != len(sequence.ids):
            what = f"{drawn.supervised} of {len(drawn.ids)} tokens to learn of row {row.example.id}"
            msg = f"{type(self.objective).__name__} draws {what}, not {sequence.supervised} of {len(sequence.ids)}"
            raise ValueError(msg)
        return drawn


def drawing(objective: Objective, renderer: Renderer, seed: int) -> Drawing | None:
    """What draws an objective's rows; None where it learns each row alike in every epoch."""
    return None if type(objective).draw is Objective.draw else Drawing(objective, renderer, seed)
