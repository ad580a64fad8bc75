"""Numbers that identify: by their check digits, by their shape, or by what stands before them.

Patterns begin with what they search for, and look behind it from there: each is tried at the digits of a text alone.
"""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii import checksums
from tunesmith_plugins.curators.pii.anchors import Digits, matches_at, words_with
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.labels import label_before

_CARD = re.compile(
    r"\d(?<![\w.+-]\d)\d{3}(?:(?:[ -]?\d{4}){2}[ -]?\d{1,4}(?:[ -]?\d{3})?|[ -]?\d{6}[ -]?\d{5})(?![\w-])"
)
_IBAN = re.compile(r"[A-Z](?<!\w.)[A-Z]\d{2}(?:[ -]?[A-Z0-9]{2,4}){2,8}(?:[ -]?[A-Z0-9]{1,3})?(?!\w)")
# A cheap look at what a text must hold before the pattern is worth its time.
MAYBE_UUID = re.compile(r"-[0-9a-fA-F]{4}-")
_IMEI = re.compile(r"\d(?<![\w-]\d)\d([- ])\d{6}\1\d{6}\1\d(?![\w-])")
_SSN = re.compile(r"\d(?<![\w-]\d)\d{2}([- ])\d{2}\1\d{4}(?![\w-])")
_DEA = re.compile(r"[ABCDEFGHJKLMPRSTUXZ](?<!\w.)[A-Z9]\d{7}(?!\w)")
_NINO = re.compile(r"[A-CEGHJ-PR-TW-Z](?<!\w.)[A-CEGHJ-NPR-TW-Z] ?\d{2}( ?)\d{2}\1\d{2} ?[A-D](?!\w)")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9](?<!\w.)[A-HJ-NPR-Z0-9]{16}(?!\w)")
_MEDICARE = re.compile(
    r"[1-9](?<!\w.)[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?"
    r"[AC-HJKMNP-RT-Y]{2}\d\d(?!\w)"
)
_UUID = re.compile(r"[0-9a-fA-F](?<![\w-].)[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])")
# From the first digit of a token on; letters before it are added.
_TOKEN = re.compile(
    r"\d(?<!\d\d)[A-Za-z\d]*(?:[-/.][A-Za-z\d]{1,12}(?:(?!\w)|(?=[-/.]))| \d{2,6}(?![\w/.:%,-])){0,6}(?!\w)"
)
_HEAD = re.compile(r"[A-Za-z]{0,6}[-/]?$")
_PREFIX = re.compile(r"(?<!\w)[A-Z]{1,4} $")
_UNIT = re.compile(
    r" ?(?:mg|mcg|ug|ml|mmol|mmhg|g|kg|cm|mm|bpm|%|°|units?|iu|days?|weeks?|months?|years?|hours?|minutes?|times|x|usd|"
    r"eur|dollars|euros?|points?|pages?|people|patients|steps|tokens|rows)\b",
    re.IGNORECASE,
)
_NOT_PERSONAL = ("NCT", "PMID", "PMC", "CVE", "RFC", "ISO", "DOI", "ICD", "CPT", "LOINC", "SKU", "EAN", "ISBN")
_CURRENCY = "$€£¥"
_FEW, _SOME, _LONG, _LONGEST = 3, 6, 9, 22
_DECIMAL = re.compile(r"\d{1,3}\.\d{1,3}")
# So many digits in one, that are no day, are no quantity either.
_DENSE = 8
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_OF_PAPERS = re.compile(r"(?:pmid|pmc|doi|nct|isbn|ean|sku)[:# ]*$")


def checked(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Numbers that their check digits, ranges or shape give away, wherever they stand; the most certain kind first."""
    starts = digits.starts
    lettered = [start for start in starts if text[start - 1 : start].isalpha()]
    for m in matches_at(_IBAN, text, (start - 2 for start in lettered)):
        if checksums.iban(_plain(m[0])):
            yield Found(*m.span(), "IBAN")
    for m in matches_at(_VIN, text, words_with(text, digits)):
        if checksums.vin(m[0]):
            yield Found(*m.span(), "VEHICLE")
    for m in matches_at(_DEA, text, (at for start in lettered for at in (start - 2, start - 1))):
        if checksums.dea(m[0]):
            yield Found(*m.span(), "LICENCE")
    yield from (Found(*m.span(), "PLAN") for m in matches_at(_MEDICARE, text, starts))
    yield from (
        Found(*m.span(), "SSN")
        for m in matches_at(_NINO, text, (at for s in starts for at in (s - 3, s - 2) if at >= 0))
    )
    if MAYBE_UUID.search(text):
        yield from (Found(*m.span(), "ID") for m in _UUID.finditer(text))
    for m in matches_at(_IMEI, text, starts):
        if checksums.luhn(_plain(m[0])):
            yield Found(*m.span(), "DEVICE")
    for m in matches_at(_CARD, text, starts):
        if checksums.card(_plain(m[0])):
            # The check digit of an IMEI is that of a card.
            label = label_before(low, m.start())
            yield Found(*m.span(), "DEVICE" if label is not None and label.kind == "DEVICE" else "CARD")
    for m in matches_at(_SSN, text, starts):
        if checksums.ssn(_plain(m[0])):
            yield Found(*m.span(), "SSN")


def labelled(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Numbers that a label names, and those that are too long to be a quantity."""
    done = 0
    for match in matches_at(_TOKEN, text, digits.starts):
        first, end = match.span()
        count = sum(map(str.isdigit, match[0]))
        if count < _FEW or first < done:
            continue
        start = _start(text, first)
        before = text[start - 1 : start]
        if before and (before.isalnum() or before in _CURRENCY or before == "_" or _fraction(text, start)):
            continue
        label = label_before(low, start)
        if label is None and before == " " and (prefix := _PREFIX.search(text, max(0, start - 6), start)):
            label = label_before(low, prefix.start())
            start = prefix.start() if label is not None else start
        token = text[start:end]
        if label is not None and (label.sure or count >= _SOME) and not _quantity(text, start, end, count):
            yield Found(start, end, label.kind)
            done = end
        elif count >= _LONG or (count >= _SOME and _has_letters(token, count)) or _is_dense(text, low, start, end):
            yield from _unlabelled(token, start, count)


def _start(text: str, first: int) -> int:
    """Where the token begins whose first digit stands at `first`."""
    head = _HEAD.search(text, max(0, first - 7), first)
    return head.start() if head is not None else first


def _fraction(text: str, start: int) -> bool:
    """Whether the token is what stands behind a decimal point, or a comma of thousands."""
    return text[start - 1] in ".," and text[start - 2 : start - 1].isalnum()


def _unlabelled(token: str, start: int, digits: int) -> Iterator[Found]:
    core = token.replace("-", "")
    if "." in token or "/" in token or " " in token or digits > _LONGEST or core.startswith(_NOT_PERSONAL):
        return
    if core.isdecimal():
        kind = "ROUTING" if len(core) == _LONG and checksums.aba(core) else "ID"
        yield Found(start, start + len(token), "LICENCE" if checksums.npi(core) else kind)
    elif core.isupper() and core.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").isdecimal():
        yield Found(start, start + len(token), "ID")


def _has_letters(token: str, digits: int) -> bool:
    """Whether letters begin a token: one before seven digits, or three before six."""
    return token[0].isalpha() and (digits > _SOME or token[:_FEW].isalpha())


def _is_dense(text: str, low: str, start: int, end: int) -> bool:
    """Whether a token is of eight digits, and no day, no amount and no number of a paper."""
    token = text[start:end]
    if len(token) != _DENSE or not token.isdecimal() or _DAY.fullmatch(token) or token.endswith("000"):
        return False
    return not (
        _OF_PAPERS.search(low, max(0, start - 10), start) or _UNIT.match(text, end) or text[end : end + 2] == " /"
    )


def _quantity(text: str, start: int, end: int, digits: int) -> bool:
    """Whether a short number is a measure: a unit follows, or it has decimals ("group = 0.22")."""
    return digits < _SOME and (_UNIT.match(text, end) is not None or _DECIMAL.fullmatch(text, start, end) is not None)


def _plain(number: str) -> str:
    return number.replace(" ", "").replace("-", "")
