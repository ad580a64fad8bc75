"""Names by the line that they stand on: below a farewell, at the end, after a dash, before a colon, in chats."""

import re
from collections import Counter
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import matches_at
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import SURNAMES_TOO, UPPER, common_words, is_word, sure_names
from tunesmith_plugins.curators.pii.name_words import DOUBTFUL_TITLES, GREETINGS, PARTICLES, RELATIONS, ROLES, TITLES

_ONE = rf"[{UPPER}][^\W\d_]+(?:['’-][^\W\d_]+)*"
_GIVEN_AND_MORE = (
    rf"[{UPPER}][^\W\d_]*(?:(?:[ .'’-]{{1,2}}| (?:van|von|de|der|den|la|del|bin|al) ){{1,2}}[{UPPER}][^\W\d_]*){{0,3}}"
)
_CLOSES = ("regards", "sincerely", "truly", "faithfully", "thanks", "thank you", "cheers", "best", "love", "warmly",
           "cordially", "respectfully", "wishes", "grüße", "grüßen", "gruß", "yours", "submitted", "take care",
           "in advance", "appreciated", "saludos", "cordialement")  # fmt: skip
_BELOW = re.compile(rf"\s*(?:[-–—] ?)?(?P<name>{_GIVEN_AND_MORE})")
_DASHED = re.compile(rf"[-–—~](?:(?<=^.)|(?<=\n.)|(?<=\s\s.)) ?(?P<name>{_ONE}(?: {_ONE})?)[ \t]*(?=\n|$)")
_BEGINS = ("my ", "name", "i am", "i'm", "i’m", "im", "this is", "it's", "it’s", "its", "hi", "hello", "hey", "dear",
           "thanks")  # fmt: skip
_SAYS = ("name", "i am", "i'm", "i’m", "im ", "this is", "it's", "hi ", "hi,", "hello", "hey", "dear", "thanks")
_LOWER = re.compile(
    r"\b(?P<cue>my (?:full |first |last )?name is|name['’]?s|name is|i am|i['’]?m|this is|it['’]?s|hi|hello|hey|dear|"
    r"thanks)[ ,]+"
    r"(?=(?P<name>[^\W\d_]+(?:['’-][^\W\d_]+)*(?: [^\W\d_]+(?:['’-][^\W\d_]+)*)?))"
)
_SPEAKER = re.compile(
    rf"(?:^|\n)[ \t>*]*(?:\[?\d{{1,2}}:\d\d(?::\d\d)?\]? ?)?(?P<name>{_ONE}(?: {_ONE})?)(?: \(\w+\))?:(?= [^\d\s])"
)
_END = re.compile(rf"(?:[-–—~] ?)?(?P<name>{_ONE}(?: {_ONE}){{0,2}})")
_LEADS = TITLES | DOUBTFUL_TITLES | RELATIONS | GREETINGS
_SAID = _LEADS | ROLES
_LINE = 40


def signed(text: str, low: str) -> Iterator[Found]:
    """The name below a farewell, the last line where it is a name and nothing else, and one after a dash."""
    at = text.find("\n")
    while at >= 0:
        line = low[max(0, at - _LINE) : at].rstrip(" \t,.!")
        if line.endswith(_CLOSES):
            match = _BELOW.match(text, at + 1)
            if match is not None and _is_signature(text, match):
                yield Found(*match.span("name"), "NAME")
        at = text.find("\n", at + 1)
    yield from _last(text)
    if "-" in text or "–" in text or "—" in text or "~" in text:
        yield from (Found(*m.span("name"), "NAME") for m in _DASHED.finditer(text) if _is_signature(text, m))


def _last(text: str) -> Iterator[Found]:
    whole = text.rstrip()
    at = whole.rfind("\n", max(0, len(whole) - _LINE)) + 1
    above = whole[:at].rstrip()
    if above.endswith((".", "!", "?", ",")):
        match = _END.fullmatch(whole, at)
        if match is not None and not any(is_word(word.lower()) for word in match["name"].split()):
            yield Found(*match.span("name"), "NAME")


def speakers(text: str) -> Iterator[Found]:
    """Who is named before a colon, line after line."""
    if not any(_may_speak(text, at) for at in _colons(text)):
        return
    lines = [match for match in _SPEAKER.finditer(text) if not _is_role(match["name"])]
    often = Counter(match["name"] for match in lines)
    yield from (Found(*match.span("name"), "NAME") for match in lines if often[match["name"]] > 1)


def _colons(text: str) -> Iterator[int]:
    at = text.find(": ")
    while at >= 0:
        yield at
        at = text.find(": ", at + 2)


def _may_speak(text: str, at: int) -> bool:
    """Whether the word before a colon may be a name: most often it is a role, line after line."""
    head = text[max(0, at - _LINE) : at]
    head = head.rpartition(" (")[0] if head.endswith(")") else head
    word = head.rpartition(" ")[2].rpartition("\n")[2]
    return word[:1].isupper() and word.lower() not in _SAID


def _is_role(name: str) -> bool:
    low = name.lower()
    return name.isupper() or any(word in _SAID or is_word(word) for word in low.split())


def chatted(text: str, low: str) -> Iterator[Found]:
    """Names of chats in lower case: "hi i'm anna weber"."""
    if not any(word in low for word in _SAYS):
        return
    common, sure = common_words(), sure_names()
    starts = sorted({at for word in _BEGINS for at in _beginning(low, word)})
    for match in matches_at(_LOWER, low, starts):
        first, _, second = match["name"].partition(" ")
        told = "name" in match["cue"]
        if first in sure or (told and len(first) > 1 and not is_word(first)):
            both = (
                len(second) > 1
                and (second not in common or (told and (first in sure or second in SURNAMES_TOO)))
                and second not in PARTICLES
            )
            yield Found(match.start("name"), match.end("name") if both else match.start("name") + len(first), "NAME")


def _beginning(low: str, word: str) -> Iterator[int]:
    """Where words begin with this one."""
    at = low.find(word)
    while at >= 0:
        before = low[at - 1 : at]
        if not before.isalnum() and before != "_":
            yield at
        at = low.find(word, at + 1)


def _is_signature(text: str, match: "re.Match[str]") -> bool:
    """Whether the words below a farewell are a name, and not who speaks next ("Doctor: ...")."""
    said = match["name"].replace(".", " ").split()
    plain = [word for word in said if not is_word(word.lower()) and word.lower() not in _LEADS]
    return bool(plain) and said[0][0].isupper() and not ends_label(text, match.end("name"))


def ends_label(text: str, at: int) -> bool:
    """Whether a place ends a label: a colon follows."""
    return text[at : at + 3].lstrip(" *").startswith((":", "="))
