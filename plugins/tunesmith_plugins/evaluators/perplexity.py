"""Perplexity: how much the references surprise the model."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from tunesmith import Evaluator, Measure, Sample
from tunesmith_plugins.evaluators.summed import summed


class Perplexity(Evaluator):
    """Exponential of the mean negative log-probability of the references' tokens; 1 is perfect, lower is better.

    Measures `perplexity`: of all tokens of all references together, so that each token counts the same, whatever the
    length of its row. It generates nothing. Only models with the same tokenizer can be compared by it.

    Since 0.1.
    """

    needs: ClassVar[frozenset[Literal["output", "logprob"]]] = frozenset({"logprob"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Perplexity of each reference (nan without tokens), and of any selection of them together."""
        import numpy as np

        counts = [(-s.logprob, s.tokens) if s.tokens > 0 else (math.nan, math.nan) for s in samples]
        sums = np.array(counts, dtype=np.float64).reshape(-1, 2)
        return [summed("perplexity", sums, lambda of: _perplexity(of[0], of[1]), higher_is_better=False)]


def _perplexity(nats: float, tokens: float) -> float:
    try:
        return math.exp(nats / tokens)
    except OverflowError:
        return math.inf
