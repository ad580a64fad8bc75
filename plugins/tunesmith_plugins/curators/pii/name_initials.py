"""Initials: "J. Weber" and "Anna M. Young", and not "hepatitis B. Tests"."""

from collections.abc import Sequence

from tunesmith_plugins.curators.pii.lexicon import sure_names
from tunesmith_plugins.curators.pii.name_runs import Word
from tunesmith_plugins.curators.pii.word_list import words

_SHORT = 3
# Before a letter with a dot that is no initial: "hepatitis B. Tests", "vitamin C. Then".
_LETTERED = frozenset(
    words(
        """
        hepatitis vitamin type group class stage grade factor protein appendix section plan part option influenza strep
        streptococcus phase category figure table arm cohort schedule exhibit annex model series version room ward unit
        bed level zone gate plasma blood serum
        """
    )
)
# Letters with dots that stand before no surname.
_NO_INITIALS = frozenset(("u.s", "u.k", "u.n", "d.c", "e.u", "e.g", "i.e"))


def has_initial(text: str, name: Sequence[Word]) -> bool:
    """Whether initials stand before a surname: "J. Weber", and not "hepatitis B. Tests" or "U.S. Navy"."""
    *initials, last = name
    if any(len(word.low) > 1 or text[word.end : word.end + 1] != "." for word in initials) or len(last.low) < _SHORT:
        return False
    start = name[0].start
    if text[start : start + 3].lower() in _NO_INITIALS:
        return False
    before = text[max(0, start - 16) : start].rstrip().rpartition(" ")[2].lower()
    return before not in _LETTERED


def is_initial(text: str, words: Sequence[Word], at: int) -> bool:
    """Whether a word is the initial of a middle name, or of a given one ("J. Young")."""
    if len(words[at].low) != 1:
        return False
    return words[at - 1].low in sure_names() if at else has_initial(text, words[at : at + 2])
