"""Names in tables: the cells of a column whose head says that names stand in it."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import is_word
from tunesmith_plugins.curators.pii.word_list import phrases, words

_OF_NAMES = frozenset(
    phrases(
        """
        name, names, full name, patient, patient name, client, client name, customer, customer name, employee,
        employee name, surname, last name, first name, given name, family name, forename, member, member name,
        contact, contact name, account holder, holder, cardholder, beneficiary, borrower, tenant, student, student name,
        doctor, physician, provider, nurse, caller, attendee, participant, next of kin, nachname, vorname
        """
    )
)
# What stands at the heads of other columns of such tables.
_OTHERS = frozenset(
    words(
        """
        age sex gender dob birth born date phone tel mobile cell email mail e-mail address street city town zip mrn nhs
        id no number account iban ssn policy ward bed room unit role title department team status balance amount due
        total paid notes note comment comments reason diagnosis result email/phone time start end shift hours salary
        ethnicity race country state visit insurance plan physician provider doctor
        """
    )
)
_SIGNS = ("|", "\t", ";", ",")
_NAME = re.compile(r"[^\W\d_]+(?:[.'’ ,-]{1,2}[^\W\d_]+){0,5}\.?")
_RULE = frozenset("-:=+ ")
_FEWEST, _LONGEST = 3, 500


def in_columns(text: str) -> Iterator[Found]:
    """The names of each table: a head of three columns or more, most of whose words heads have, and rows below."""
    signs = [sign for sign in _SIGNS if text.count(sign) >= 2 * (_FEWEST - 1)]
    at, columns, width, sign = 0 if signs else len(text), list[int](), 0, ""
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if columns:
            cells = _cells(text, at, end, sign)
            if len(cells) == width:
                yield from (
                    Found(*span, "NAME") for span in (cells[number] for number in columns) if _is_name(text, span)
                )
            else:
                columns = []
        if not columns:
            for sign in signs:
                if text.count(sign, at, end) >= _FEWEST - 1:
                    columns, width = _head(text, at, end, sign)
                if columns:
                    break
        at = end + 1


def _head(text: str, at: int, end: int, sign: str) -> tuple[list[int], int]:
    """Which columns hold names, as the head of a table says, and how many there are; none where the line is no head."""
    plain = (head.strip(' "') for head in text[at:end].lower().replace("_", " ").split(sign))
    if end - at > _LONGEST or _OF_NAMES.isdisjoint(plain):
        return [], 0
    heads = [text[first:last].lower().replace("_", " ") for first, last in _cells(text, at, end, sign)]
    columns = [number for number, head in enumerate(heads) if head in _OF_NAMES]
    others = sum(any(word in _OTHERS for word in head.split()) for head in heads if head not in _OF_NAMES)
    is_head = columns and others and others + len(columns) > sum(map(bool, heads)) / 2
    return (columns if is_head else []), len(heads)


def _cells(text: str, at: int, end: int, sign: str) -> list[tuple[int, int]]:
    """Where the text of each cell of a line stands, without spaces and quotes around it."""
    stops, quoted = [at - 1], False
    for place in range(at, end):
        if text[place] == '"':
            quoted = not quoted
        elif text[place] == sign and not quoted:
            stops.append(place)
    spans = []
    for first, last in zip(stops, [*stops[1:], end], strict=True):
        cell = text[first + 1 : last]
        left = first + 1 + len(cell) - len(cell.lstrip(' "'))
        spans.append((left, max(left, first + 1 + len(cell.rstrip(' "\r')))))
    return spans


def _is_name(text: str, span: tuple[int, int]) -> bool:
    """Whether a cell holds words, not all of which are of the language, or two of them that are capitalised."""
    cell = text[slice(*span)]
    if _RULE.issuperset(cell) or _NAME.fullmatch(cell) is None:
        return False
    said = cell.replace(",", " ").replace(".", " ").split()
    unknown = any(not is_word(word.lower()) and len(word) > 1 for word in said)
    return unknown or (len(said) > 1 and cell.istitle())
