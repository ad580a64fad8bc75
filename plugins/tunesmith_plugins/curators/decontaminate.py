"""Decontaminate: no training row that holds text of an evaluation set."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Curator, Example, RecipeError, Record, ngram_hashes, read_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COMMON = 10
_BATCH = 256


class Decontaminate(Curator):
    """Drops training rows that hold text of the recipe's validation and test rows, or of benchmarks in files.

    A training row is dropped where its turns hold at least one run of `n` words of an evaluation text, and at least
    `share` of all its runs. Runs of 13 words are those of GPT-3 (Brown et al. 2020, appendix C), which removed what
    held one: `share: 0`. Half of a text is what Cosmopedia asks of its benchmarks; less would drop rows for a phrase.

    An evaluation text is a turn of a held-out row that is no system turn, or a text in a row of a file, whatever its
    column. Texts of fewer than `n` words are not looked for. Runs that stand in more than 10 evaluation texts are not
    counted: they belong to the template of the prompts. Case and punctuation make no difference.

    Since 0.9.

    Args:
        against: Files of evaluation sets, beside the recipe's own held-out rows; relative to the recipe.
        n: Words of a run, 1 to 64.
        share: Share of the runs of an evaluation text that a row holds to be dropped, 0 to 1.
    """

    scope = "train"

    def __init__(self, against: list[Path] | None = None, n: int = 13, share: float = 0.5) -> None:
        self.against = against
        self.n = n
        self.share = share

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As GPT-3's, and one that looks for short runs."""
        return [cls(share=0.0), cls(n=3)]

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on what holds no evaluation text."""
        if not 1 <= self.n <= 64 or not 0 <= self.share <= 1:
            msg = f"n is {self.n} and share {self.share:g}; n lies between 1 and 64, share between 0 and 1"
            raise RecipeError(msg)
        sets = {"overlaps with a held-out row": _Runs(_texts_of_held_out(record), self.n)}
        sets["overlaps with a benchmark"] = _Runs(_texts_of_files(self.against or []), self.n)
        stream = iter(examples)
        while batch := list(islice(stream, _BATCH)):
            runs = ngram_hashes(("\n".join(example.texts()) for example in batch), self.n)
            for example, held in zip(batch, runs, strict=True):
                reason = next((reason for reason, its in sets.items() if its.overlap(held, self.share)), "")
                if reason:
                    record.drop(example, reason)
                else:
                    yield example


class _Runs:
    """The runs of words of evaluation texts."""

    def __init__(self, texts: Iterable[str], n: int) -> None:
        import numpy as np

        each = [np.unique(runs) for runs in ngram_hashes(texts, n)]
        runs = np.concatenate([np.zeros(0, np.uint64), *each])
        text = np.repeat(np.arange(len(each)), [len(its) for its in each])
        order = np.argsort(runs, kind="stable")
        runs, text = runs[order], text[order]
        _, where, counts = np.unique(runs, return_inverse=True, return_counts=True)
        rare = counts[where] <= _COMMON
        self._runs, self._text = runs[rare], text[rare]
        self._sizes = np.bincount(self._text, minlength=len(each))

    def overlap(self, runs: "NDArray[np.uint64]", share: float) -> bool:
        """Whether these runs of a row are enough of any one text."""
        import numpy as np

        if not len(self._runs) or not len(runs):
            return False
        runs = np.unique(runs)
        first, last = (np.searchsorted(self._runs, runs, side) for side in ("left", "right"))
        held = np.flatnonzero(last > first)
        if not len(held):
            return False
        texts = np.concatenate([self._text[first[at] : last[at]] for at in held])
        counts = np.bincount(texts, minlength=len(self._sizes))
        found = counts > 0
        return bool((counts[found] >= share * self._sizes[found]).any())


def _texts_of_held_out(record: Record) -> Iterator[str]:
    """The texts of held-out rows, turn by turn."""
    for example in record.held_out:
        turns = (*example.messages, *example.chosen, *example.rejected)
        yield from (turn.content for turn in turns if turn.role != "system")
        if example.segments:
            yield "".join(segment.text for segment in example.segments)


def _texts_of_files(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        for row in read_rows(file):
            yield from _texts_in(row)


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)
