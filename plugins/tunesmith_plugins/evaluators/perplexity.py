"""Perplexity: how much the references surprise the model."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from tunesmith import Evaluator, Measure, Sample


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

        scored = [s.tokens > 0 and not math.isnan(s.logprob) for s in samples]
        nats = np.array([-s.logprob if ok else 0.0 for s, ok in zip(samples, scored, strict=True)], dtype=np.float64)
        tokens = np.array([s.tokens if ok else 0 for s, ok in zip(samples, scored, strict=True)], dtype=np.int64)

        def together(indices: Sequence[int]) -> float:
            rows = np.fromiter(indices, dtype=np.int64)
            return _perplexity(float(nats[rows].sum()), int(tokens[rows].sum()))

        values = [_perplexity(float(n), int(t)) for n, t in zip(nats, tokens, strict=True)]
        return [Measure("perplexity", values, higher_is_better=False, corpus=together)]


def _perplexity(nats: float, tokens: int) -> float:
    if tokens == 0:
        return math.nan
    try:
        return math.exp(nats / tokens)
    except OverflowError:
        return math.inf
