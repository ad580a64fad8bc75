"""The word embedding association test, on words of the lexicon and a model in a local folder."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith_plugins.audits.word_forms import forms, slots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_DRAWS = 9999


@dataclass(frozen=True)
class Weat:
    """One test: the attributes, the effect size d, and its two-sided p-value; 0 and 1 where words are unknown."""

    name: str
    effect: float
    p: float


def vectors_of(model: Path) -> "Callable[[Sequence[str]], Vectors]":
    """What makes unit vectors `[words, width]` of entries of a lexicon, those that the model does not know left out."""
    from tunesmith_plugins.curators.embedding.encode import encoder

    encode = encoder(model)

    def vectors(entries: Sequence[str]) -> "Vectors":
        found = encode([form for entry in entries if not slots(entry) for form in forms(entry)])
        known: Vectors = found[abs(found).sum(1) > 0]
        return known

    return vectors


def weat(name: str, sides: "Sequence[Vectors]", seed: int = 0) -> Weat:
    """How much nearer the first group is to the first attribute than the second group (Caliskan et al. 2017).

    s(w) is the mean cosine of w with the first attribute's words less that with the second's. The effect size d is the
    difference of the groups' means of s over the standard deviation (n - 1) of s over both. The p-value is the share of
    9,999 random splits of the words into groups of these sizes, and of the split itself, whose difference is as large.

    Args:
        name: Of the test.
        sides: Unit vectors of the two groups and the two attributes, `[words, width]` each.
        seed: Of the splits.
    """
    import numpy as np

    first, second, one, other = sides
    if min(len(side) for side in sides) < 2:
        return Weat(name, 0.0, 1.0)
    words = np.concatenate([first, second]).astype(np.float64)
    s = (words @ one.T.astype(np.float64)).mean(1) - (words @ other.T.astype(np.float64)).mean(1)
    spread, n = float(s.std(ddof=1)), len(first)
    if spread < 1e-12:
        return Weat(name, 0.0, 1.0)

    def gap(values: "NDArray[np.float64]") -> float:
        return float(values[:n].mean() - values[n:].mean())

    drawn = np.random.default_rng(random.Random(seed).getrandbits(32))  # noqa: S311  not for secrets
    seen = gap(s)
    as_large = sum(abs(gap(drawn.permutation(s))) >= abs(seen) - 1e-12 for _ in range(_DRAWS))
    return Weat(name, seen / spread, (as_large + 1) / (_DRAWS + 1))
