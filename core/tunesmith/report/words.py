"""How varied texts are: vocabulary and n-grams, on a sample of stated size so that sets can be compared."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WORD = re.compile(r"\w+(?:['’]\w+)*")  # noqa: RUF001  the apostrophe that word processors write
SAMPLE = 50_000
_OPENING = 3
_SHOWN = 5


@dataclass(frozen=True)
class Diversity:
    """How varied texts are.

    Args:
        texts: Number of texts.
        words: Words looked at: those of the first texts, `SAMPLE` at most.
        vocabulary: Different words among them, in lower case.
        once: Share of the vocabulary that occurs once, in [0, 1].
        distinct: By n (1, 2, 3): different n-grams over all n-grams of the sample, in [0, 1] (distinct-n of Li et al.
            2016, https://arxiv.org/abs/1510.03055). It falls with the sample's size; compare sets of like size.
        entropy: Entropy of the words in bits; `2 ** entropy` equally frequent words would be as varied.
        openings: The most frequent first three words of all texts, with the share of texts that begin so.
    """

    texts: int
    words: int
    vocabulary: int
    once: float
    distinct: dict[int, float]
    entropy: float
    openings: list[tuple[str, float]]


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word.casefold() for word in WORD.findall(text)]


def diversity(texts: Sequence[str]) -> Diversity:
    """Measure texts. Their order decides which are in the sample: shuffle what is sorted."""
    counts: dict[int, Counter[tuple[str, ...]]] = {1: Counter(), 2: Counter(), 3: Counter()}
    for words in _sample(texts):
        for n, counter in counts.items():
            counter.update(zip(*(words[at:] for at in range(n)), strict=False))
    single = counts[1]
    total = single.total()
    opened = Counter(" ".join(words) for text in texts if (words := _opening(text)))
    return Diversity(
        texts=len(texts),
        words=total,
        vocabulary=len(single),
        once=_share(sum(count == 1 for count in single.values()), len(single)),
        distinct={n: _share(len(counter), counter.total()) for n, counter in counts.items()},
        entropy=-sum(count / total * math.log2(count / total) for count in single.values()),
        openings=[(words, count / len(texts)) for words, count in opened.most_common(_SHOWN)],
    )


def covered(texts: Iterable[str], by: Iterable[str]) -> float | None:
    """The share of word occurrences in `texts` whose word occurs in `by` too, in [0, 1]; None without a word."""
    counts = Counter(word for text in texts for word in words_of(text))
    if not counts:
        return None
    known = {word for text in by for word in words_of(text)}
    return sum(count for word, count in counts.items() if word in known) / counts.total()


def _sample(texts: Sequence[str]) -> Iterable[list[str]]:
    left = SAMPLE
    for text in texts:
        words = words_of(text)[:left]
        left -= len(words)
        yield words
        if not left:
            return


def _opening(text: str) -> list[str]:
    return [match[0].casefold() for match, _ in zip(WORD.finditer(text), range(_OPENING), strict=False)]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
