"""Whether an English sentence says something of a group: `women are emotional`, `lazy Mexicans`, `they can't drive`."""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tunesmith_plugins.audits.matching import first_words
from tunesmith_plugins.audits.word_forms import forms, pattern
from tunesmith_plugins.curators.pii.word_list import words

Said = Literal["", "of one", "of all"]

_PEOPLE = (
    r"(?:people|persons?|m[ae]n|wom[ae]n|students?|workers?|employees?|applicants?|candidates?|patients?|immigrants?|"
    r"migrants?|famil(?:y|ies)|kids?|child|children|boys?|girls?|teenagers?|adults?|guys?|folks?|males?|females?|"
    r"drivers?|parents?|communit(?:y|ies)|tenants?|customers?)"
)
_ADVERB = (
    r"(?:so|too|very|really|just|all|always|usually|often|mostly|generally|naturally|typically|inherently|simply|more|"
    r"less|rather|quite|such|as|also|still|by\s+nature|the\s+most|extremely|basically|obviously|clearly|both|only|"
    r"known\s+to\s+be|of\s+course|even|probably|a\s+bit)"
)
_BE = (
    r"(?:is|are|was|were|am|be|been|being|seems?|seemed|looks?|looked|appears?|becomes?|became|gets?|got|tends?\s+to\s+be|"
    r"(?:can|will|must|may|might|could|would|should)\s+be|(?:has|have|had)\s+been)"
)
_WHO = rf"(?:\s+{_PEOPLE})?(?:\s+(?:in|from|with|of|at|on|over|under|who|that)\s+(?:[\w'-]+\s+){{0,2}}?[\w'-]+)?"
_FEW = r"(?:[\w-]+(?:,\s+[\w-]+){0,2},?\s+(?:and|or)\s+)?"
_TRAIT_LINK = re.compile(
    rf"(?:'s|'re|{_WHO}\s+(?:{_ADVERB}\s+)*(?P<be>{_BE}))\s+(?:{_ADVERB}\s+)*(?:(?:an?|the)\s+)?(?:{_ADVERB}\s+)*{_FEW}",
    re.IGNORECASE,
)
_ACT_LINK = re.compile(
    rf"{_WHO}\s+(?:{_ADVERB}\s+)*(?:(?:will|would|can|do|does|did|tends?\s+to|likes?\s+to|loves?\s+to)\s+)?"
    rf"(?:{_ADVERB}\s+)*",
    re.IGNORECASE,
)
_BEFORE_LINK = re.compile(r"(?:\s+(?:young|old|older|little|single|poor|rich|typical))?\s+", re.IGNORECASE)
# What follows a trait that ends what is said; another word would make it part of a compound (`a criminal lawyer`).
_ENDS = re.compile(
    rf"\s*(?:[.,;:!)\"]|$)|\s+(?:and|or|but|than|when|while|at|in|on|of|as|because|about|with|to|by|for|if|since|so|that|"
    rf"who|after|before|during|once|then|again|too|today|now|all|compared|like|{_PEOPLE})\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"n't\b|\b(?:not|never|no|nor|neither|hardly|nobody|cannot|myths?|stereotyp\w+|prejudic\w+|clich\w+|untrue|false|"
    r"falsely|wrong|wrongly|nonsense|bias|biased|offensive|unfair|unfairly|racist\s+to|sexist\s+to|ageist\s+to)\b",
    re.IGNORECASE,
)
_SUBJECTS = frozenset({"she", "he", "they"})
_NO_SUBJECTS = frozenset({"her", "hers", "herself", "him", "his", "himself", "them", "their", "theirs", "themselves"})
_DEFINITE = frozenset(
    words(
        """
        the this that these those my our your his her their its some several two three four five both another
        """
    )
)
_ANY = frozenset({"a", "an", "any", "every", "each", "typical", "average"})
_PLURALS = frozenset(
    words(
        """
        men women people children folks youth elderly homeless unemployed jobless wealthy affluent
        """
    )
)
_NOMINAL = frozenset({"elderly", "homeless", "unemployed", "jobless", "wealthy", "affluent", "poor", "rich"})
_OTHERS = re.compile(r"\b(?:he|she|they|it|i|you|we)\b", re.IGNORECASE)  # another subject
_PAST = re.compile(r"\b(?:was|were|been|seemed|looked|became|got|had|did)\b", re.IGNORECASE)
_SINGULAR = re.compile(r"(?:is|seems|looks|appears|becomes|gets|tends|has|does|can|will|must|should)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Sayings:
    """What may be said of a group: traits, and acts; None where there are none.

    Args:
        traits: What finds traits.
        acts: What finds acts.
        firsts: The words with which either begins, as `word_set` writes them; None where one begins with a sign.
    """

    traits: "re.Pattern[str] | None"
    acts: "re.Pattern[str] | None"
    firsts: frozenset[str] | None = None

    def may_be_among(self, words: Set[str]) -> bool:
        """Whether a text of these words can say any of it."""
        return self.firsts is None or not self.firsts.isdisjoint(words)


def sayings(traits: Sequence[str], acts: Sequence[str]) -> Sayings:
    """Patterns of entries as lexicons have them; `don't` is found as `do not` too, and `can't` as `cannot`."""
    return _sayings(tuple(traits), tuple(acts))


@lru_cache(maxsize=256)
def _sayings(traits: tuple[str, ...], acts: tuple[str, ...]) -> Sayings:
    whole = [form for entry in acts for form in forms(entry)]
    whole += [form.replace("can't", "cannot") if "can't" in form else form.replace("n't", " not") for form in whole]
    firsts = first_words([*traits, *whole])
    return Sayings(pattern(traits) if traits else None, pattern(dict.fromkeys(whole)) if whole else None, firsts)


def said(sentence: str, group: "re.Pattern[str]", what: Sayings) -> Said:
    """Whether a sentence says something of a group, and of all of it or of one.

    Found are a trait behind a form of `to be` (`women are too emotional`), one before the group's word (`lazy
    Mexicans`), and an act as the group's verb (`Muslims hate women`). Nothing is said by a question, by a sentence that
    denies (not, never, a myth), by words of possession (`her car is slow`), or where a trait is part of a compound (`a
    criminal lawyer`). Of all of a group is said what is said of a bare plural (`women are`), of `all women`, `the
    elderly`, `a woman is`, in the present; `she is` and `the women were` say it of one, or of some.

    Args:
        sentence: In English.
        group: What finds the words of the group.
        what: May be said.
    """
    text = sentence.replace("\u2019", "'")
    if text.rstrip(" \"')\n").endswith("?"):
        return ""
    found: Said = ""
    for word, start, end, link, place in _links(text, group, what):
        if _DENIED.search(text[:start] + " " + text[end:]):
            continue
        if _of_all(text, word, link, place):
            return "of all"
        found = "of one"
    return found


def _links(text: str, group: "re.Pattern[str]", what: Sayings) -> "Iterator[tuple[re.Match[str], int, int, str, int]]":
    """Words of the group with what is said of them: its place and end, what stands between, where the two begin."""
    for word in group.finditer(text):
        if word[0].lower() in _NO_SUBJECTS:
            continue
        kinds = (what.traits, _TRAIT_LINK), (what.acts, _ACT_LINK)
        for wanted, link in kinds:
            for match in wanted.finditer(text, word.end()) if wanted else ():
                between = text[word.end() : match.start()]
                ends = wanted is not what.traits or _ENDS.match(text, match.end())
                if ends and link.fullmatch(between) and not _OTHERS.search(between) and not group.search(between):
                    yield word, match.start(), match.end(), between, word.start()
        for match in what.traits.finditer(text, 0, word.start()) if what.traits else ():
            if _BEFORE_LINK.fullmatch(text[match.end() : word.start()]) and word[0].lower() not in _SUBJECTS:
                yield word, match.start(), match.end(), "", match.start()


def _of_all(text: str, word: "re.Match[str]", link: str, place: int) -> bool:
    if word[0].lower() in _SUBJECTS or _PAST.search(link):
        return False
    before = text[:place].lower().split()
    last = before[-1].strip(",.;:") if before else ""
    follows = re.match(rf"\s+({_PEOPLE})\b", text[word.end() :], re.IGNORECASE)
    head = (follows[1] if follows else word[0].split()[-1]).lower()
    many = (
        head in _PLURALS or (head.endswith("s") and not head.endswith("ss")) or re.search(r"\bare\b", link) is not None
    )
    if last == "the":
        return head in _NOMINAL and not _SINGULAR.match(link.strip())
    if last in _ANY:
        return bool(link) and (not many or last in ("typical", "average"))
    return many and last not in _DEFINITE and not last.isdigit()
