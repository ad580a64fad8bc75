"""The 18 identifiers of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)(i)), and how each is found.

    python -m tunesmith_plugins.curators.pii.safe_harbor

prints the table. Each item has an example, which tests put through the curator.
"""

import sys
from typing import NamedTuple


class Item(NamedTuple):
    """One item of the list.

    Args:
        letter: As the rule has it.
        what: Whose or what.
        kinds: Kinds that stand for it; none where a text cannot hold it.
        how: How it is found.
        limits: What is not found.
        example: A text with one; empty where there are no kinds.
        identity: What must not be left of it.
    """

    letter: str
    what: str
    kinds: tuple[str, ...]
    how: str
    limits: str
    example: str = ""
    identity: str = ""


ITEMS = (
    Item(
        "A",
        "names",
        ("NAME",),
        "titles, roles, labels, greetings, signatures, columns of tables, addresses of mail, verbs and ages of "
        "persons, given names of the US census, two capitalised words that are in no list; known ones again",
        "an unlisted name alone without any of these (1 name of 20 on held-out styles); scripts without capitals",
        "Seen by Dr. Anna Weber.",
        "Weber",
    ),
    Item(
        "B",
        "places smaller than a state",
        ("ADDRESS", "PLACE"),
        "street with number, post box, postal code with city, city after `lives in` or a label, coordinates",
        "other cities in free text: engine presidio; a state stays",
        "Home address: 12 Elm Street, Ashford, OH 44101",
        "Elm Street",
    ),
    Item(
        "C",
        "dates but years, ages over 89",
        ("DATE", "AGE"),
        "numeric, ISO, English and German dates; ages by unit or label",
        "a week day without a date, holidays; `dates: shift` keeps intervals, which Safe Harbor does not allow",
        "Admitted March 3, 2021, aged 93",
        "March 3",
    ),
    Item(
        "D",
        "telephone numbers",
        ("PHONE",),
        "North American, international and national form, or any after a label",
        "seven digits without a label",
        "Call (415) 555-7132",
        "555-7132",
    ),
    Item("E", "fax numbers", ("PHONE",), "as telephone numbers", "as there", "Fax: 415-555-7133", "555-7133"),
    Item("F", "mail addresses", ("EMAIL",), "by shape", "`anna at web dot de`", "Write to anna@web.de", "anna@web.de"),
    Item(
        "G",
        "social security numbers",
        ("SSN",),
        "shape and ranges, or nine digits after a label",
        "none known",
        "SSN 219-09-9999",
        "219-09-9999",
    ),
    Item(
        "H",
        "medical record numbers",
        ("RECORD",),
        "after a label (MRN, chart, ...), then wherever they are repeated",
        "fewer than 8 digits without a label, or 6 behind three letters",
        "MRN 4471123",
        "4471123",
    ),
    Item(
        "I",
        "health plan numbers",
        ("PLAN",),
        "after a label (member, policy, claim, ...); Medicare's by shape",
        "as H",
        "Member ID: XJH123456789",
        "XJH123456789",
    ),
    Item(
        "J",
        "account numbers",
        ("ACCOUNT", "IBAN", "CARD", "ROUTING"),
        "check digits of IBAN, cards and routing numbers; others after a label",
        "as H",
        "IBAN DE89 3704 0044 0532 0130 00",
        "0532 0130",
    ),
    Item(
        "K",
        "certificate and licence numbers",
        ("LICENCE",),
        "check digits of NPI and DEA; others after a label",
        "as H",
        "License no. D1234567",
        "D1234567",
    ),
    Item(
        "L",
        "vehicles",
        ("VEHICLE",),
        "check digit of a VIN; plates after a label, or by the formats of 12 countries in a sentence on a vehicle",
        "a plate with neither; three letters and three digits that a space parts",
        "VIN 1HGCM82633A004352",
        "1HGCM82633A004352",
    ),
    Item(
        "M",
        "devices",
        ("DEVICE", "MAC"),
        "after a label (serial, IMEI, pacemaker, ...); MAC addresses by shape",
        "as H",
        "Pacemaker serial number PM774411",
        "PM774411",
    ),
    Item(
        "N",
        "web addresses",
        ("URL",),
        "by scheme, www, or a known ending",
        "other endings without a scheme",
        "See https://clinic.org/anna",
        "clinic.org",
    ),
    Item(
        "O",
        "IP addresses",
        ("IP",),
        "version 4 and 6, checked",
        "after the word `version`",
        "From 81.2.69.160",
        "81.2.69",
    ),
    Item(
        "P",
        "biometric identifiers",
        ("BIOMETRIC",),
        "numbers after a label (fingerprint, voiceprint, ...)",
        "a recording is no text",
        "Fingerprint ID 88123456",
        "88123456",
    ),
    Item("Q", "photographs", (), "rows hold text only", "a file's name in a column stays"),
    Item(
        "R",
        "any other unique number",
        ("ID",),
        "eight digits, a letter with seven, three with six, UUID, after `ID`; names of users behind that of a service; "
        "`patterns` and `columns` of your own",
        "what else is unique without being a number; rows whose id, file or column is named after a person are refused",
        "Badge: 7741123",
        "7741123",
    ),
)


def table() -> str:
    """The list as a table in Markdown."""
    rows = ["| | identifier | kinds | found by | not found |", "|---|---|---|---|---|"]
    for item in ITEMS:
        kinds = ", ".join(item.kinds) or "-"
        rows.append(f"| {item.letter} | {item.what} | {kinds} | {item.how} | {item.limits} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
