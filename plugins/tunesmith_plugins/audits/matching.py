"""Which words of a lexicon stand in a text, how often: each text is looked at once, and what was found is kept."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

from tunesmith_plugins.audits.word_forms import Sets, forms, pattern, slots

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_MOST = 2**28
"""Characters of texts of which is kept what was found: as much as 400,000 answers of 100 words."""
_WORD = re.compile(r"\w+")
_DOTS = str.maketrans({"\u0130": "i", "\u0131": "i"})  # which `re.IGNORECASE` takes for an i, and `casefold` does not


class Remembered(Generic[T]):
    """What a function says of texts, kept by text; all is forgotten where the texts have become too many.

    Audits of logged outputs look at the same rows 20 times, to tell how far their metrics vary.

    Args:
        function: Of the text alone.
    """

    def __init__(self, function: Callable[[str], T]) -> None:
        self._function = function
        self._kept: dict[str, T] = {}
        self._room = _MOST

    def __call__(self, text: str) -> T:
        """What the function says."""
        try:
            return self._kept[text]
        except KeyError:
            found = self._function(text)
        self._room -= len(text)
        if self._room < 0:
            self._kept.clear()
            self._room = _MOST - len(text)
        self._kept[text] = found
        return found


def word_set(text: str) -> set[str]:
    """The words of a text, so written that two are the same where `re.IGNORECASE` takes them for the same."""
    if text.isascii():
        return set(_WORD.findall(text.lower()))
    return {_folded(word) for word in set(_WORD.findall(text))}


def first_words(entries: Iterable[str], sets: Sets | None = None) -> frozenset[str] | None:
    """With which words what entries stand for begins, as `word_set` writes them.

    Returns:
        None where one begins with a sign, so that no word tells whether it may stand in a text.
    """
    found = set()
    for form in (form for entry in entries for form in forms(entry)):
        begin = form.split()[0]
        inner = [one for name in slots(begin) for entry in (sets or {})[name] for one in forms(entry)] or [begin]
        for one in inner:
            match = _WORD.match(one)
            if match is None:
                return None
            found.add(_folded(match[0]))
    return frozenset(found)


class Finder(Generic[K]):
    """Counts the words of several lists of entries in a text, each as `word_forms.pattern` finds them.

    A pattern is tried only where a word stands with which one of its entries begins: the same is found, 20 times as
    fast.

    Args:
        entries: By a key, words with their forms and the entries that `{name}` in them stands for.
    """

    def __init__(self, entries: Mapping[K, tuple[Iterable[str], Sets]]) -> None:
        held = {key: (list(words), sets) for key, (words, sets) in entries.items()}
        self._patterns = {key: pattern(words, sets) for key, (words, sets) in held.items()}
        self._everywhere: set[K] = set()
        self._by_word: dict[str, list[K]] = {}
        for key, (words, sets) in held.items():
            firsts = first_words(words, sets)
            if firsts is None:
                self._everywhere.add(key)
            for word in firsts or ():
                self._by_word.setdefault(word, []).append(key)
        self._same: dict[tuple[tuple[K, int], ...], Mapping[K, int]] = {}
        self.count = Remembered(self._count)

    def may_have(self, text: str) -> set[K]:
        """Keys whose entries can be in a text or in a part of it; others cannot."""
        found = set(self._everywhere)
        for word in self._by_word.keys() & word_set(text):
            found.update(self._by_word[word])
        return found

    def _count(self, text: str) -> Mapping[K, int]:
        """By key, how many of its words stand in a text; keys of which none does are left out."""
        may = self.may_have(text)
        found: dict[K, int] = {}
        places: list[tuple[int, str]] | None = None
        for key, words in self._patterns.items():
            if key not in may:
                continue
            if key in self._everywhere:
                n = len(words.findall(text))
            else:
                if places is None:
                    known = self._by_word
                    places = [(m.start(), w) for m in _WORD.finditer(text) if (w := _folded(m[0])) in known]
                n = end = 0
                for at, word in places:
                    if at >= end and key in self._by_word[word] and (match := words.match(text, at)):
                        n, end = n + 1, match.end()
            if n:
                found[key] = n
        return self._same.setdefault(tuple(found.items()), found)


@lru_cache(maxsize=16)
def finder_of(entries: tuple[tuple[str, tuple[str, ...]], ...]) -> Finder[str]:
    """What counts the words of several lists; the same lists get the same, with what it has found."""
    return Finder({key: (words, {}) for key, words in entries})


def _folded(word: str) -> str:
    return word.lower() if word.isascii() else word.translate(_DOTS).casefold()
