"""Boilerplate: lines that recur over many documents."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Self

from tunesmith import Curator, Example, RecipeError, Record
from tunesmith_plugins.curators.sides import Where, emptied, map_sides

# Lines are counted in that many places first, several in one; only what may be frequent is then counted by itself.
_PLACES = 1 << 22


class Boilerplate(Curator):
    """Takes away lines that stand in many examples: headers and footers of pages, notices, navigation.

    Lines are compared without case and white space around and between words. An example counts a line once. System
    turns are left alone. An instruction that all prompts begin with recurs as well: `keep` it. An example of which the
    prompt or an answer becomes empty is dropped.

    Since 0.9.

    Args:
        share: A line recurs where it stands in at least this share of the examples,
        at_least: and in at least as many.
        least_words: Shorter lines stay: headings and labels recur by right.
        where: Which texts are looked at and changed: `prompts`, `answers` (also texts without a prompt) or `both`.
        keep: Regular expressions; lines in which one is found stay.
    """

    def __init__(
        self,
        share: float = 0.05,
        at_least: int = 20,
        least_words: int = 4,
        where: Where = "prompts",
        keep: list[str] | None = None,
    ) -> None:
        self.share = share
        self.at_least = at_least
        self.least_words = least_words
        self.where = where
        self.keep = keep

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it is, and as greedy as it gets."""
        return [cls(), cls(share=0.01, at_least=2, least_words=1, where="both", keep=["lamp"])]

    def check(self) -> None:
        """Refuse a share that is none, and patterns that are none.

        Raises:
            RecipeError: One is.
        """
        if not 0 < self.share <= 1:
            msg = f"share is {self.share}; a share of the examples lies above 0 and up to 1"
            raise RecipeError(msg)
        self._kept_by()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Count the lines of all examples, then take away those that recur."""
        kept_by = self._kept_by()
        held = list(examples)
        least = max(self.at_least, 2, self.share * len(held))
        recurring = self._recurring(held, least, kept_by)
        for example in held:
            cleaned = self._map(example, partial(_without, recurring=recurring)) if recurring else example
            if empty := emptied(example, cleaned):
                record.drop(example, empty)
                continue
            if cleaned is not example:
                record.change(example, "recurring lines")
            yield cleaned

    def _kept_by(self) -> list[re.Pattern[str]]:
        return [_compiled(at, pattern) for at, pattern in enumerate(self.keep or [])]

    def _recurring(self, examples: list[Example], least: float, kept_by: list[re.Pattern[str]]) -> set[bytes]:
        """Keys of the lines that at least so many examples have."""
        rough = array("L", bytes(_PLACES * array("L").itemsize))
        for example in examples:
            for place in {_place(key) for key in self._keys(example, kept_by)}:
                rough[place] += 1
        exact: Counter[bytes] = Counter()
        for example in examples:
            exact.update(key for key in self._keys(example, kept_by) if rough[_place(key)] >= least)
        return {key for key, number in exact.items() if number >= least}

    def _keys(self, example: Example, kept_by: list[re.Pattern[str]]) -> set[bytes]:
        keys: set[bytes] = set()

        def note(text: str) -> str:
            lines = (line for line in text.split("\n") if len(line.split()) >= self.least_words)
            keys.update(_key(line) for line in lines if not any(pattern.search(line) for pattern in kept_by))
            return text

        self._map(example, note)
        return keys

    def _map(self, example: Example, change: Callable[[str], str]) -> Example:
        """The example with the texts of `where` changed, but for system turns."""
        asked, taught = (change if self.where in (side, "both") else _same for side in ("prompts", "answers"))
        return map_sides(example, asked, taught, system=_same)


def _same(text: str) -> str:
    return text


def _key(line: str) -> bytes:
    return hashlib.blake2b(" ".join(line.casefold().split()).encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _place(key: bytes) -> int:
    return int.from_bytes(key[:4], "big") % _PLACES


def _without(text: str, recurring: set[bytes]) -> str:
    lines = text.split("\n")
    left = [line for line in lines if not line.strip() or _key(line) not in recurring]
    return text if len(left) == len(lines) else "\n".join(left).strip("\n")


def _compiled(at: int, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        msg = f"keep[{at}] is {pattern!r}, which is no regular expression: {error}"
        raise RecipeError(msg) from None
