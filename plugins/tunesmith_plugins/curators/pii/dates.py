"""Dates: how they are written, and the same writing with another day."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from tunesmith_plugins.curators.pii.anchors import Digits, matches_at
from tunesmith_plugins.curators.pii.found import Found

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_GERMAN = ("januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
           "dezember")  # fmt: skip
_MONTH = (
    r"(?P<month>jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    r"sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?P<ordinal>st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:1[89]|20)\d{2})"
_SHORT_YEAR = r"\.?,? ?['’](?P<short>\d\d)"
_CLOCK = r"(?P<clock>[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
# (?<![...]) and (?![...]) keep off identifiers: versions, file names, URLs.
_NUMBERS = r"(?P<first>0?[1-9]|[12]\d|3[01])"
_SECOND = r"(?P<second>0?[1-9]|[12]\d|3[01])"
# Where a month may stand, in lower case: the forms with a month's name are tried around these places alone.
_MONTHS_START = re.compile(r"[jfmasond](?<![^\W\d_].)(?:an|eb|ar|är|pr|ay|ai|un|ul|ug|ep|ct|kt|ov|ec|ez)[a-zä]{0,6}")
_BACK, _AHEAD = 24, 24
# How far from a month's name its digits may stand.
_DIGITS_BEFORE, _DIGITS_BEHIND, _LONGEST_MONTH = 8, 10, 9
# Each begins with a look at what is before it, so that versions, file names and addresses are no dates.
_ISO, _NUMERIC, _MONTH_DAY, _DAY_MONTH, _MONTH_YEAR, _SHORT, _MONTHLY, _COMPACT = _FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        (
            rf"(?=\d)(?<![\w./=+-]){_YEAR}(?P<s>[-/.])(?P<month>0?[1-9]|1[0-2])(?P=s)(?P<day>0[1-9]|[12]\d|3[01]|[1-9])"
            rf"{_CLOCK}(?![\w/-]|\.\w)"
        ),
        rf"(?=\d)(?<![\w./=+-]){_NUMBERS}(?P<s>[-/.]){_SECOND}(?P=s)(?P<year>(?:1[89]|20)\d{{2}}|\d{{2}})(?![\w/-]|\.\w)",
        rf"(?<![\w-]){_MONTH}(?P<dot>\.?[ -]){_DAY}(?:(?P<sep>,? |-){_YEAR}|{_SHORT_YEAR})?(?![\w/]|[.:]\d)",
        (
            rf"(?<![\w.-]){_DAY}(?P<sep>\.? ?-?(?:of )?){_MONTH}"
            rf"(?:(?P<dot>\.?,?[ -]){_YEAR}|(?:-|\.?,? ?['’])(?P<short>\d\d))?(?!\w)"
        ),
        rf"(?<![\w.-]){_MONTH}(?:(?P<dot>\.?,?[ -](?:of )?){_YEAR}|{_SHORT_YEAR})(?!\w)",
        rf"(?=\d)(?<=[ (]){_NUMBERS}/{_SECOND}(?![\w/%-]|\.\d)",
        r"(?=\d)(?<![\w./=+-])(?P<month>0[1-9]|1[0-2])/(?P<year>(?:19|20)\d{2})(?![\w/-]|\.\d)",
        r"(?=\d)(?<![\w./-])(?P<year>(?:19|20)\d{2})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?![\w-]|\.\d)",
    )
)
# "May 5" is a date and "may 5" may be none; "on 3/14" is a date and "3/14" may be a share.
_BEFORE = re.compile(
    r"(?:\b(?:on|since|by|until|till|from|dated?|due|before|after|of|for|dob|visit|seen|and|to)[: ]{1,2}|[(–-] ?|"
    r"\b(?-i:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?\.?,?[: ]{1,2})$",
    re.I,
)
# Part of the date, since it tells about the day as well; in lower case when written out only ("the patient sat").
_WEEKDAY = (
    r"(?:(?i:(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|sonnabend)"
    r"|Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun|MON|TUE|WED|THU|FRI|SAT|SUN)(?:\.?,? +|: *)(?:(?:the|den) )?"
)
_WEEKDAY_BEFORE = re.compile(rf"(?<![\w-]){_WEEKDAY}$")
_WEEKDAY_FIRST = re.compile(_WEEKDAY)
_LONGEST_WEEKDAY = 20
_BORN = re.compile(r"born(?<!\wborn)(?: in)? (?P<year>(?:18|19|20)\d{2})\b")
_COMPACT_BEFORE = re.compile(r"(?:dob|date|born|geb(?:oren)?|birth ?date|geburtsdatum)\W{0,4}$", re.IGNORECASE)
# As spreadsheets have it: '29 is 2029, '30 is 1930.
_PIVOT = 30
_DIGIT = re.compile(r"\d")
# Where a date in numbers may begin: nowhere else are its forms tried.
_NUMERIC_START = re.compile(r"\d(?<!\w\d)\d{0,3}[-/.]\d")
_BIRTHS = ("dob", "date", "born", "geb")


@dataclass(frozen=True)
class Parsed:
    """A date as it is written.

    Args:
        day: The day that it names; its month's fifteenth where it names none, of a leap year where it names no year.
        has_year: Whether it names a year.
        has_day: Whether it names a day.
        match: Where its parts stand.
        day_first: Whether the day stands before the month, both being numbers.
        before: The day of the week that stands before it.
    """

    day: date
    has_year: bool
    has_day: bool
    match: "re.Match[str]"
    day_first: bool
    before: str = ""

    @property
    def is_short(self) -> bool:
        """Whether its year is written in two digits."""
        parts = self.match.groupdict()
        return parts.get("short") is not None or len(parts.get("year") or "    ") == len("31")


def dates(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Dates with more than a year, in English and German, and years of birth."""
    starts = [start for start in digits.starts if _NUMERIC_START.match(text, start)]
    if starts:
        for form in (_ISO, _NUMERIC, _SHORT, _MONTHLY):
            yield from _dates(form, text, matches_at(form, text, starts))
    for begin, stop in digits.near(_DIGITS_BEHIND + _LONGEST_MONTH, _DIGITS_BEFORE + _LONGEST_MONTH):
        for month in _MONTHS_START.finditer(low, begin, stop):
            start, end = month.span()
            behind = _DIGIT.search(text, end, end + _DIGITS_BEHIND) is not None
            forms = [_DAY_MONTH] if _DIGIT.search(text, max(0, start - _DIGITS_BEFORE), start) else []
            for form in [*forms, *([_MONTH_DAY, _MONTH_YEAR] if behind else [])]:
                yield from _dates(form, text, form.finditer(text, max(0, start - _BACK), end + _AHEAD))
    if any(word in low for word in _BIRTHS):
        yield from _dates(_COMPACT, text, matches_at(_COMPACT, text, digits.starts))
        yield from (Found(*match.span("year"), "DATE") for match in _BORN.finditer(low))


def _dates(form: "re.Pattern[str]", text: str, matches: Iterable["re.Match[str]"]) -> Iterator[Found]:
    for match in matches:
        start = match.start()
        if form is _SHORT and not _BEFORE.search(text, max(0, start - 12), start):
            continue
        if form is _COMPACT and not _COMPACT_BEFORE.search(text, max(0, start - 16), start):
            continue
        if form in (_MONTH_DAY, _DAY_MONTH, _MONTH_YEAR) and not _is_name_of_month(match):
            continue
        if _parsed(match, False) is not None:
            weekday = _WEEKDAY_BEFORE.search(text, max(0, start - _LONGEST_WEEKDAY), start)
            yield Found(weekday.start() if weekday else start, match.end(), "DATE")


def parse(text: str, day_first: bool = False) -> Parsed | None:
    """A text that is a date and nothing else; None where it is none.

    Args:
        text: As `dates` found it.
        day_first: Whether 03/04/2020 is in April; dots always mean that the day is first.
    """
    text, before = _without_weekday(text)
    for form in _FORMS:
        match = form.fullmatch(text) or form.fullmatch(f" {text}", 1)
        if match is not None and (parsed := _parsed(match, day_first)) is not None:
            return replace(parsed, before=before)
    return None


def has_day_first(text: str) -> bool:
    """Whether a text is a date in numbers whose first one can only be a day; dots say nothing of other separators."""
    match = _NUMERIC.fullmatch(_without_weekday(text)[0])
    return match is not None and match["s"] != "." and int(match["first"]) > 12


def _without_weekday(text: str) -> tuple[str, str]:
    """A date without the day of the week before it, and that."""
    found = _WEEKDAY_FIRST.match(text)
    end = found.end() if found else 0
    return text[end:], text[:end]


def shifted(parsed: Parsed, weeks: int) -> str:
    """The date so many weeks later, written as it was: order, separators, zeros, capitals, clock."""
    new = _moved(parsed.day, weeks)
    parts = {name: value for name, value in parsed.match.groupdict().items() if value is not None}
    pieces: dict[str, str] = {}
    for name, value in parts.items():
        pieces[name] = _written(name, value, parsed, new)
    text, start = parsed.match[0], parsed.match.start()
    for name in sorted(pieces, key=parsed.match.start, reverse=True):
        begin, end = (at - start for at in parsed.match.span(name))
        text = text[:begin] + pieces[name] + text[end:]
    return parsed.before + text


def _moved(day: date, weeks: int) -> date:
    try:
        return day + timedelta(weeks=weeks)
    except OverflowError:
        return day


def _written(name: str, value: str, parsed: Parsed, new: date) -> str:
    padded = _is_padded(parsed)
    if name in ("first", "second"):
        is_day = (name == "first") == parsed.day_first
        return _number(new.day if is_day else new.month, padded)
    if name == "day":
        return _number(new.day, padded)
    if name == "ordinal":
        return _like(_ordinal(new.day), value)
    if name == "month":
        return _number(new.month, padded) if value.isdecimal() else _like(_month(new.month, value), value)
    if name in ("year", "short"):
        return f"{new.year:04d}"[-len(value) :]
    return value


def _is_padded(parsed: Parsed) -> bool:
    """Whether small numbers get a leading zero: where one has it, or where all are of two digits and months are too."""
    written = [v for name, v in parsed.match.groupdict().items() if v and name in ("first", "second", "day", "month")]
    numbers = [value for value in written if value.isdecimal()]
    return any(value[0] == "0" for value in numbers) or (
        len(numbers) == 2 and all(len(value) == 2 for value in numbers)
    )


def _number(number: int, padded: bool) -> str:
    return f"{number:02d}" if padded else str(number)


def _month(number: int, like: str) -> str:
    low = like.lower()
    names = _GERMAN if low in set(_GERMAN) - set(_MONTHS) or low in ("okt", "dez") else _MONTHS
    name = names[number - 1]
    return name if low in (*_MONTHS, *_GERMAN) and (len(low) > 3 or low in ("may", "mai")) else name[:3]


def _ordinal(day: int) -> str:
    return "th" if 10 < day % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _like(text: str, like: str) -> str:
    return text.upper() if like.isupper() and len(like) > 1 else text.capitalize() if like[0].isupper() else text


def _is_name_of_month(match: "re.Match[str]") -> bool:
    """Months that are words too ("may 5", "march 3") are capitalised, or stand after a word that dates."""
    if match["month"][0].isupper() or match["month"].lower() not in ("may", "march", "mar", "sun", "mai"):
        return True
    return "year" in match.groupdict() and match["year"] is not None


def _parsed(match: "re.Match[str]", day_first: bool) -> Parsed | None:
    parts = match.groupdict()
    first, second = parts.get("first"), parts.get("second")
    if first is not None and second is not None:
        day_first = parts.get("s") == "." or int(first) > 12 or (day_first and int(second) <= 12)
        day, month = (int(first), int(second)) if day_first else (int(second), int(first))
    else:
        day = int(parts["day"]) if parts.get("day") else 15
        month = int(parts["month"]) if parts["month"].isdecimal() else _month_number(parts["month"])
    written = parts.get("year") or parts.get("short")
    year = 2000 if written is None else int(written)
    if written is not None and len(written) == 2:
        year += 2000 if year < _PIVOT else 1900
    try:
        return Parsed(date(year, month, day), written is not None, bool(parts.get("day") or first), match, day_first)
    except ValueError:
        return None


def _month_number(name: str) -> int:
    start = name.lower()[:3].translate(str.maketrans("k", "c"))
    start = {"mai": "may", "mär": "mar", "dez": "dec"}.get(start, start)
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(start))
