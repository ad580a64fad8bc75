"""Number plates without a label: by formats of several countries, where the sentence is about a vehicle."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import Digits
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import common_words
from tunesmith_plugins.curators.pii.word_list import words

_VEHICLES = words(
    """
    car cars vehicle vehicles truck lorry van suv sedan saloon hatchback coupe convertible minivan pickup pick-up
    motorcycle motorbike scooter moped trailer caravan bus taxi cab tag plate plates plated registration registered reg
    parked parking garage towed tow collided collision rear-ended drove drives driven driving driver motorist bumper
    dashcam fahrzeug pkw wagen auto kennzeichen voiture immatriculation coche matrícula targa veicolo
    acura audi bmw buick cadillac chevrolet chevy chrysler citroën citroen dacia dodge fiat ford gmc honda hyundai
    infiniti jaguar jeep kia lexus mazda mercedes mitsubishi nissan opel peugeot porsche renault skoda subaru suzuki
    tesla toyota vauxhall volkswagen vw volvo
    """
)
_ABOUT = re.compile(rf"\b(?:{'|'.join(_VEHICLES)})\b")
_FORMATS = (
    r"[A-Z]{3}[ -]?\d{4}",  # most of the United States
    r"[A-Z]{3}-\d{3}",  # others of them, Sweden, Finland
    r"\d{3,4}[ -]?[A-Z]{3}",  # others again, Spain
    r"\d[A-Z]{3}\d{3}",  # California
    r"[A-Z]{2}\d{2} ?[A-Z]{3}",  # Great Britain
    r"[A-Z]{2}[ -]\d{3}[ -][A-Z]{2}",  # France, Italy
    r"[A-ZÄÖÜ]{1,3}-[A-Z]{1,2} ?\d{1,4}[EH]?",  # Germany
    r"\d{1,2}-[A-Z]{2,3}-\d{1,2}",  # the Netherlands, Portugal
    r"[A-Z]{2}-\d{2}-[A-Z]{2}",
    r"[A-Z]{2} ?\d{5}",  # Norway, Denmark, Poland
    r"[A-Z]{2} \d{4} [A-Z]{2}",  # Ukraine
    r"[A-Z]{2}[ -]?\d{2}[ -][A-Z]{1,2}[ -]?\d{4}",  # India
)
_PLATE = re.compile(rf"(?=[A-Z\dÄÖÜ])(?<![\w.,/+$€£-])(?:{'|'.join(_FORMATS)})(?![\w/-]|[.,]\d)")
# So far from its digits a plate may begin and end.
_BEGINS, _ENDS = 8, 16
_NO_LETTERS = frozenset(words("usd eur gbp chf iso rfc icd cpt din pin tel fax mrn ssn dob npi dea vin ecg bpm"))
_BACK, _AHEAD = 90, 50
_STOPS = re.compile(r"[.!?]\s+(?=[A-ZÄÖÜ])|\n\n")


def plates(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Plates in sentences about vehicles; years of make and amounts of money are none."""
    for match in (match for begin, stop in digits.near(_BEGINS, _ENDS) for match in _PLATE.finditer(text, begin, stop)):
        start, end = match.span()
        letters = "".join(c for c in match[0] if c.isalpha()).lower()
        if letters in _NO_LETTERS or letters in _VEHICLES or (letters in common_words() and " " in match[0]):
            continue
        before = low[max(0, start - _BACK) : start]
        stops = [stop.end() for stop in _STOPS.finditer(text, max(0, start - _BACK), start + 1)]
        before = low[stops[-1] : start] if stops else before
        after = _STOPS.split(text[end : end + _AHEAD], maxsplit=1)[0].lower()
        if _ABOUT.search(before) or _ABOUT.search(after):
            yield Found(start, end, "VEHICLE")
