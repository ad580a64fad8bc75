"""PreferenceAccuracy: is the better of two answers the likelier one, and are unwanted answers unlikely?"""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from tunesmith import Evaluator, Measure, Sample


class PreferenceAccuracy(Evaluator):
    """How likely better and worse answers are, of pairs and of rows that say whether their answer is wanted.

    Measures `accuracy` (share of pairs whose better answer is the likelier one; equally likely ones count half),
    `margin` (nats by which it is likelier), `wanted` (nats a token that better and wanted answers cost; lower is
    better), `unwanted` (those of worse and unwanted answers; higher is better). `accuracy` and `margin` are of pairs
    alone. An answer is the last turn of its conversation. It generates nothing: what a model would say by itself is
    for other evaluators.

    Since 0.13.

    Args:
        by_token: Whether the answers of a pair are compared by their mean log-probability rather than by the sum, of
            which long answers have more: as `ipo`, `orpo` and `simpo` learn, and `dpo` does not.
    """

    needs: ClassVar[frozenset[Literal["output", "logprob", "rejected"]]] = frozenset({"logprob", "rejected"})

    def __init__(self, by_token: bool = False) -> None:
        self.by_token = by_token

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By sums and by means."""
        return [cls(), cls(by_token=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """What applies to each row; nan for what does not."""
        margins = [self._margin(sample) for sample in samples]
        wanted = [_nats(s.logprob, s.tokens) if s.label is not False else math.nan for s in samples]
        unwanted = [
            _nats(s.logprob, s.tokens) if s.label is False else _nats(s.rejected, s.rejected_tokens) for s in samples
        ]
        return [
            Measure("accuracy", [_right(margin) for margin in margins]),
            Measure("margin", margins, unit="nats"),
            Measure("wanted", wanted, higher_is_better=False, unit="nats"),
            Measure("unwanted", unwanted, unit="nats"),
        ]

    def _margin(self, sample: Sample) -> float:
        if not (sample.tokens and sample.rejected_tokens):
            return math.nan
        if self.by_token:
            return sample.logprob / sample.tokens - sample.rejected / sample.rejected_tokens
        return sample.logprob - sample.rejected


def _right(margin: float) -> float:
    return math.nan if math.isnan(margin) else 0.5 if margin == 0 else float(margin > 0)


def _nats(logprob: float, tokens: int) -> float:
    """Mean negative log-probability; nan without tokens."""
    return -logprob / tokens if tokens else math.nan
