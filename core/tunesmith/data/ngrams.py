"""Runs of words as numbers, for overlap between many texts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 128  # what the caches of a processor hold


def ngram_hashes(texts: Iterable[str], n: int) -> "Iterator[NDArray[np.uint64]]":
    """The runs of `n` words of each text, as numbers of 64 bits that are equal where the words are.

    Words are told apart in Unicode NFKC, without case and punctuation; where a script puts no spaces between words,
    each character is one. The numbers are the same in every run and on every machine.

    Since 0.9.

    Args:
        texts: The texts; read once, as a stream.
        n: Words of a run, 1 to 64.

    Yields:
        The runs of each text, in order; none where it has fewer words.
    """
    import numpy as np

    from tunesmith.data.words import hashed_words, runs

    stream = iter(texts)
    while batch := list(islice(stream, _BATCH)):
        found, counts = runs(*hashed_words(batch), n)
        yield from np.split(found, np.cumsum(counts)[:-1])
