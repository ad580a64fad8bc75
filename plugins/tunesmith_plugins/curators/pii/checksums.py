"""Check digits and ranges: what tells a card or a bank account from any other number of its length."""

from itertools import cycle

# Length of the IBAN by country, from the SWIFT registry.
IBAN_LENGTHS = {
    **dict.fromkeys(["NO"], 15),
    **dict.fromkeys(["BE"], 16),
    **dict.fromkeys(["DK", "FI", "FO", "GL", "NL", "SD"], 18),
    **dict.fromkeys(["MK", "SI"], 19),
    **dict.fromkeys(["AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"], 20),
    **dict.fromkeys(["CH", "CR", "HR", "LI", "LV"], 21),
    **dict.fromkeys(["BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"], 22),
    **dict.fromkeys(["AE", "GI", "IL", "IQ", "OM", "SO", "TL"], 23),
    **dict.fromkeys(["AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"], 24),
    **dict.fromkeys(["LY", "PT", "ST"], 25),
    **dict.fromkeys(["IS", "TR"], 26),
    **dict.fromkeys(["BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"], 27),
    **dict.fromkeys(["AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"], 28),
    **dict.fromkeys(["BR", "EG", "PS", "QA", "UA"], 29),
    **dict.fromkeys(["JO", "KW", "MU", "YE"], 30),
    **dict.fromkeys(["MT", "SC"], 31),
    **dict.fromkeys(["LC"], 32),
    **dict.fromkeys(["RU"], 33),
}
_VIN = {**{str(digit): digit for digit in range(10)}, **dict(zip("ABCDEFGH", range(1, 9), strict=True))}
_VIN |= (
    dict(zip("JKLMN", range(1, 6), strict=True)) | {"P": 7, "R": 9} | dict(zip("STUVWXYZ", range(2, 10), strict=True))
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_LAST_AREA, _NO_AREA = 899, 666


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for digit, double in zip(reversed(digits), cycle((False, True))):
        value = int(digit) * (2 if double else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def luhn_digit(digits: str) -> str:
    """The digit that makes `digits` valid when it stands behind them."""
    return next(last for last in "0123456789" if luhn(digits + last))


def card(digits: str) -> bool:
    """Whether it is a payment card's number: a network's first digits and length, and Luhn."""
    return 13 <= len(digits) <= 19 and digits[0] in "234569" and len(set(digits)) > 1 and luhn(digits)


def iban(text: str) -> bool:
    """Whether it is an IBAN without spaces: the country's length, and 1 modulo 97 (ISO 13616)."""
    return IBAN_LENGTHS.get(text[:2]) == len(text) and iban_rest(text) == 1


def iban_rest(text: str) -> int:
    """The number that an IBAN stands for, modulo 97."""
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97


def npi(digits: str) -> bool:
    """Whether it is a National Provider Identifier: Luhn with the prefix 80840."""
    return len(digits) == 10 and digits[0] in "129" and luhn("80840" + digits)


def dea(text: str) -> bool:
    """Whether it is a DEA registration: two letters (the second may be 9) and six digits with a check digit."""
    digits = text[2:]
    if len(text) != 9 or not digits.isdecimal() or not text[0].isalpha():
        return False
    odd, even = (sum(int(digit) for digit in digits[at:6:2]) for at in (0, 1))
    return (odd + 2 * even) % 10 == int(digits[6])


def aba_rest(digits: str) -> int:
    """The weighted sum of a routing number, modulo 10; 0 where it is valid."""
    return sum(int(digit) * weight for digit, weight in zip(digits, (3, 7, 1) * 3, strict=True)) % 10


def aba(digits: str) -> bool:
    """Whether it is a routing number of the American Bankers Association: a district, and its check digit."""
    first = int(digits[:2])
    district = first <= 12 or 21 <= first <= 32 or 61 <= first <= 72 or first == 80
    return len(digits) == 9 and district and aba_rest(digits) == 0


def ssn(digits: str) -> bool:
    """Whether it lies in the ranges of social security numbers, or of ITINs (areas from 900)."""
    area, group, serial = int(digits[:3]), int(digits[3:5]), int(digits[5:])
    if area > _LAST_AREA:
        return 50 <= group <= 99
    return area not in (0, _NO_AREA) and group != 0 and serial != 0


def vin(text: str) -> bool:
    """Whether it is a vehicle identification number with a valid check digit (ISO 3779, North America)."""
    if len(text) != 17 or any(c not in _VIN for c in text):
        return False
    rest = sum(_VIN[c] * weight for c, weight in zip(text, _VIN_WEIGHTS, strict=True)) % 11
    return text[8] == ("X" if rest == 10 else str(rest))
