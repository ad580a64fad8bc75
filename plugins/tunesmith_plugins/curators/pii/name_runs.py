"""Capitalised words of a text that stand beside each other: what names are made of."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from tunesmith_plugins.curators.pii.lexicon import SURNAMES_TOO, UPPER, is_word, no_names, sure_names
from tunesmith_plugins.curators.pii.name_words import DOUBTFUL_TITLES, GREETINGS, PARTICLES, RELATIONS, TITLES
from tunesmith_plugins.curators.pii.word_list import words

CAPITAL = re.compile(rf"[{UPPER}](?<![\w@/.].)[^\W\d_]*(?:['’-][^\W\d_]+)*(?![\d_@])")
LEADS = TITLES | DOUBTFUL_TITLES | RELATIONS | GREETINGS
TITLED = TITLES | DOUBTFUL_TITLES
COLONS = frozenset((": ", ":\t", "= ", "| ", ">:", "  "))
_DOTTED = TITLED | {"med", "st"}
_SHORTENED = frozenset(words("m ve ll d re s t"))
_BETWEEN = 4
_POSSESSIVE = frozenset(("'s", "’s", "'S", "’S"))
# The same for texts without other letters, where `re` is twice as fast.
_ASCII = re.compile(r"[A-Z](?<![\w@/.].)[A-Za-z]*(?:['-][A-Za-z]+)*(?![\d_@])")


@cache
def _plain() -> frozenset[str]:
    """What may be left out where it stands alone; the look for it comes first, as it is what most words are."""
    return no_names() - LEADS


@cache
def _speakers() -> frozenset[str]:
    """What is nobody's name between the start of a line and a colon, as all over dialogues: "Doctor: ..."."""
    return LEADS - SURNAMES_TOO - sure_names()


class Word(NamedTuple):
    """A capitalised word: where it stands, and itself in lower case."""

    start: int
    end: int
    low: str
    capitals: bool
    common: bool


def runs(text: str) -> Iterator[list[Word]]:
    """Capitalised words that stand beside each other, with particles, initials and the dots of titles between them.

    A common word by itself, as sentences begin with, is left out where no label stands before it.
    """
    run: list[Word] = []
    plain, speakers = _plain(), _speakers()
    for match in (_ASCII if text.isascii() else CAPITAL).finditer(text):
        start, end = match.span()
        word = match[0]
        if word[-2:] in _POSSESSIVE:
            end, word = end - 2, word[:-2]
        low = word.lower()
        if run and not _joined(text[run[-1].end : start], run[-1]):
            yield run
            run = []
        if not run:
            if low in plain and _alone(text, start, end):
                continue
            if low in speakers and text[end : end + 1] == ":" and text[start - 1 : start] in ("", "\n"):
                continue
        if low == "i" and text[end : end + 1] != ".":
            if run:
                yield run
                run = []
            continue
        common = is_common(low) and not (end - start == 1 and text[end : end + 1] == ".")
        if not run and common and low not in LEADS and _alone(text, start, end):
            continue
        run.append(Word(start, end, low, _in_capitals(word), common))
    if run:
        yield run


def with_particles(text: str, low: str, start: int) -> int:
    """Where a name begins with the particles before it: "van den Berg"."""
    while text[start - 1 : start] == " ":
        particle = low[max(0, start - 6) : start - 1].rpartition(" ")[2]
        if particle not in PARTICLES or not text[start - 2].islower():
            break
        start -= len(particle) + 1
    return start


def _in_capitals(word: str) -> bool:
    """Whether a word is in capitals, as abbreviations are: "ECG", "ATMs", "TNF-alpha", "X-ray"."""
    if len(word) > 1 and word.isupper():
        return True
    return (word[1:2].isupper() and word[:-1].isupper()) or ("-" in word and any(p.isupper() for p in word.split("-")))


def _alone(text: str, start: int, end: int) -> bool:
    """Whether nothing stands beside a word that could make a name of it."""
    after = text[end : end + 2]
    beside = (after[:1] == " " and not after[1:].islower()) or after[:1] in (".", "\u00a0", ",")
    return not beside and text[start - 2 : start] not in COLONS


def _joined(gap: str, before: Word) -> bool:
    if gap in (" ", "\u00a0", "  "):
        return True
    if gap in (". med. ", " med. ", ". phil. ", ". jur. "):
        return before.low in TITLED
    if gap in (". ", ".", ".\u00a0"):
        return before.end - before.start == 1 or before.low in _DOTTED
    if len(gap) == _BETWEEN and gap[1].isupper() and gap[0] + gap[2:] == ".. ":  # "J.R. Weber"
        return before.end - before.start == 1
    if gap[:1] == "." and before.low in TITLED:
        gap = gap[1:]
    return gap[:1] == " " and gap[-1:] == " " and len(gap) < 12 and all(part in PARTICLES for part in gap.split())


@lru_cache(65536)
def is_common(low: str) -> bool:
    """Whether a word is one of the language, a contraction or compound of such ("I'm", "Well-being") too."""
    if is_word(low):
        return True
    first, quote, rest = low.replace("’", "'").partition("'")
    if quote:
        return rest in _SHORTENED and (first == "i" or is_word(first))
    return "-" in low and all(is_word(part) for part in low.split("-"))
