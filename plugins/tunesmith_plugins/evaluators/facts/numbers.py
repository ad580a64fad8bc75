"""Numbers with their units, as exact amounts: 1,000 mg, "one gram" and 1 g are the same."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from tunesmith_plugins.evaluators.facts.fact import Fact, Taken
from tunesmith_plugins.evaluators.facts.number_words import SCALES, number_words
from tunesmith_plugins.evaluators.facts.units import CURRENCIES, Dimension, Unit, unit_named, unit_pattern, units

_NUMBER = re.compile(
    r"(?<![\w.,])(?<![A-Za-z]-)(?:(?P<currency>(?:US)?\$|[€£¥]|USD|EUR|GBP|CHF|JPY) ?)?"
    r"(?P<sign>(?<![\w.)])[-\u2212](?=[\d.]))?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:st|nd|rd|th|(?<=\d0)s)?"
    r"(?:[ -]?(?P<scale>hundred|thousand|million|billion|trillion|bn|k|m)\b)?",
    re.IGNORECASE | re.ASCII,
)
_CLOCK = re.compile(
    r"(?<![\w.:/-])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::[0-5]\d)?(?: ?(?P<half>[ap])\.?m\b\.?)?(?![:\d])",
    re.IGNORECASE | re.ASCII,
)
_RANGE = re.compile(r" ?[-\u2013\u2014] ?|,? (?:to|or|and) ", re.IGNORECASE)
# "316L", "2.1.3" and "5-HT" are no numbers.
_IN_A_WORD = re.compile(r"\w|\.\d|-\d*[A-Z]")
# An age is a number alone, as a text may give it without its unit.
_AGE = re.compile(r"[ -]?(?:(?:years?|yrs?)[ -](?:old\b|of age\b)|yo\b|y/o\b)", re.IGNORECASE)
_LISTED = re.compile(r"^[ \t]*\d{1,3}[.)](?=[ \t])", re.MULTILINE)
_SHORT_SCALES = {"k": 1000, "m": 10**6, "bn": 10**9}


class Amount(NamedTuple):
    """A number in the base of its unit.

    Args:
        value: As it is written, without its unit.
        base: In the unit's base.
        dimension: Of the unit; empty for a number without one.
    """

    value: Fraction
    base: Fraction
    dimension: Dimension


class _Written(NamedTuple):
    start: int
    end: int
    value: Fraction
    unit: Unit | None = None
    is_one: bool = False


def numbers(text: str, taken: Taken) -> Iterator[Fact]:
    """Amounts and times of the day; "one" without a unit says no number, nor do digits within a word."""
    for match in _CLOCK.finditer(text):
        if taken.free(*match.span()):
            taken.take(*match.span())
            yield Fact(*match.span(), "numbers", _time(match))
    found = sorted(_written(text, taken), key=lambda one: one.start)
    for at, one in enumerate(found):
        unit = one.unit
        if unit is None and at + 1 < len(found) and _RANGE.fullmatch(text[one.end : found[at + 1].start]):
            unit = found[at + 1].unit  # "5 to 10 mg": both are milligrams
        if not taken.free(one.start, one.end) or (one.is_one and unit is None):
            continue
        taken.take(one.start, one.end)
        amount = Amount(one.value, one.value * unit.factor, unit.dimension) if unit else _bare(one.value)
        yield Fact(one.start, one.end, "numbers", amount)


def supports(known: Iterable[Amount], amount: Amount, bare: Iterable[int] = ()) -> bool:
    """Whether amounts support one: an equal one; a number without a unit also by the same number with any.

    Args:
        known: The amounts.
        amount: The one.
        bare: Further numbers without a unit: the parts of dates.
    """
    if amount.dimension:
        return any(one.dimension == amount.dimension and one.base == amount.base for one in known)
    return any(one.value == amount.value for one in known) or amount.value in set(bare)


def _bare(value: Fraction) -> Amount:
    return Amount(value, value, ())


def _time(match: "re.Match[str]") -> Amount:
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    hour = hour % 12 + 12 * (half == "p") if half and hour <= 12 else hour
    minutes = Fraction(60 * hour + int(match["minute"]))
    return Amount(minutes, minutes, (("clock", 1),))


def _written(text: str, taken: Taken) -> Iterator[_Written]:
    for match in _LISTED.finditer(text):
        taken.take(*match.span())
    for match in _NUMBER.finditer(text):
        if taken.free(*match.span("number")) and (one := _in_figures(text, match)) is not None:
            yield one
    for start, end, value in number_words(text):
        if taken.free(start, end):
            unit, behind = _unit_behind(text, end)
            yield _Written(start, behind, Fraction(value), unit, text[start:end].lower() == "one")


def _in_figures(text: str, match: "re.Match[str]") -> _Written | None:
    value, end = Fraction(match["number"].replace(",", "")), match.end()
    scale, currency = (match["scale"] or "").lower(), match["currency"]
    if scale in SCALES or (scale and currency):
        value *= SCALES.get(scale) or _SHORT_SCALES[scale]
    elif scale and (money := _money().match(text, end)):  # 1.2k USD
        return _Written(match.start(), money.end(), value * _SHORT_SCALES[scale], unit_named(money[1]))
    elif scale:  # "5 m" are metres
        end = match.end("number")
    if match["sign"]:
        value = -value
    unit, behind = _unit_behind(text, end)
    if unit is None and _IN_A_WORD.match(text, end):
        return None
    if currency:
        unit, behind = _divided(text, end, units()[CURRENCIES[currency.upper()]])
    return _Written(match.start(), behind, value, unit)


def _unit_behind(text: str, at: int) -> tuple[Unit | None, int]:
    """The unit behind a number, divided by those that follow it ("mg/kg per day"); and where it ends."""
    if (age := _AGE.match(text, at)) is not None:
        return Unit(Fraction(1), ()), age.end()
    match = _behind().match(text, at)
    unit = unit_named(match[1]) if match else None
    return (None, at) if match is None or unit is None else _divided(text, match.end(), unit)


def _divided(text: str, at: int, unit: Unit) -> tuple[Unit, int]:
    while (match := _per().match(text, at)) and (other := unit_named(match[1])):
        unit, at = unit.per(other), match.end()
    return unit, at


@cache
def _behind() -> "re.Pattern[str]":
    return re.compile(rf"[ \u00a0-]?({unit_pattern()})(?![A-Za-z0-9_²³])", re.IGNORECASE)


@cache
def _money() -> "re.Pattern[str]":
    return re.compile(r"[ \u00a0-]?(USD|EUR|GBP|CHF|JPY|dollars?|euros?)(?![A-Za-z0-9_])", re.IGNORECASE)


@cache
def _per() -> "re.Pattern[str]":
    return re.compile(rf"(?: ?/ ?| per | a )({unit_pattern()})(?![A-Za-z0-9_²³])", re.IGNORECASE)
