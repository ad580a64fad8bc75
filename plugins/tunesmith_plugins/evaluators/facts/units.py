"""Units: how they are written, and the exact factor of each to its base."""

import re
from fractions import Fraction
from functools import cache
from typing import NamedTuple

_PREFIXES: dict[str, int | Fraction] = {
    "k": 1000,
    "": 1,
    "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": Fraction(1, 1000),
}
_PREFIXES |= {"µ": Fraction(1, 10**6), "μ": Fraction(1, 10**6), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9)}
_LARGE: dict[str, int | Fraction] = {"": 1, "m": Fraction(1, 1000), "k": 1000, "M": 10**6, "G": 10**9}
_INCH, _POUND = Fraction(254, 10_000), Fraction(45_359_237, 100_000)
_LITRE = Fraction(1, 1000)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

Dimension = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """A unit as a factor times powers of bases: a litre is 1/1000 of a metre to the third."""

    factor: Fraction
    dimension: Dimension

    def per(self, other: "Unit") -> "Unit":
        """This unit divided by another; nothing is cancelled, as a milligram a kilogram is no bare number."""
        below = tuple((f"per {base}", power) for base, power in other.dimension)
        return Unit(self.factor / other.factor, tuple(sorted((*self.dimension, *below))))


def _named(base: str, factor: Fraction | int, *names: str, power: int = 1) -> dict[str, Unit]:
    return {name: Unit(Fraction(factor), ((base, power),)) for name in names}


def _plural(base: str, factor: Fraction | int, *names: str) -> dict[str, Unit]:
    return _named(base, factor, *names, *(f"{name}s" for name in names))


def _prefixed(base: str, symbol: str, prefixes: dict[str, int | Fraction], power: int = 1) -> dict[str, Unit]:
    return {f"{p}{symbol}": Unit(Fraction(f) ** power, ((base, power),)) for p, f in prefixes.items()}


@cache
def units() -> dict[str, Unit]:
    """Units by their spelling; symbols as they are written, words in lower case."""
    small = {p: f for p, f in _PREFIXES.items() if p not in "dc" or not p}
    known = _prefixed("g", "g", small) | _named("g", Fraction(1, 10**6), "mcg") | _plural("g", 1, "gram", "gramme")
    known |= _plural("g", 1000, "kilogram", "kilo") | _plural("g", Fraction(1, 1000), "milligram")
    known |= _plural("g", Fraction(1, 10**6), "microgram")
    known |= _plural("g", _POUND, "lb", "pound") | _named("g", _POUND / 16, "oz", "ounce", "ounces")
    known |= _prefixed("m", "m", _PREFIXES) | _plural("m", 1, "metre", "meter")
    for word, factor in (("kilo", 1000), ("centi", Fraction(1, 100)), ("milli", Fraction(1, 1000))):
        known |= _plural("m", factor, f"{word}metre", f"{word}meter")
    known |= _named("m", _INCH, "inch", "inches") | _named("m", 12 * _INCH, "ft", "foot", "feet")
    known |= _named("m", 36 * _INCH, "yd", "yard", "yards") | _plural("m", 63_360 * _INCH, "mile")
    for sign, power in (("2", 2), ("²", 2), ("3", 3), ("³", 3)):
        known |= {f"{symbol}{sign}": unit for symbol, unit in _prefixed("m", "m", _PREFIXES, power).items()}
    for symbol in ("l", "L"):
        known |= {name: Unit(u.factor * _LITRE, (("m", 3),)) for name, u in _prefixed("m", symbol, _PREFIXES).items()}
    known |= {name: Unit(_LITRE, (("m", 3),)) for name in ("litre", "liter", "litres", "liters")}
    known |= {name: Unit(_LITRE / 1000, (("m", 3),)) for name in ("cc", "millilitre", "milliliter", "millilitres",
                                                                  "milliliters")}  # fmt: skip
    known |= _named("s", 1, "s", "sec", "secs", "second", "seconds") | _named("s", Fraction(1, 1000), "ms")
    known |= _named("s", _MINUTE, "min", "mins", "minute", "minutes") | _named("s", _HOUR, "h", "hr", "hrs")
    known |= _plural("s", _HOUR, "hour") | _plural("s", _DAY, "day") | _plural("s", 7 * _DAY, "week", "wk")
    known |= _plural("month", 1, "month") | _plural("month", 12, "year", "yr")
    for base in ("W", "V", "Hz", "Pa", "J"):
        known |= _prefixed(base, base, _LARGE)
    known |= {f"{p}Wh": Unit(Fraction(f) * _HOUR, (("J", 1),)) for p, f in _LARGE.items() if p != "m"}
    known |= _prefixed("mol", "mol", _PREFIXES) | _named("meq", 1, "meq", "mEq") | _plural("%", 1, "%", "percent")
    known |= _named("point", 1, "percentage point", "percentage points", "pp")
    known |= _named("point", Fraction(1, 100), "basis point", "basis points", "bps", "bp")
    for base, *names in _COUNTED:
        known |= _plural(base, 1, base, *names)
    for base, *names in (("°C", "C", "degrees celsius"), ("°F", "degrees fahrenheit"), ("bar",), ("mbar",), ("psi",),
                         ("mmhg", "mm hg"), ("iu",), ("rpm",), ("db",), ("kcal",), ("kb",), ("mb",), ("gb",), ("tb",),
                         ("usd", "dollar", "dollars"), ("eur", "euro", "euros"), ("gbp",), ("chf",), ("jpy",),
                         ("%", "per cent")):  # fmt: skip
        known |= _named(base, 1, base, *names)
    return known


_COUNTED = (
    ("tablet", "tab"),
    ("capsule", "cap"),
    ("dose",),
    ("puff",),
    ("drop",),
    ("unit",),
)
CURRENCIES = {"$": "usd", "US$": "usd", "€": "eur", "£": "gbp", "¥": "jpy"}
CURRENCIES |= {code.upper(): code for code in ("usd", "eur", "gbp", "chf", "jpy")}


def unit_named(written: str) -> Unit | None:
    """The unit that a text is, and nothing else: `mg`, `MG`, `Tablets`; None where it is none."""
    plain = " ".join(written.replace("-", " ").split())
    exact = units().get(plain)
    return exact if exact or len(plain) == 1 else units().get(plain.lower())


@cache
def unit_pattern() -> str:
    """A pattern that finds a unit, the longest first."""
    spelt = sorted({re.escape(name).replace(r"\ ", r"[ -]") for name in units()}, key=len, reverse=True)
    return f"(?:{'|'.join(name for name in spelt if name != 'C')}|C(?!-))"  # 38.5 C, and not 2 C-sections
