"""Names by the line that they stand on: below a farewell, at the end, after a dash, before a colon."""

import re
from collections import Counter
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import matches_at
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import UPPER, is_word
from tunesmith_plugins.curators.pii.name_words import DOUBTFUL_TITLES, GREETINGS, RELATIONS, ROLES, TITLES

_ONE = rf"[{UPPER}][^\W\d_]+(?:['’-][^\W\d_]+)*"
_GIVEN_AND_MORE = (
    rf"[{UPPER}][^\W\d_]*(?:(?:[ .'’-]{{1,2}}| (?:van|von|de|der|den|la|del|bin|al) ){{1,2}}[{UPPER}][^\W\d_]*){{0,3}}"
)
_CLOSES = ("regards", "sincerely", "truly", "faithfully", "thanks", "thank you", "cheers", "best", "love", "warmly",
           "cordially", "respectfully", "wishes", "grüße", "grüßen", "gruß", "yours", "submitted", "take care",
           "in advance", "appreciated", "saludos", "cordialement")  # fmt: skip
_BELOW = re.compile(rf"\s*(?:[-–—] ?)?(?P<name>{_GIVEN_AND_MORE})")
_DASHED = re.compile(rf"[-–—~](?:(?<=^.)|(?<=\n.)|(?<=\s\s.)) ?(?P<name>{_ONE}(?: {_ONE})?)[ \t]*(?=\n|$)")
_CLOCK = r"[\[(]?\d{1,2}:\d\d(?::\d\d)?(?: ?[AaPp][Mm])?[\])]?"
_SPEAKER = re.compile(
    rf"(?:^|\n)[ \t>*]*(?P<clock>{_CLOCK} ?(?:- ?)?)?(?P<name>{_ONE}(?: {_ONE})?)(?: \(\w+\)|(?P<at> {_CLOCK}))?:"
    r"(?= [^\d\s])"
)
_REVERSED = re.compile(
    rf"[ \t]*(?P<number>[-*•|] ?|\d{{1,3}}[.)] ?)?(?P<last>{_ONE}(?: {_ONE})?), (?P<first>{_ONE})"
    rf"(?: [{UPPER}]\.?)?"
    r"(?P<rest>[ \t]*(?:[-–—|;(:\t]|\d|  )[^\n]*|[ \t]*(?=\n|$))"
)
_INITIAL = re.compile(rf", [{UPPER}]\.(?:[ -]?[{UPPER}]\.)?(?!\w)")
_SURNAME = re.compile(rf"(?<![\w@/.-]){_ONE}$")
_LISTS = re.compile(
    r"\b(?:present|attendees|apologies|absent|witnesses|drivers|passengers|participants|authors|parents|children|siblings|"
    r"daughters|sons|brothers|sisters|guests|attended by|surgeons|cc|to): ?$"
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


def begins_list(low: str, at: int) -> bool:
    """Whether a label of several persons stands before a place: "Present: ..."."""
    return _LISTS.search(low, max(0, at - _LINE), at) is not None


def reversed_names(text: str) -> Iterator[Found]:
    """Surnames before given names in lists ("1. Weber, Anna - 3/4/2021"), and before initials ("Weber, A.")."""
    if ", " not in text:
        return
    for match in matches_at(_REVERSED, text, (at for at in _lines(text) if ", " in text[at : at + _LINE])):
        if (match["number"] or any(c.isdigit() for c in match["rest"])) and not any(
            is_word(word.lower()) for word in (*match["last"].split(), match["first"])
        ):
            yield Found(match.start("last"), match.end("first"), "NAME")
    for match in _INITIAL.finditer(text):
        surname = _SURNAME.search(text, max(0, match.start() - _LINE), match.start())
        if surname is not None and not is_word(surname[0].lower()) and not surname[0].isupper():
            yield Found(surname.start(), match.end(), "NAME")


def _lines(text: str) -> Iterator[int]:
    """Where lines begin."""
    yield 0
    at = text.find("\n")
    while at >= 0:
        yield at + 1
        at = text.find("\n", at + 1)


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
    if "\n" not in text and not text[:2].strip("[(").isdigit():
        return
    if not any(_may_speak(text, at) for at in _colons(text)):
        return
    lines = [match for match in _SPEAKER.finditer(text) if not _is_role(match["name"])]
    often = Counter(match["name"] for match in lines)
    # Once is enough where the clock says that it is a chat.
    yield from (
        Found(*match.span("name"), "NAME")
        for match in lines
        if often[match["name"]] > 1 or match["clock"] or match["at"]
    )


def _colons(text: str) -> Iterator[int]:
    at = text.find(": ")
    while at >= 0:
        yield at
        at = text.find(": ", at + 2)


def _may_speak(text: str, at: int) -> bool:
    """Whether the word before a colon may be a name: most often it is a role, line after line."""
    if text[at - 1 : at] in (")", "]"):
        at = max(at - _LINE, text.rfind(" (", 0, at), text.rfind(" [", 0, at))
    word = text[max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1 : at]
    return word[:1].isupper() and word.lower() not in _SAID


def _is_role(name: str) -> bool:
    low = name.lower()
    return name.isupper() or any(word in _SAID or is_word(word) for word in low.split())


def _is_signature(text: str, match: "re.Match[str]") -> bool:
    """Whether the words below a farewell are a name, and not who speaks next ("Doctor: ...")."""
    said = match["name"].replace(".", " ").split()
    plain = [word for word in said if not is_word(word.lower()) and word.lower() not in _LEADS]
    return bool(plain) and said[0][0].isupper() and not ends_label(text, match.end("name"))


def ends_label(text: str, at: int) -> bool:
    """Whether a place ends a label: a colon follows."""
    return text[at : at + 3].lstrip(" *").startswith((":", "="))
