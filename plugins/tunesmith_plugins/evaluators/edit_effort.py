"""EditEffort: how much of a draft an editor has to change to get the reference."""

import math
from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample
from tunesmith_plugins.evaluators.edits import distance
from tunesmith_plugins.evaluators.summed import Statistics, summed


class EditEffort(Evaluator):
    """Edits that make the reference of an output, word by word: what an editor would have to do at least.

    Measures `word_rate`, the fewest words to insert, delete or replace (Levenshtein 1966), divided by the words of the
    reference, of all rows together (word error rate; lower is better, and more than 1 where an output is far too long);
    `no_edits` and `at_most_light_edits`, the shares of rows whose own rate is at most `none` and at most `light`
    (higher is better), and `heavy_edits`, that of the others; with `characters`, also `character_rate`, the same by
    letter. Words are what white space parts, with their punctuation and capitals, which editors mend too; a passage
    that is moved counts as deleted and inserted. A row with an empty reference is left out.

    Since 0.12.

    Args:
        none: Highest word rate of a row that can stay as it is.
        light: Highest word rate of a row that needs light edits.
        characters: Measure letters too.
    """

    def __init__(self, none: float = 0.0, light: float = 0.3, characters: bool = False) -> None:
        self.none = none
        self.light = light
        self.characters = characters

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Words, and letters with other bounds."""
        return [cls(), cls(none=0.05, light=0.5, characters=True)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Edits of each row; the rate of any rows together.

        Raises:
            RecipeError: The bounds are none.
        """
        import numpy as np

        if not 0 <= self.none <= self.light < math.inf:
            msg = f"EditEffort.none is {self.none} and light {self.light}; give 0 or more, and light the larger one"
            raise RecipeError(msg)

        def counted(parts: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Statistics:
            rows = [(distance(*pair), len(pair[1])) if pair[1] else (math.nan, math.nan) for pair in parts]
            return np.array(rows, dtype=np.float64).reshape(-1, 2)

        words = summed(
            "word_rate",
            counted([(sample.output.split(), sample.reference.split()) for sample in samples]),
            lambda of: float(of[0] / of[1]),
            higher_is_better=False,
        )
        bounds = {
            "no_edits": (-1.0, self.none),
            "at_most_light_edits": (-1.0, self.light),
            "heavy_edits": (self.light, math.inf),
        }
        found = [words]
        for name, (above, most) in bounds.items():
            shares = [math.nan if math.isnan(rate) else float(above < rate <= most) for rate in words.values]
            found.append(Measure(name, shares, higher_is_better=name != "heavy_edits"))
        if self.characters:
            texts = [(sample.output, sample.reference if sample.reference.split() else "") for sample in samples]
            letters = counted(texts)
            found.append(summed("character_rate", letters, lambda of: float(of[0] / of[1]), higher_is_better=False))
        return found
