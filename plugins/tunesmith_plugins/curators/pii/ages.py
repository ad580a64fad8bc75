"""Ages over 89, which Safe Harbor lets nobody tell apart."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.found import Found

_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_OLD = rf"(?P<age>9\d|1[01]\d|ninety(?:[ -](?:{_UNITS}))?|(?:a|one) hundred(?: and (?:{_UNITS}|ten))?)"
MAYBE_AGE = re.compile(r"9\d|1[01]\d|ninety|hundred")
_PARTS = ("9", "10", "11", "ninety", "hundred")
_AFTER = re.compile(
    rf"(?<![\w.,/-]){_OLD}(?:[ -]?(?:years?|yrs?|y)\b\.?(?:[ -](?:old|of age)\b)?(?! (?:ago|later|in|of (?!age)))|"
    r" ?y\.?/?o\b|[ -](?:jähr|Jahre alt))",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:age[ds]?|alter|turned|turning|(?:she|he|patient|who) is(?: now)?)(?: (?:of|at|is|was))?\W{1,3}"
    rf"{_OLD}(?![\w%/]|\.\d)",
    re.IGNORECASE,
)


def ages(text: str, low: str) -> Iterator[Found]:
    """The number, or the words for it, of each age over 89."""
    if any(part in low for part in _PARTS) and MAYBE_AGE.search(low):
        yield from (Found(*match.span("age"), "AGE") for match in _AFTER.finditer(text))
        yield from (Found(*match.span("age"), "AGE") for match in _BEFORE.finditer(text))
