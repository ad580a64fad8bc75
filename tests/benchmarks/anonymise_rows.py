"""Made-up documents whose identities are known: where each stands, and of what kind it is.

A style is a list of templates; a slot `{first}` is filled from a person, and is an identity of the kind that `SLOTS`
says. `anonymise_styles.txt` holds the styles that patterns were made with; `anonymise_held_out.txt`,
`anonymise_second.txt` and `anonymise_third.txt` others, each written before anybody saw what the patterns do with it.
Numbers are valid (cards by Luhn, IBAN by 97, NPI, DEA, ABA by their check digits) and belong to nobody but by chance.
"""

import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from anonymise_names import FAMILY, GIVEN

_SLOT = re.compile(r"\{(\w+)\}")
# Slot to kind; slots that are no identity ({drug}) are not here.
SLOTS = {
    **dict.fromkeys(
        ("full", "first", "last", "upper", "reversed", "doctor", "doctor_last", "kin", "kin_first", "agent"), "NAME"
    ),
    **dict.fromkeys(("initialled", "lower", "initial_last"), "NAME"),
    **dict.fromkeys(("dob", "seen", "seen_long", "seen_iso", "next_day", "next_short", "german_day"), "DATE"),
    **dict.fromkeys(("street", "city_zip", "german_street", "zip", "box"), "ADDRESS"),
    "city": "PLACE",
    "age": "AGE",
    **dict.fromkeys(("phone", "phone_dots", "phone_abroad", "phone_zero", "fax"), "PHONE"),
    **dict.fromkeys(("mail", "mail_doctor"), "EMAIL"),
    "url": "URL",
    **dict.fromkeys(("ip", "ip6"), "IP"),
    "mac": "MAC",
    "ssn": "SSN",
    "mrn": "RECORD",
    **dict.fromkeys(("member", "policy", "claim"), "PLAN"),
    **dict.fromkeys(("account", "customer", "reference"), "ACCOUNT"),
    "iban": "IBAN",
    **dict.fromkeys(("card", "card_dense"), "CARD"),
    "aba": "ROUTING",
    **dict.fromkeys(("npi", "dea", "licence", "passport"), "LICENCE"),
    **dict.fromkeys(("vin", "plate", "plate_dash", "plate_gb", "plate_de", "plate_fr"), "VEHICLE"),
    **dict.fromkeys(("serial", "imei"), "DEVICE"),
}
DRUGS = ("metoprolol", "Lisinopril", "Eliquis", "atorvastatin", "Humira", "insulin glargine", "Zoloft", "amoxicillin")
CITIES = ("Springfield", "Riverton", "Ashford", "Lakewood", "Milbrook", "Granville", "Oakhurst", "Fairhaven")
STREETS = ("Maple", "Birch Hill", "Washington", "Old Mill", "Cedar", "Lincoln", "Harbor View", "Elm")


@dataclass(frozen=True)
class Document:
    """A text with its identities.

    Args:
        text: It.
        style: Name of its style.
        identities: Start, end and kind of each.
    """

    text: str
    style: str
    identities: tuple[tuple[int, int, str], ...]


def styles(name: str) -> dict[str, list[str]]:
    """Templates by style, of a file beside this one: each template stands below a line `=== style`."""
    made: dict[str, list[str]] = {}
    whole = Path(__file__).with_name(name).read_text(encoding="utf-8")
    for part in whole.split("=== ")[1:]:
        style, _, template = part.partition("\n")
        made.setdefault(style, []).append(template.removesuffix("\n"))
    return made


def documents(
    templates: Mapping[str, Sequence[str]],
    count: int,
    seed: int = 0,
    given: Sequence[str] = tuple(GIVEN),
    family: Sequence[str] = tuple(FAMILY),
) -> list[Document]:
    """So many documents of the styles in turn, the same every time.

    Args:
        templates: By style.
        count: Number of documents.
        seed: Another seed gives other people and numbers.
        given: Given names to draw from.
        family: Surnames to draw from.
    """
    draw = random.Random(seed)
    names = list(templates)
    made = []
    for number in range(count):
        style = names[number % len(names)]
        template = templates[style][number // len(names) % len(templates[style])]
        made.append(fill(template, style, person(draw, given, family)))
    return made


def fill(template: str, style: str, values: Mapping[str, str]) -> Document:
    """A template with its slots filled."""
    text, identities, at = "", [], 0
    for match in _SLOT.finditer(template):
        text += template[at : match.start()]
        value = values[match[1]]
        if match[1] in SLOTS:
            identities.append((len(text), len(text) + len(value), SLOTS[match[1]]))
        text, at = text + value, match.end()
    return Document(text + template[at:], style, tuple(identities))


def person(
    draw: random.Random, given: Sequence[str] = tuple(GIVEN), family: Sequence[str] = tuple(FAMILY)
) -> dict[str, str]:
    """Values for all slots, of one person and those around them."""
    first, kin, doctor, agent = draw.sample(list(given), 4)
    last, doctor_last, agent_last = draw.sample(list(family), 3)
    born = date(1930, 1, 1) + timedelta(draw.randrange(27000))
    seen = date(2019, 1, 1) + timedelta(draw.randrange(2200))
    later = seen + timedelta(draw.randrange(3, 40))
    area, line = draw.randrange(201, 989), draw.randrange(10000)
    exchange = draw.randrange(200, 999)
    city, zip_code = draw.choice(CITIES), f"{draw.randrange(10000, 99999)}"
    way = draw.choice(("Street", "Ave", "Road", "Lane", "Blvd", "Drive"))
    digits = _digits(draw)
    plain = re.sub(r"[^a-z.]", "", f"{first}.{last}".lower().replace("ü", "ue"))
    plain = plain.replace(".", "") if draw.random() < 0.3 else plain
    host = draw.choice(("mail.com", "web.de", "inbox.co.uk"))
    state = draw.choice(("IL", "CA", "TX", "MA", "OH"))
    # By a draw of their own, so that what came later changed no figure of the sets before.
    plates = random.Random(f"{first} {last} {born}")
    return {
        "first": first,
        "last": last,
        "full": f"{first} {last}",
        "upper": f"{first} {last}".upper(),
        "reversed": f"{last}, {first}",
        "initialled": f"{first} {draw.choice('ABCDEFGHJKLMRST')}. {last}",
        "lower": f"{first} {last}".lower(),
        "initial_last": f"{first[0]}. {last}",
        "kin": f"{kin} {last}",
        "kin_first": kin,
        "doctor": f"{doctor} {doctor_last}",
        "doctor_last": doctor_last,
        "agent": f"{agent} {agent_last}",
        "dob": f"{born:%m/%d/%Y}",
        "seen": f"{seen:%m/%d/%y}",
        "seen_long": f"{seen:%B} {seen.day}, {seen.year}",
        "seen_iso": seen.isoformat(),
        "next_day": f"{later.day} {later:%b} {later.year}",
        "next_short": f"{later:%B} {later.day}",
        "german_day": f"{later:%d.%m.%Y}",
        "age": str(draw.randrange(90, 105)),
        "city": city,
        "zip": zip_code,
        "street": f"{draw.randrange(1, 9999)} {draw.choice(STREETS)} {way}",
        "city_zip": f"{city}, {state} {zip_code}",
        "box": f"P.O. Box {draw.randrange(10, 9999)}",
        "german_street": f"{draw.choice(('Garten', 'Haupt'))}straße {draw.randrange(1, 99)}, {zip_code} {city}",
        "phone": f"({area}) {exchange}-{line:04d}",
        "phone_dots": f"{area}.{exchange}.{line:04d}",
        "fax": f"{area}-{exchange}-{line:04d}",
        "phone_abroad": f"+{draw.choice((49, 44, 33, 91))} {draw.randrange(20, 999)} {digits(3)} {digits(4)}",
        "phone_zero": f"0{draw.randrange(20, 999)} {digits(4)} {digits(4)}",
        "mail": f"{plain}{draw.choice(('', '', digits(2)))}@{host}",
        "mail_doctor": f"{re.sub('[^a-z]', '', doctor_last.lower())}@clinic.org",
        "url": f"https://portal.{draw.choice(('clinic', 'mybank'))}.com/u/{first.lower()}{digits(3)}",
        "ip": ".".join(str(draw.randrange(1, 255)) for _ in range(4)),
        "ip6": f"2a02:{draw.randrange(4096, 65535):x}:{draw.randrange(4096, 65535):x}::{draw.randrange(1, 65535):x}",
        "mac": ":".join(f"{draw.randrange(256):02x}" for _ in range(6)),
        "ssn": f"{draw.choice((123, 219, 457, 501, 733))}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}",
        "mrn": draw.choice((digits(7), digits(8), f"M{digits(6)}", f"{digits(3)}-{digits(4)}")),
        "member": f"{_letters(draw, 3)}{digits(9)}",
        "policy": f"{_letters(draw, 2)}-{digits(7)}",
        "claim": f"{digits(4)}-{digits(6)}",
        "account": draw.choice((digits(10), f"{digits(4)}-{digits(6)}", digits(8))),
        "customer": f"C{digits(6)}",
        "reference": f"{_letters(draw, 3)}{digits(6)}",
        "iban": iban(draw),
        "card": card(draw, " "),
        "card_dense": card(draw, ""),
        "aba": aba(draw),
        "npi": npi(draw),
        "dea": dea(draw),
        "licence": f"{_letters(draw, 1)}{digits(7)}",
        "passport": f"{_letters(draw, 1)}{digits(8)}",
        "vin": vin(draw),
        "plate": f"{_letters(draw, 3)} {digits(4)}",
        "plate_dash": f"{_letters(plates, 3)}-{_digits(plates)(4)}",
        "plate_gb": f"{plates.choice('ABFKLM')}{_letters(plates, 1)}{plates.randrange(51, 75)} {_letters(plates, 3)}",
        "plate_de": f"{plates.choice(('M', 'HH', 'KA', 'FR'))}-{_letters(plates, 2)} {_digits(plates)(3)}",
        "plate_fr": f"{_letters(plates, 2)}-{_digits(plates)(3)}-{_letters(plates, 2)}",
        "serial": f"{_letters(draw, 2)}{digits(6)}",
        "imei": digits(15),
        "drug": draw.choice(DRUGS),
        "bp": f"{draw.randrange(95, 180)}/{draw.randrange(55, 110)}",
        "young": str(draw.randrange(19, 89)),
        "amount": f"{draw.randrange(1, 90)},{digits(3)}.{digits(2)}",
    }


def card(draw: random.Random, separator: str) -> str:
    """A card of 16 digits."""
    return separator.join(re.findall("....", _closed(draw.choice("45") + _digits(draw)(14), _luhn)))


def iban(draw: random.Random) -> str:
    """A German or British IBAN in groups of four."""
    country, bank = draw.choice((("DE", _digits(draw)(18)), ("GB", f"{_letters(draw, 4)}{_digits(draw)(14)}")))
    rest = int("".join(str(int(c, 36)) for c in f"{bank}{country}00")) % 97
    return " ".join(re.findall(".{1,4}", f"{country}{98 - rest:02d}{bank}"))


def npi(draw: random.Random) -> str:
    """A National Provider Identifier."""
    return _closed("1" + _digits(draw)(8), lambda number: _luhn(f"80840{number}"))


def dea(draw: random.Random) -> str:
    """A registration of the Drug Enforcement Administration."""
    number = [draw.randrange(10) for _ in range(6)]
    last = (number[0] + number[2] + number[4] + 2 * (number[1] + number[3] + number[5])) % 10
    return f"B{_letters(draw, 1)}{''.join(map(str, number))}{last}"


def aba(draw: random.Random) -> str:
    """A routing number."""
    start = draw.choice(("02", "11", "26", "31")) + _digits(draw)(6)
    return _closed(start, lambda n: sum(int(d) * w for d, w in zip(n, (3, 7, 1) * 3, strict=True)) % 10 == 0)


def vin(draw: random.Random) -> str:
    """A vehicle identification number with its check digit."""
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
    made = [draw.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(17)]
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    rest = sum((values[c] if c in values else int(c)) * w for c, w in zip(made, weights, strict=True)) % 11
    made[8] = "X" if rest == 10 else str(rest)
    return "".join(made)


def _digits(draw: random.Random) -> Callable[[int], str]:
    return lambda count: str(draw.randrange(10 ** (count - 1), 10**count))


def _letters(draw: random.Random, count: int) -> str:
    return "".join(draw.choice(string.ascii_uppercase) for _ in range(count))


def _closed(start: str, valid: Callable[[str], bool]) -> str:
    return next(start + last for last in string.digits if valid(start + last))


def _luhn(number: str) -> bool:
    doubled = "".join(str(int(d) * (2 if at % 2 else 1)) for at, d in enumerate(reversed(number)))
    return sum(
        sum(map(int, str(int(d) * (2 if at % 2 else 1)))) for at, d in enumerate(reversed(number))
    ) % 10 == 0 and bool(doubled)
