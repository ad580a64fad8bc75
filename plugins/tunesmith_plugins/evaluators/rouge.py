"""ROUGE: how many words and word pairs output and reference share, and their longest common subsequence."""

import math
import random
from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, Sample
from tunesmith_plugins.evaluators.english import split_sentences

_NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class ROUGE(Evaluator):
    """F1 of ROUGE-1, -2, -L and -Lsum (Lin, 2004) by Google's `rouge-score`, in [0, 1]; higher is better.

    Measures `rouge1`, `rouge2`, `rougeL`, and `rougeLsum`, which takes the longest common subsequences sentence by
    sentence and joins them: what papers on summaries mostly give. Sentences are lines where a text has several, else
    its parts up to full stops, question and exclamation marks (but for abbreviations and numbers). Words are runs of a
    to z and 0 to 9 in lower case, as in the original: a reference without any (empty, or in another script) is left out
    and not scored as 0.

    Since 0.1.

    Args:
        stem: Compare word stems (Porter) of words longer than three letters.
    """

    def __init__(self, stem: bool = False) -> None:
        self.stem = stem

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Whole words, and stems."""
        return [cls(), cls(stem=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Scores of each output against its reference; nan for a reference without words."""
        state = random.getstate()  # which the import of nltk moves
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        random.setstate(state)
        tokenizer = DefaultTokenizer(self.stem)
        scorer = RougeScorer(list(_NAMES), tokenizer=tokenizer)
        values: dict[str, list[float]] = {name: [] for name in _NAMES}
        for sample in samples:
            worded = bool(tokenizer.tokenize(sample.reference))
            scores = scorer.score(_lined(sample.reference), _lined(sample.output)) if worded else None
            for name in _NAMES:
                values[name].append(float(scores[name].fmeasure) if scores else math.nan)
        return [Measure(name, values[name], higher_is_better=True) for name in _NAMES]


def _lined(text: str) -> str:
    """A text with a sentence a line, which is all that `rouge-score` reads of lines, and for rougeLsum alone."""
    return text if "\n" in text.strip() else "\n".join(split_sentences(text))
