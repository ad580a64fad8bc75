"""Codes: what mixes letters and digits, as materials, standards, record numbers and versions do."""

import re
from collections.abc import Iterator

from tunesmith_plugins.evaluators.facts.fact import Fact, Taken

_CODE = re.compile(
    r"(?<![\w.-])(?:[A-Za-z]+\d+(?:\.\d+)+|(?=[A-Za-z0-9-]*\d)(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*|\d+(?:\.\d+){2,})(?![\w-])"
)
_WORD = re.compile(r"\d+(?:-[a-z]+)+")  # "48-year-old", "12-fold"


def codes(text: str, taken: Taken) -> Iterator[Fact]:
    """Codes, compared in lower case and without hyphens: B12, COVID-19, 316L, 2.1.3."""
    for match in _CODE.finditer(text):
        if taken.free(*match.span()) and not _WORD.fullmatch(match[0]):
            taken.take(*match.span())
            yield Fact(*match.span(), "codes", match[0].lower().replace("-", ""))
