"""chrF: how many runs of one to six letters output and reference share."""

from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample
from tunesmith_plugins.evaluators.sacre import sacre


class ChrF(Evaluator):
    """chrF2 (Popović 2015) of the whole test set, by sacrebleu, in [0, 100]; higher is better. Measures `chrf`.

    F-score of runs of 1 to 6 letters, spaces aside, in which recall counts twice as much as precision; computed from
    the counts of all rows together. It needs no words, and so suits languages that inflect or write none. A row whose
    reference is empty is left out.

    Since 0.11.

    Args:
        word_order: Longest run of words that counts too: 0 for chrF, 2 for chrF++ (Popović 2017).
        lowercase: Compare in lower case.
    """

    def __init__(self, word_order: int = 0, lowercase: bool = False) -> None:
        self.word_order = word_order
        self.lowercase = lowercase

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """chrF, and chrF++ without case."""
        return [cls(), cls(word_order=2, lowercase=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Counts of each row; chrF of any rows together.

        Raises:
            RecipeError: Runs of words are shorter than none.
        """
        import sacrebleu

        if self.word_order < 0:
            msg = f"ChrF.word_order is {self.word_order}; it is 0 for letters alone, 2 for chrF++"
            raise RecipeError(msg)
        metric = sacrebleu.CHRF(word_order=self.word_order, lowercase=self.lowercase)
        return [sacre("chrf", metric, 3 * metric.order, samples)]
