"""Readability: how many years of school an English answer asks of its reader."""

import math
from collections.abc import Sequence
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample
from tunesmith_plugins.evaluators.english import sentences, syllables, words


class Readability(Evaluator):
    """How easily an English output is read, by three formulas, each the mean over outputs.

    Measures `grade` (Flesch-Kincaid grade level, Kincaid et al. 1975: 0.39 words a sentence + 11.8 syllables a word -
    15.59; years of school, lower is easier), `ease` (Flesch reading ease, Flesch 1948: 206.835 - 1.015 words a sentence
    - 84.6 syllables a word; 60 to 70 is plain English, higher is easier), `fog` (Gunning fog, Gunning 1952: 0.4 (words
    a sentence + percent of words of three syllables or more); lower is easier), `in_band` (share of outputs whose grade
    lies in `band`). Bound a grade from both sides with `between`. Syllables are counted by rules, a few rare
    terms wrongly; numbers are no words; a line ends a sentence. An output without words is left out, and outside of
    the band.

    Since 0.11.

    Args:
        band: Lowest and highest grade that is wanted: [6, 9] for patients.
    """

    def __init__(self, band: list[float] | None = None) -> None:
        self.band = band

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Without a band, and with one."""
        return [cls(), cls(band=[6.0, 9.0])]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """The three of each output; nan for one without words.

        Raises:
            RecipeError: The band is none.
        """
        if self.band is not None and (len(self.band) != 2 or not self.band[0] <= self.band[1]):
            msg = f"Readability.band is {self.band}; give two grades, the lower one first: [6, 9]"
            raise RecipeError(msg)
        found = [_formulas(sample.output) for sample in samples]
        grade, ease, fog = ([row[at] for row in found] for at in range(3))
        measures = [
            Measure("grade", grade, higher_is_better=False),
            Measure("ease", ease),
            Measure("fog", fog, higher_is_better=False),
        ]
        if self.band is not None:
            low, high = self.band
            measures.append(Measure("in_band", [float(low <= value <= high) for value in grade]))
        return measures


def _formulas(text: str) -> tuple[float, float, float]:
    """Grade, ease and fog."""
    spoken = [syllables(word) for word in words(text)]
    if not spoken:
        return math.nan, math.nan, math.nan
    length, heavy = len(spoken) / sentences(text), sum(spoken) / len(spoken)
    hard = sum(number >= 3 for number in spoken) / len(spoken)
    return 0.39 * length + 11.8 * heavy - 15.59, 206.835 - 1.015 * length - 84.6 * heavy, 0.4 * (length + 100 * hard)
