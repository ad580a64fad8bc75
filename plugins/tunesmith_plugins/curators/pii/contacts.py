"""Where a person is reached: telephone and fax, mail, web and network addresses."""

import ipaddress
import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import Digits, matches_at
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.labels import label_before
from tunesmith_plugins.curators.pii.lexicon import is_word
from tunesmith_plugins.curators.pii.word_list import words

_MAIL = re.compile(r"(?<![\w.+%'-])[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_URL = re.compile(
    r"(?:(?<!\w)(?:https?|ftps?|sftp|file)://|(?<![\w.@/-])www\.)[^\s<>\"'`{}|\\^\[\]]{2,2000}", re.IGNORECASE
)
_ENDINGS = words(
    """
    com org net edu gov io info biz co uk de fr eu us ca ch at health care me app dev bank clinic online example
    """
)
_BARE_URL = re.compile(
    rf"(?<![\w.@/-])(?:[a-z0-9-]{{1,63}}\.){{1,5}}(?:{'|'.join(_ENDINGS)})"
    r"(?:/[\w./?%&=+#~-]{0,300}\w/?|\b(?![\w@(-]|\.\w))",
    re.IGNORECASE,
)
# Cheap looks at what a text must hold before a pattern is worth its time.
MAYBE_URL = re.compile(rf"\.(?:{'|'.join(_ENDINGS)})")
MAYBE_IP6 = re.compile(r":[0-9A-Fa-f]{0,4}:")
MAYBE_MAC = re.compile(r":[0-9A-Fa-f]{2}:")
MAYBE_DASHED_MAC = re.compile(r"-[0-9A-Fa-f]{2}-")
MAYBE_IP4 = re.compile(r"\.\d{1,3}\.\d")
_IP4 = re.compile(r"\d(?<![\w.]\d)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?:/\d{1,2})?(?!\w|\.\d)")
_IP6 = re.compile(r"[0-9A-Fa-f:](?<![\w:.].)[0-9A-Fa-f:]{1,38}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")
_MAC = re.compile(r"[0-9A-Fa-f](?<![\w:-].)[0-9A-Fa-f]([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_PHONES = (
    # North America: (415) 555-0132, 415-555-0132, +1 415.555.0132 ext. 9
    re.compile(
        r"[\d+(](?<![\w.+/-].)(?:(?<=\+)1[ .-]?(?:\(\d{3}\)[ .-]?|\d{3}[ .-])|(?<=1)[ .-]?\(\d{3}\)[ .-]?|"
        r"(?<=1)[ .-]\d{3}[ .-]|(?<=\()\d{3}\)[ .-]?|(?<=\d)\d{2}[ .-])\d{3}[ .-]\d{4}"
        r"(?: ?(?:x|ext\.?|extension) ?\d{1,6})?(?![\w-]|\.\d)",
        re.IGNORECASE,
    ),
    # With a country's code: +49 711 123456-0, +44 (0)20 7946 0958, 0049 711 123456
    re.compile(r"[+0](?<![\w+].)(?:(?<=\+)|0(?=[1-9]))\d{1,3}(?:[ ./-]?\(?\d{1,6}\)?){2,7}(?!\w|\.\d)"),
    # National, with a leading zero: 020 7946 0958, 0711/123456, 07700 900123, (030) 23125 123
    re.compile(
        r"[(0](?<![\w.,/+-].)(?:(?<=\()0[1-9]\d{1,4}\)|(?<=0)[1-9]\d{1,4})"
        r"[ /-]{1,3}\d{2,8}(?:[ -]\d{2,8}){0,3}(?!\w|[.,/]\d)"
    ),
)
_SERVICES = words(
    """
    twitter instagram insta tiktok snapchat telegram mastodon bluesky github gitlab linkedin facebook skype discord
    reddit youtube twitch wechat venmo handle screenname nickname gamertag
    """
)
_HANDLE = re.compile(
    rf"\b(?:{'|'.join(_SERVICES)})(?: (?:id|handle|name|account|user|username|profile|is|as|under))*"
    r"(?: ?[:=] ?(?P<marked>\w[\w.#-]{1,38}\w)|(?: ?[:=])? ?(?:live:|@)(?P<said>\w[\w.-]{1,38}\w))(?![\w/:])",
    re.IGNORECASE,
)
# Not at the start of a line, where decorators and style sheets have theirs; those of persons alone have such signs.
_MENTION = re.compile(r"(?<=[a-z,;:] @)(?=[a-z]*[\d_])[a-z]\w{2,29}(?![\w(/.@])", re.IGNORECASE)
_TAIL = ".,;:!?)"
_VERSION = re.compile(r"(?:version|v|release|build|firmware|software|python)[ :.]{0,2}$", re.IGNORECASE)
_LEAST, _MOST = 8, 16
_COLONS = 7


def contacts(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Mail, web and network addresses; the most certain kind first."""
    if "@" in text:
        yield from (Found(m.start(), m.start() + len(m[0].rstrip(".-")), "EMAIL") for m in _MAIL.finditer(text))
        yield from (Found(*m.span(), "ID") for m in _MENTION.finditer(text))
    if any(service in low for service in _SERVICES):
        yield from _handles(text)
    if "://" in text or "www." in low:
        yield from (Found(m.start(), m.start() + len(m[0].rstrip(_TAIL)), "URL") for m in _URL.finditer(text))
    if MAYBE_URL.search(low):
        yield from (Found(*m.span(), "URL") for m in _BARE_URL.finditer(text))
    if MAYBE_IP4.search(text):
        yield from (Found(*m.span(), "IP") for m in matches_at(_IP4, text, digits.starts) if _is_address(text, m))
    if MAYBE_MAC.search(text) or MAYBE_DASHED_MAC.search(text):
        yield from (Found(*m.span(), "MAC") for m in _MAC.finditer(text))
    if MAYBE_IP6.search(text):
        yield from (Found(*m.span(), "IP") for m in _IP6.finditer(text) if m[0].count(":") > 1 and _is_address(text, m))


def _handles(text: str) -> Iterator[Found]:
    """What a person is called on a service; a word of the language is none."""
    for match in _HANDLE.finditer(text):
        if match["said"] or not is_word(match["marked"].lower()):
            yield Found(*match.span("said" if match["said"] else "marked"), "ID")


def phones(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Telephone and fax numbers by their shape; of a kind that a label names, where leading zeros alone suggest one."""
    starts = [at for start in digits.starts for at in _with_sign(text, start)]
    for form in _PHONES:
        for m in matches_at(form, text, starts):
            if _is_phone(m[0]):
                # "(MRN 00482913)" closes what the number has not opened
                end = m.end() - (m[0][-1] == ")" and "(" not in m[0])
                yield Found(m.start(), end, _kind(low, m) if m[0][0] == "0" else "PHONE")


def _with_sign(text: str, start: int) -> tuple[int, ...]:
    """Where a number may begin whose first digit stands there: at the sign before it too."""
    return (start - 1, start) if text[start - 1 : start] in ("+", "(") else (start,)


def _is_address(text: str, match: "re.Match[str]") -> bool:
    said = match[0]
    try:
        ipaddress.ip_interface(said)
    except ValueError:
        return False
    if ":" in said and said.replace(":", "").isdecimal() and "::" not in said:
        return said.count(":") == _COLONS
    return said not in ("::", "::1") and not _VERSION.search(text, max(0, match.start() - 12), match.start())


def _kind(low: str, match: "re.Match[str]") -> str:
    """What a number with leading zeros is: an account's behind "account number", and a telephone's else."""
    label = label_before(low, match.start())
    return label.kind if label is not None and (label.sure or match[0].isdecimal()) else "PHONE"


def _is_phone(number: str) -> bool:
    return _LEAST <= sum(map(str.isdigit, number)) <= _MOST
