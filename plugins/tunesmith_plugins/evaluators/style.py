"""Style: how far an output is from the voice of a reference corpus."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_GRAM = 3
_FEWEST = 5
_TRIAL = Path(__file__).with_name("style_trial.txt")

Numbers = Any
"""A numpy array of float64."""


class Style(Evaluator):
    """Distance of outputs to a corpus of the house voice: Burrows's Delta; lower is nearer. Measures `delta`.

    Delta (Burrows 2002, "Delta: a measure of stylistic difference and a guide to likely authorship") takes the most
    frequent words of the corpus, which are mostly function words and so say little of the subject; for each, how many
    standard deviations its share of the output's words lies from its mean share in the corpus's texts; and of these the
    mean. With `by: characters` it does the same with runs of three letters, spaces and signs among them, which see
    punctuation and endings of words too.

    A text of the corpus itself is less than 1 away (a note gives the mean of its texts). Shares in a short text scatter
    more, so that it is farther away whoever wrote it: the corpus's texts should be about as long as the outputs, and
    only models that answer the same prompts at like length can be compared. Case does not count for words. An output
    without words has no value.

    Since 0.12.

    Args:
        reference: A text file of the house voice, in UTF-8: texts apart by empty lines, five or more, better fifty.
        by: `words`, or `characters`.
        features: How many of the most frequent words or runs are looked at.
    """

    def __init__(self, reference: Path, by: Literal["words", "characters"] = "words", features: int = 100) -> None:
        self.reference = reference
        self.by = by
        self.features = features

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by runs of letters."""
        return [cls(_TRIAL), cls(_TRIAL, by="characters", features=30)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Delta of each output.

        Raises:
            RecipeError: The corpus cannot be read or is too small, or no features are asked for.
        """
        voice = self._voice()
        values = [voice.delta(_counted(sample.output, self.by)) for sample in samples]
        note = f"the {voice.texts} texts of the reference are {voice.own:.2f} from their own mean"
        return [Measure("delta", values, higher_is_better=False, note=note if samples else "")]

    def _voice(self) -> "_Voice":
        import numpy as np

        if self.features < 1:
            msg = f"Style.features is {self.features}; look at one word or more, better a hundred"
            raise RecipeError(msg)
        try:
            text = self.reference.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            msg = f"Style.reference is {self.reference}, which cannot be read as text: {error}"
            raise RecipeError(msg) from error
        counts = [counted for part in re.split(r"\n\s*\n", text) if (counted := _counted(part, self.by))]
        if len(counts) < _FEWEST:
            msg = (
                f"Style.reference is {self.reference}, which holds {len(counts)} texts; "
                f"give {_FEWEST} or more, with empty lines between them"
            )
            raise RecipeError(msg)
        totals: Counter[str] = sum(counts, Counter())
        known = sorted(totals, key=lambda item: (-totals[item], item))
        shares = np.array([[one[item] / one.total() for item in known[: self.features]] for one in counts])
        deviations = shares.std(axis=0, ddof=1)
        # what is equally frequent in all texts has no scale; its deviation may be a rounding error above 0
        varied = np.ptp(shares, axis=0) > 0
        if not varied.any():
            msg = f"Style.reference is {self.reference}, whose texts are all alike; give texts that differ"
            raise RecipeError(msg)
        items = [item for item, is_varied in zip(known, varied.tolist(), strict=False) if is_varied]
        means, deviations = shares.mean(axis=0)[varied], deviations[varied]
        own = float(np.abs((shares[:, varied] - means) / deviations).mean())
        return _Voice(items, means, deviations, len(counts), own)


class _Voice(NamedTuple):
    """The corpus: what is looked at, how frequent it is, and how much that scatters."""

    items: list[str]
    means: Numbers
    deviations: Numbers
    texts: int
    own: float

    def delta(self, counts: Counter[str]) -> float:
        """The mean of the distances in standard deviations; nan for a text with nothing in it."""
        import numpy as np

        if not counts:
            return math.nan
        shares = np.array([counts[item] for item in self.items]) / counts.total()
        return float(np.abs((shares - self.means) / self.deviations).mean())


def _counted(text: str, by: str) -> Counter[str]:
    if by == "words":
        return Counter(word.replace("\u2019", "'") for word in _WORD.findall(text.lower()))
    plain = " ".join(text.split())
    return Counter(plain[at : at + _GRAM] for at in range(len(plain) - _GRAM + 1)) if _WORD.search(plain) else Counter()
