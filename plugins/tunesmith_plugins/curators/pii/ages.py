"""Ages over 89, which Safe Harbor lets nobody tell apart."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import Digits
from tunesmith_plugins.curators.pii.found import Found

_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_OLD = rf"(?P<age>9\d|1[01]\d|ninety(?:[ -](?:{_UNITS}))?|(?:a|one) hundred(?: and (?:{_UNITS}|ten))?)"
MAYBE_AGE = re.compile(r"9\d|1[01]\d")
_WORDS = ("ninety", "nineties", "hundred")
# So far before and behind a number its label, its unit or the rest of its words may stand.
_NEAR, _BEHIND = 24, 48
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


_DECADE = re.compile(
    r"\bin (?:his|her|their|my|your) (?:early |mid[- ]?|late )?(?P<age>90s|100s|nineties)\b", re.IGNORECASE
)
_BIRTHDAY = re.compile(r"(?<![\w.,/-])(?P<age>(?:9\d|1[01]\d)(?:st|nd|rd|th)) birthday", re.IGNORECASE)


def ages(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """The number, or the words for it, of each age over 89."""
    if any(word in low for word in _WORDS):
        stretches = [(0, len(text))]
    else:
        high = [at for at, start in enumerate(digits.starts) if MAYBE_AGE.match(text, start)]
        if not high:
            return
        stretches = Digits([digits.starts[at] for at in high], [digits.ends[at] for at in high]).near(_NEAR, _BEHIND)
    for form in (_AFTER, _BEFORE, _DECADE, _BIRTHDAY):
        for begin, stop in stretches:
            yield from (Found(*match.span("age"), "AGE") for match in form.finditer(text, begin, stop))
