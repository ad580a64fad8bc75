"""TokenF1: which words of the reference the output has, and which it has beside them."""

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, Sample

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TokenF1(Evaluator):
    """Words that output and reference share, as SQuAD counts them (Rajpurkar et al. 2016), in [0, 1]; higher is better.

    Measures `f1`, `precision` (of the output's words, those that the reference has) and `recall` (of the reference's,
    those that the output has), each the mean over rows. Words are compared in lower case, without punctuation, their
    order aside. A row whose reference has no word is left out.

    Since 0.11.

    Args:
        articles: Count the English articles; SQuAD does not.
    """

    def __init__(self, articles: bool = False) -> None:
        self.articles = articles

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Without articles, and with them."""
        return [cls(), cls(articles=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """The three of each row; nan for a reference without words."""
        found = [self._compare(self._words(s.output), self._words(s.reference)) for s in samples]
        names = ("f1", "precision", "recall")
        return [Measure(name, [row[at] for row in found]) for at, name in enumerate(names)]

    def _words(self, text: str) -> Counter[str]:
        bare = text.lower().translate(_PUNCTUATION)
        return Counter((bare if self.articles else _ARTICLES.sub(" ", bare)).split())

    @staticmethod
    def _compare(output: Counter[str], reference: Counter[str]) -> tuple[float, float, float]:
        if not reference:
            return math.nan, math.nan, math.nan
        shared = (output & reference).total()
        if not shared:
            return 0.0, 0.0, 0.0
        precision, recall = shared / output.total(), shared / reference.total()
        return 2 * precision * recall / (precision + recall), precision, recall
