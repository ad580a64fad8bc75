"""BLEU: how many runs of one to four words of the outputs stand in their references."""

from collections.abc import Sequence
from typing import Literal, Self

from tunesmith import Evaluator, Measure, Sample
from tunesmith_plugins.evaluators.sacre import sacre


class BLEU(Evaluator):
    """BLEU (Papineni et al. 2002) of the whole test set, by sacrebleu, in [0, 100]; higher is better.

    Measures `bleu`: the number that `sacrebleu` gives, from the counts of all rows together (one reference, smoothing
    `exp`). The values of single rows, with which rows are compared, leave out the lengths that a row has no run of
    (`effective_order`). A row whose reference is empty is left out.

    Since 0.11.

    Args:
        lowercase: Compare in lower case.
        tokenize: How words are told apart: `13a` as the mteval script does, `intl` by Unicode's punctuation, `zh` for
            Chinese, `char` by characters, `none` at spaces alone.
    """

    def __init__(self, lowercase: bool = False, tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a") -> None:
        self.lowercase = lowercase
        self.tokenize = tokenize

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As published numbers are, and by characters without case."""
        return [cls(), cls(lowercase=True, tokenize="char")]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Counts of each row; BLEU of any rows together."""
        import sacrebleu

        whole, single = (
            sacrebleu.BLEU(lowercase=self.lowercase, tokenize=self.tokenize, force=True, effective_order=one)
            for one in (False, True)
        )
        return [sacre("bleu", whole, 2 + 2 * whole.max_ngram_order, samples, of_rows=single)]
