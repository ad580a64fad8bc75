"""All facts of a text, and whether the facts of some texts support another."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Self

from tunesmith_plugins.evaluators.facts import calendar, citations, numbers
from tunesmith_plugins.evaluators.facts.codes import codes
from tunesmith_plugins.evaluators.facts.drugs import drugs
from tunesmith_plugins.evaluators.facts.fact import KINDS, Fact, Taken
from tunesmith_plugins.evaluators.facts.names import names, words_of

_DIGITS = re.compile(r"[0-9]{1,18}")


def facts_of(text: str, further: Collection[str] = ()) -> list[Fact]:
    """Facts of a text in its order, none over another.

    Args:
        text: The text.
        further: Names of drugs beside those that are known, in lower case.
    """
    return sorted(_facts(text, further))


def _facts(text: str, further: Collection[str]) -> Iterator[Fact]:
    taken = Taken(len(text))
    yield from citations.citations(text, taken)
    yield from calendar.dates(text, taken)
    yield from numbers.numbers(text, taken)
    yield from codes(text, taken)
    yield from drugs(text, taken, further)
    yield from names(text, taken)


class Source:
    """What some texts say, as facts are looked up in it."""

    def __init__(self, texts: Iterable[str] = (), further: Collection[str] = ()) -> None:
        self._keys: dict[str, set[Any]] = {kind: set() for kind in KINDS}
        self._words: set[str] = set()
        self._bare: set[int] = set()  # numbers within codes, dates and citations
        for text in texts:
            self._words |= words_of(text)
            for fact in facts_of(text, further):
                self._keys[fact.kind].add(fact.key)
                if fact.kind not in ("numbers", "names"):
                    self._bare |= {int(digits) for digits in _DIGITS.findall(text, fact.start, fact.end)}

    def joined(self, other: Self) -> "Source":
        """What both say."""
        both = Source()
        both._words, both._bare = self._words | other._words, self._bare | other._bare
        both._keys = {kind: keys | other._keys[kind] for kind, keys in self._keys.items()}
        return both

    def supports(self, fact: Fact) -> bool:
        """Whether a fact stands in these texts, in any of the spellings that mean the same."""
        keys: set[Any] = self._keys[fact.kind]
        match fact.kind:
            case "numbers":
                return numbers.supports(keys, fact.key, self._bare)
            case "dates":
                return calendar.supports(keys, fact.key)
            case "citations":
                return citations.supports(keys, fact.key)
            case "names":
                return self._words.issuperset(fact.key)
            case "drugs":
                return fact.key in self._words
        return fact.key in keys
