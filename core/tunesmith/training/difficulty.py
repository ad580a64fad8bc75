"""How difficult each row is for the base: its mean loss before any training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.training.ledger import count
from tunesmith.training.modes import evaluating
from tunesmith.training.specialist import Specialist


def base_losses(model: Specialist, rows: Sequence[EncodedRow], done: Callable[[int], None]) -> NDArray[np.float64]:
    """The objective's loss of each row by itself, a mean over its own units.

    Args:
        model: Loaded, not trained yet: an adapter that cannot be switched off has changed nothing.
        rows: Encoded rows.
        done: Is told after each row how many are done.

    Returns:
        `[rows]`.
    """
    found = np.zeros(len(rows))
    with torch.no_grad(), evaluating(model.network), model.adapter.without(model.network):
        for at, row in enumerate(rows):
            batch = collate([row]).to(model.device)
            term = model.objective.loss(model.passes(batch, perturbed=False))
            found[at] = float(term.sum) / max(1, count(batch, term.unit))
            done(at + 1)
    return found
