"""Surrogates: what looks like the identity that it stands for, and belongs to nobody.

Numbers come from ranges that are reserved or never given out, so that no surrogate is another person's, and so that a
surrogate can be told: anonymising it again leaves it as it is.
"""

import re
from collections.abc import Callable

from tunesmith_plugins.curators.pii import checksums
from tunesmith_plugins.curators.pii.aliases import Placeholders, identity_of
from tunesmith_plugins.curators.pii.key import Key
from tunesmith_plugins.curators.pii.known import parts
from tunesmith_plugins.curators.pii.lexicon import given_names
from tunesmith_plugins.curators.pii.surrogate_words import FAMILY, GIVEN, STREETS, TOWNS
from tunesmith_plugins.curators.pii.word_list import words

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# "+44 (0)20": dialled within the country alone.
_TRUNK = "(0)"
_DIGIT = re.compile(r"\(0\)|\d")
_CHECKED = 2
_TRIES = 1000
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


class Surrogates:
    """Writes surrogates.

    Args:
        key: What they are made with.
        scope: The person or document whose they are: elsewhere the same name becomes another one.
    """

    def __init__(self, key: Key, scope: str) -> None:
        self.key = key
        self.scope = scope

    def write(self, kind: str, identity: str, number: int, taken: set[str]) -> str:
        """A surrogate that no other identity of the document has."""
        if kind == "DATE":  # what `dates` does not write as a date
            return Placeholders().write(kind, identity, number, taken)
        make = _MAKERS.get(kind, _other)
        surrogate = ""
        for attempt in range(_TRIES):
            surrogate = make(self, identity, self.key.number(self.scope, kind, identity, str(attempt)))
            if surrogate not in taken:
                break
        return surrogate

    def form(self, kind: str, alias: str, identity: str, text: str) -> str:
        """A name's form: given name, surname, initial, capitals; a number's separators."""
        if kind != "DATE" and is_surrogate(kind, text, self.key):
            return text
        if kind == "NAME":
            return _name_like(alias, identity, text)
        if kind == "PHONE":
            return _phone_like(alias, text)
        if kind in _SHAPED:
            return _shaped(alias, text)
        return alias


def is_surrogate(kind: str, text: str, key: Key) -> bool:
    """Whether a text is a surrogate already."""
    plain = identity_of(kind, text).upper()
    known = _RESERVED.get(kind)
    if known is not None:
        return known(plain, text)
    return _is_other(plain, key)


def _name(writer: Surrogates, identity: str, number: int) -> str:
    return f"{GIVEN[number % len(GIVEN)]} {FAMILY[number // len(GIVEN) % len(FAMILY)]}"


def _name_like(alias: str, identity: str, text: str) -> str:
    """The words of a name replaced one by one: by the surrogate's given name, the last by its surname."""
    given, family = alias.split(" ")
    words = identity.split(" ")
    surname = words[-1]
    if len(words) == 1 and words[0] in given_names():
        surname = ""

    def other(match: "re.Match[str]") -> str:
        word = match[0]
        low = word.lower()
        new = family if low == surname else given
        if low not in words:
            return new[0] if len(word) == 1 else word if low in _KEPT else new
        return new.upper() if word.isupper() and len(word) > 1 else new.lower() if word.islower() else new

    return re.sub(r"\b(\w+)( \1\b)+", r"\1", _WORD.sub(other, text))


_KEPT = frozenset(
    words(
        """
    von van de der den del di da la le el al bin ibn dr mr mrs ms jr sr prof
    """
    )
)


def _digits(number: int, count: int) -> str:
    return f"{number % 10**count:0{count}d}"


def _phone(writer: Surrogates, identity: str, number: int) -> str:
    digits, _, extension = identity.removeprefix("+").partition("x")
    made = f"{digits[:-7]}55501{_digits(number, 2)}" if len(digits) >= 7 else _digits(number, len(digits))
    return made + _digits(number // 100, len(extension)) if extension else made


def _phone_like(alias: str, text: str) -> str:
    """The last digits of a text replaced by those of the alias; a country's code that only the text has stays."""
    old = [said for said in _DIGIT.findall(text) if said != _TRUNK]
    made = alias.replace("x", "")
    if len(old) < len(made):
        return alias
    new = iter([*old[: len(old) - len(made)], *made])
    return _DIGIT.sub(lambda match: match[0] if match[0] == _TRUNK else next(new), text)


def _card(writer: Surrogates, identity: str, number: int) -> str:
    start = "9999" + _digits(number, max(1, len(identity) - 5))
    return start + checksums.luhn_digit(start)


def _iban(writer: Surrogates, identity: str, number: int) -> str:
    country, bank = identity[:2].upper(), identity[4:8].upper()
    made = "".join("TEST"[at] if c.isalpha() else "0" for at, c in enumerate(bank)) + _digits(number, len(identity) - 8)
    return f"{country}{98 - checksums.iban_rest(f'{country}00{made}'):02d}{made}"


def _ssn(writer: Surrogates, identity: str, number: int) -> str:
    return f"000{_digits(number, 6)}"


def _routing(writer: Surrogates, identity: str, number: int) -> str:
    start = f"99{_digits(number, 6)}"
    return next(f"{start}{last}" for last in range(10) if checksums.aba_rest(f"{start}{last}") == 0)


def _mail(writer: Surrogates, identity: str, number: int) -> str:
    return f"{_name(writer, identity, number).lower().replace(' ', '.')}{number % 97}@example.com"


def _url(writer: Surrogates, identity: str, number: int) -> str:
    return f"https://www.example.com/{number % 16**8:08x}"


def _ip(writer: Surrogates, identity: str, number: int) -> str:
    if ":" in identity:
        return f"2001:db8::{number % 65535:x}"
    return f"{_NETWORKS[number % 3]}.{1 + number // 3 % 254}"


def _mac(writer: Surrogates, identity: str, number: int) -> str:
    return f"00:00:5e:00:53:{number % 256:02x}"


def _address(writer: Surrogates, identity: str, number: int) -> str:
    if re.fullmatch(r"\d{5}(\d{4})?", identity):
        return f"000{_digits(number, 2)}"
    street, town = STREETS[number // 999 % len(STREETS)], _place(writer, identity, number // 9990)
    return f"{1 + number % 999} {street} Street, {town} 000{_digits(number, 2)}"


def _place(writer: Surrogates, identity: str, number: int) -> str:
    return TOWNS[number % len(TOWNS)]


def _age(writer: Surrogates, identity: str, number: int) -> str:
    return "90"


def _other(writer: Surrogates, identity: str, number: int) -> str:
    """The same letters and digits in number and place, others in kind: `ZZ`, a keyed number, and check digits."""
    width = max(len(identity) - _CHECKED - 2, 2)
    body = "".join(
        chr(65 + number // 26**at % 26)
        if at + 2 < len(identity) and identity[at + 2].isalpha()
        else str(number // 31**at % 10)
        for at in range(width)
    )
    return f"ZZ{body}{_check(writer.key, body)}"


def _check(key: Key, body: str) -> str:
    return _digits(key.number("check", body), _CHECKED)


def _is_other(plain: str, key: Key) -> bool:
    return plain.startswith("ZZ") and len(plain) >= 6 and _check(key, plain[2:-_CHECKED]) == plain[-_CHECKED:]


def _shaped(alias: str, text: str) -> str:
    """The alias with the separators of the text, where both have as many letters and digits."""
    if sum(c.isalnum() for c in text) != len(alias):
        return alias
    letters = iter(alias)
    return "".join(next(letters) if c.isalnum() else c for c in text)


_MAKERS: dict[str, Callable[[Surrogates, str, int], str]] = {
    "NAME": _name, "PHONE": _phone, "CARD": _card, "IBAN": _iban, "SSN": _ssn, "ROUTING": _routing, "EMAIL": _mail,
    "URL": _url, "IP": _ip, "MAC": _mac, "ADDRESS": _address, "PLACE": _place, "AGE": _age,
}  # fmt: skip
_SHAPED = frozenset(
    ("CARD", "IBAN", "SSN", "ROUTING", "RECORD", "PLAN", "ACCOUNT", "LICENCE", "VEHICLE", "DEVICE", "ID")
)
_WORDS = frozenset(word.lower() for word in (*GIVEN, *FAMILY))
_TOWNS = frozenset(word.lower() for word in TOWNS)
# By kind: whether (the identity without separators, in capitals; its text) is one that `_MAKERS` makes.
_RESERVED: dict[str, Callable[[str, str], bool]] = {
    "NAME": lambda plain, text: (
        all(w in _WORDS or len(w) == 1 for w in parts(text)) and any(w in _WORDS for w in parts(text))
    ),
    "PHONE": lambda plain, text: bool(re.search(r"55501\d\d(X\d+)?$", plain)),
    "CARD": lambda plain, text: plain.startswith("9999"),
    "IBAN": lambda plain, text: plain[4:8] in ("0000", "TEST"),
    "SSN": lambda plain, text: plain.startswith("000"),
    "ROUTING": lambda plain, text: plain.startswith("99"),
    "EMAIL": lambda plain, text: text.lower().endswith("@example.com"),
    "URL": lambda plain, text: "www.example.com/" in text.lower(),
    "IP": lambda plain, text: text.startswith((*_NETWORKS, "2001:db8::")),
    "MAC": lambda plain, text: plain.replace(":", "").startswith("00005E0053"),
    "ADDRESS": lambda plain, text: bool(re.search(r"(?<!\d)000\d\d$", text)),
    "PLACE": lambda plain, text: text.lower() in _TOWNS,
    "AGE": lambda plain, text: text == "90",
}
