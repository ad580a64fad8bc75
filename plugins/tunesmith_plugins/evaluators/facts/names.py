"""Names of persons, places, makers and things: words with a capital letter that no sentence or heading gives them."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.lexicon import SPOKEN, common_words, given_names
from tunesmith_plugins.curators.pii.name_words import GREETINGS, RELATIONS, TITLES
from tunesmith_plugins.curators.pii.word_list import words
from tunesmith_plugins.evaluators.facts.fact import Fact, Taken

_CAPITAL = r"[^\W\d_a-z][^\W\d_]*(?:['’.-][^\W\d_]+)*"
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_RUN = re.compile(
    rf"(?<![\w@/.])(?<!\w['’]){_CAPITAL}"
    rf"(?:(?: |(?<=\b[A-Z])\. )(?:(?:of|the|de|van|von|der|den|del|la|and|&) ){{0,2}}{_CAPITAL})*"
)
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
# Where a capital says nothing: at the beginning of a text, line, sentence, quotation or list item, behind a label.
_BEGINS = re.compile(r"(?:^|[.!?:;\n\u2022|]|\n[ \t]*(?:[-*+>#]+|\d{1,3}[.)]))[\s\"'“‘(\[*_#-]*$")
_TITLE = re.compile(r"(\w+)\. $")
_BEFORE = 24
_LINKS = frozenset(("of", "the", "de", "van", "von", "der", "den", "del", "la", "and", "&"))
_BESIDE_NAMES = TITLES | RELATIONS | GREETINGS | SPOKEN
# Words with a capital of their own that name nothing that could be invented.
_EVERYWHERE = frozenset(
    words(
        """
        i monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
        september october november december english
        """
    )
)


def names(text: str, taken: Taken) -> Iterator[Fact]:
    """Names; words all in capitals are none, nor those that only begin a sentence, nor words of the language."""
    for match in _RUN.finditer(text):
        run = [word for word in _WORD.finditer(text, *match.span()) if taken.free(*word.span())]
        if _begins(text, match.start()) and run and not _names_by_itself(run[0][0]):
            run = run[1:]
        said = [word for word in run if _may_name(word[0])]
        if said:
            start, end = said[0].start(), said[-1].end()
            end -= 2 * bool(_POSSESSIVE.search(said[-1][0]))
            yield Fact(start, end, "names", frozenset(plain(word[0]) for word in said))


def plain(word: str) -> str:
    """A word as names are compared: in lower case, without the ending of the possessive."""
    return _POSSESSIVE.sub("", word).lower()


def words_of(text: str) -> set[str]:
    """All words of a text, as names are compared."""
    found = {plain(match[0]) for match in _WORD.finditer(text)}
    return found | {part for word in found if "-" in word for part in word.split("-")}


def _begins(text: str, at: int) -> bool:
    before = text[max(0, at - _BEFORE) : at]
    titled = _TITLE.search(before)
    return not (titled and titled[1].lower() in TITLES) and _BEGINS.search(before) is not None


def _names_by_itself(word: str) -> bool:
    low = plain(word)
    return low in given_names() and not _is_word(low)


def _may_name(word: str) -> bool:
    low = plain(word)
    if word.removesuffix("s").isupper() or not word[0].isupper() or low in _LINKS or low in _EVERYWHERE:
        return False
    return not _is_word(low) and not all(len(part) == 1 or _is_word(part) for part in low.split("-"))


def _is_word(low: str) -> bool:
    return low in common_words() or low in _BESIDE_NAMES
