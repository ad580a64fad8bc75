"""Names in lower case: in chats, behind labels and titles, below a farewell."""

import re
from collections.abc import Iterator, Sequence

from tunesmith_plugins.curators.pii.anchors import matches_at
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import SURNAMES_TOO, common_words, given_names, is_word, sure_names
from tunesmith_plugins.curators.pii.name_words import LABELS, PARTICLES
from tunesmith_plugins.curators.pii.word_list import phrases, words

_SAYS = ("name", "i am", "i'm", "i’m", "im ", "this is", "it's", "hi ", "hi,", "hello", "hey", "dear", "thanks")
_BEGINS = ("my ", "name", "i am", "i'm", "i’m", "im", "this is", "it's", "it’s", "its", "hi", "hello", "hey", "dear",
           "thanks")  # fmt: skip
_ONE = r"[^\W\d_]+(?:['’-][^\W\d_]+)*"
_LOWER = re.compile(
    r"\b(?P<cue>my (?:full |first |last )?name is|name['’]?s|name is|i am|i['’]?m|this is|it['’]?s|hi|hello|hey|dear|"
    rf"thanks)[ ,]+(?=(?P<name>{_ONE}(?: {_ONE})?))"
)
# Behind these one word that is in no list is a name; behind the others only more of them are.
_OF_PERSONS = frozenset(
    phrases(
        """
        patient name, full name, first name, last name, given name, family name, maiden name, customer name, client
        name, next of kin, nok, emergency contact, surname, forename, account holder, cardholder, card holder,
        policyholder, pt name, spouse, employee name, contact name, nachname, vorname, tenant name
        """
    )
)
_OTHERS = frozenset(
    words("patient pt customer client contact caller doctor physician surgeon employee tenant borrower")
)
_LABELS = frozenset(LABELS) | _OTHERS
_VALUE = re.compile(rf" *(?P<name>{_ONE}(?: {_ONE}){{0,3}})(?=[ \t]*(?:$|[\n,;|(<]|\d))")
_MARKS = (": ", "= ", " - ")
_TITLES = ("mr", "dr", "miss", "ms.", "mx", "prof", "herr", "frau")
_TITLED = re.compile(rf"[MmDdPpHhFf](?:rs?|iss|s|x|rof|err|rau)\.? (?P<name>{_ONE}(?: {_ONE})?)")
_FAREWELLS = ("regards", "sincerely", "cheers", "thanks", "thank you", "thx", "best", "take care", "love")
_SIGNED = re.compile(
    r"(?:regards|sincerely|cheers|thanks|thank you|thx|best(?: wishes)?|take care|love)[ ,!.]*"
    rf"(?:\n+[ \t]*(?:[-–—] ?)?|, )(?P<name>{_ONE}(?: {_ONE})?)[ \t]*(?=\n|$)"
)
_LEAST, _BACK = 3, 40


def lower_names(text: str, low: str) -> Iterator[Found]:
    """Names that are written in lower case."""
    yield from chatted(low)
    yield from labelled(text, low)
    yield from _said(text, _TITLED, sorted(at for word in _TITLES if word in low for at in _beginning(low, word)))
    if "\n" in text or ", " in text:
        farewells = (at for word in _FAREWELLS if word in low for at in _beginning(low, word))
        yield from _said(text, _SIGNED, sorted(farewells))


def chatted(low: str) -> Iterator[Found]:
    """Names of chats in lower case: "hi i'm anna weber"."""
    if not any(word in low for word in _SAYS):
        return
    common, sure = common_words(), sure_names()
    starts = sorted({at for word in _BEGINS if word in low for at in _beginning(low, word)})
    for match in matches_at(_LOWER, low, starts):
        first, _, second = match["name"].partition(" ")
        told = "name" in match["cue"]
        if match["cue"] == "this is" and second in ("from", "calling", "speaking"):  # "this is xolani from accounts"
            told = len(first) >= _LEAST
        if first in sure or (told and len(first) > 1 and not is_word(first)):
            both = (
                len(second) > 1
                and (second not in common or (told and (first in sure or second in SURNAMES_TOO)))
                and second not in PARTICLES
            )
            yield Found(match.start("name"), match.end("name") if both else match.start("name") + len(first), "NAME")


def labelled(text: str, low: str) -> Iterator[Found]:
    """Names behind a label at the start of a line or cell: "patient: jürgen müller-lüdenscheidt"."""
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            value = at + len(mark)
            if text[value : value + 1].islower() and (label := _label(low, at)) in _LABELS:
                match = _VALUE.match(text, value)
                if match is not None and match["name"].islower() and _is_value(match["name"].split(), label):
                    yield Found(*match.span("name"), "NAME")
            at = text.find(mark, value)


def _label(low: str, at: int) -> str:
    """What stands before a mark, from the start of its line or cell on."""
    head = low[max(0, at - _BACK) : at]
    for sign in ("\n", "|", ";", ",", "  "):
        head = head[head.rfind(sign) + 1 :]
    return head.strip(" \t*>-_").replace("_", " ")


def _is_value(said: Sequence[str], label: str) -> bool:
    """Whether words behind a label are a name: none is of the language, but for a surname behind a given name."""
    known = [is_word(word) and word not in given_names() and word not in PARTICLES for word in said]
    if len(said) == 1:
        return label in _OF_PERSONS and not known[0] and len(said[0]) >= _LEAST
    if said[0] in sure_names():
        return not any(known[1:-1]) and (not known[-1] or said[-1] in SURNAMES_TOO)
    return not any(known)


def _said(text: str, pattern: "re.Pattern[str]", starts: Sequence[int]) -> Iterator[Found]:
    """Words in lower case, of no list, behind a title or below a farewell."""
    for match in matches_at(pattern, text, starts):
        first, _, second = match["name"].partition(" ")
        if not first.islower() or len(first) < _LEAST or is_word(first):
            continue
        both = second.islower() and len(second) >= _LEAST and not is_word(second)
        if pattern is _SIGNED and second and not both:
            continue
        yield Found(match.start("name"), match.end("name") if both else match.start("name") + len(first), "NAME")


def _beginning(low: str, word: str) -> Iterator[int]:
    """Where words begin with this one."""
    at = low.find(word)
    while at >= 0:
        before = low[at - 1 : at]
        if not before.isalnum() and before != "_":
            yield at
        at = low.find(word, at + 1)
