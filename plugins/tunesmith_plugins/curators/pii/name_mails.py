"""Names that addresses of mail tell: who is anna.weber@web.de is called Anna, and Weber, in the same text."""

import re
import unicodedata
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import UPPER, is_word
from tunesmith_plugins.curators.pii.word_list import words

_LOCAL = re.compile(r"(?<![\w.+-])(?P<local>[A-Za-z][A-Za-z._-]{2,40})\d{0,4}@")
_PART = re.compile(r"[._-]+")
_CAPITAL = re.compile(rf"[{UPPER}](?<![\w@.].)[^\W\d_]+(?:['’-][^\W\d_]+)*(?![\w@])")
_OF_OFFICES = frozenset(
    words(
        """
        admin noreply reply accounts helpdesk hr webmaster postmaster press careers sales enquiries inquiries frontdesk
        newsletter team kontakt buchhaltung
        """
    )
)
_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "ı": "i"}
)
_LEAST = 3


def of_mails(text: str) -> Iterator[Found]:
    """Capitalised words that are in no list, and a part of an address of mail, or one but for an initial."""
    if "@" not in text:
        return
    locals_ = {match["local"].lower() for match in _LOCAL.finditer(text)}
    parts = {part for local in locals_ for part in _PART.split(local) if len(part) >= _LEAST}
    parts -= _OF_OFFICES
    # "aweber", "webera"
    parts |= {part for whole in list(parts) for part in (whole[1:], whole[:-1]) if len(part) > _LEAST}
    if not parts:
        return
    for match in _CAPITAL.finditer(text):
        low = match[0].lower()
        if len(low) >= _LEAST and not is_word(low) and any(form in parts for form in _forms(low)):
            yield Found(*match.span(), "NAME")


def _forms(low: str) -> Iterator[str]:
    """How a word may be written with the letters of addresses: "müller" as "mueller" or "muller"."""
    bare = re.sub(r"['’-]", "", low)
    yield bare
    if not bare.isascii():
        yield bare.translate(_LETTERS)
        plain = unicodedata.normalize("NFKD", bare.translate({ord(c): _LETTERS[ord(c)] for c in "ßøłđæı"}))
        yield "".join(c for c in plain if c.isascii())
