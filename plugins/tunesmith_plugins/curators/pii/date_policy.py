"""What becomes of dates: shifted by a number of weeks that only the key tells, their year alone, or a placeholder."""

from collections.abc import Callable, Sequence
from typing import Literal

from tunesmith_plugins.curators.pii.dates import has_day_first, parse, shifted
from tunesmith_plugins.curators.pii.key import Key

# Whole weeks, so that days of the week, which notes name in many ways and far from the date, tell nothing of the shift.
_MOST_WEEKS = 104
# Safe Harbor: no year that tells an age over 89.
_OLDEST = 89
Change = Callable[[str], str | None]


class DatePolicy:
    """What becomes of dates.

    Args:
        how: As the option says.
        key: Needed to shift.
    """

    def __init__(self, how: Literal["placeholder", "year", "shift"], key: Key | None = None) -> None:
        self.how = how
        self.key = key

    def of(self, scope: str, said: Sequence[str]) -> Change:
        """What becomes of each date of a document; None where a placeholder takes its place.

        Args:
            scope: The person's, or the document's.
            said: All its dates.
        """
        if self.how == "placeholder":
            return lambda text: None
        day_first = any(has_day_first(text) for text in said)
        if self.how == "year":
            dated = [parsed for text in said if (parsed := parse(text)) is not None and parsed.has_year]
            whole = [parsed.day.year for parsed in dated if not parsed.is_short]
            latest = max(whole or [parsed.day.year for parsed in dated], default=0)
            return lambda text: _year(text, latest)
        assert self.key is not None
        weeks = -(1 + self.key.number("weeks", scope) % _MOST_WEEKS)
        return lambda text: _shift(text, weeks, day_first)


def _year(text: str, latest: int) -> str | None:
    parsed = parse(text)
    if parsed is None and text.isdecimal() and len(text) == len("1984"):  # a year of birth
        year = int(text)
    elif parsed is None or not parsed.has_year:
        return None
    else:
        year = parsed.day.year
        if parsed.is_short and year > latest:  # born '25, in a note of 2021
            year -= 100
    return None if latest - year > _OLDEST else f"{year:04d}"


def _shift(text: str, weeks: int, day_first: bool) -> str | None:
    parsed = parse(text, day_first)
    return None if parsed is None else shifted(parsed, weeks)
