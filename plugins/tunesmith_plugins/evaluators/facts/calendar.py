"""Dates, however they are spelt, and days of the week."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tunesmith_plugins.curators.pii.anchors import digits_of
from tunesmith_plugins.curators.pii.dates import dates as written_dates
from tunesmith_plugins.curators.pii.dates import parse
from tunesmith_plugins.evaluators.facts.fact import Fact, Taken

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY = re.compile(rf"\b(?:{'|'.join(_DAYS)})(?=s?\b)", re.IGNORECASE)


class Day(NamedTuple):
    """A date; None for what it does not name."""

    year: int | None
    month: int | None
    day: int | None
    weekday: int | None = None


Readings = frozenset[Day]
"""A date as it may be meant: 03/04/2020 is in March or in April."""


def dates(text: str, taken: Taken) -> Iterator[Fact]:
    """Dates with more than a year, and days of the week."""
    for found in written_dates(text, text.lower(), digits_of(text)):
        readings = _readings(text[found.start : found.end])
        if readings and taken.free(found.start, found.end):
            taken.take(found.start, found.end)
            yield Fact(found.start, found.end, "dates", readings)
    for match in _WEEKDAY.finditer(text):
        if taken.free(*match.span()):
            taken.take(*match.span())
            yield Fact(*match.span(), "dates", frozenset({Day(None, None, None, _DAYS.index(match[0].lower()))}))


def supports(known: Iterable[Readings], asked: Readings) -> bool:
    """Whether dates support one: in a reading of both, all that it names is as it is there."""
    return any(_within(one, other) for readings in known for other in readings for one in asked)


def _within(asked: Day, known: Day) -> bool:
    return all(one is None or one == other for one, other in zip(asked, known, strict=True))


def _readings(text: str) -> Readings:
    parsed = [found for day_first in (False, True) if (found := parse(text, day_first)) is not None]
    return frozenset(
        Day(
            found.day.year if found.has_year else None,
            found.day.month,
            found.day.day if found.has_day else None,
        )
        for found in parsed
    )
