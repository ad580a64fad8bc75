"""Words: which are given names, which are common, and what a capital letter is."""

import sys
from functools import cache
from pathlib import Path

from tunesmith_plugins.curators.pii.word_list import words

# For character classes of `re`, which has no class of capitals.
UPPER = "".join(c for c in map(chr, range(0x530)) if c.isupper())

# Given names that are cities, states or months at least as often.
AMBIGUOUS = frozenset(
    words(
        """
        april asia august austin carolina chad charlotte china dakota dallas eden florence georgia houston india israel
        jackson january jordan june kenya lincoln lourdes madison may paris savannah sydney victoria virginia
        """
    )
)
# Given names that are words as well: names within a sentence, where they are capitalised for no other reason.
WORDS_TOO = frozenset(
    words(
        """
        amber angel art autumn basil bill brook buck carol charity chase christian cliff crystal daisy dale dawn destiny
        dick drew duke earl earnest faith forest frank gale gay ginger glen grace grant guy harry heath heather honey
        hope iris iva ivy jack jay joy king lance lily love major mark martin max mercy nick olive page pat patience
        pearl penny pierce precious prince prudence randy ray red reed rich rob robin rock rose ruby rusty sage sandy
        skip star stone storm sue sunny sunshine tab tuesday violet will wade wilder worth royal golden chance cash
        case chance earnest fair gene miles son queen princess song star summer sterling trinity true van vance
        """
    )
)


@cache
def given_names() -> frozenset[str]:
    """5,163 given names of the census of 1990 of the United States, in lower case; public domain."""
    return frozenset(map(sys.intern, (Path(__file__).with_name("given_names.txt")).read_text(encoding="utf-8").split()))


@cache
def common_words() -> frozenset[str]:
    """Words that are written in lower case in dialogues, notes, abstracts and letters, in lower case.

    Of MTS-Dialog and Banking77 (CC BY 4.0) and PubMedQA (MIT): single words, none of their texts.
    """
    return frozenset(
        map(sys.intern, (Path(__file__).with_name("common_words.txt")).read_text(encoding="utf-8").split())
    )


@cache
def sure_names() -> frozenset[str]:
    """Given names that are nothing else."""
    return given_names() - common_words() - AMBIGUOUS - WORDS_TOO
