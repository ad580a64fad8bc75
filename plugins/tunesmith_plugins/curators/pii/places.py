"""Places smaller than a state: streets with numbers, post boxes, postal codes, cities that somebody lives in."""

import re
from collections.abc import Iterator

from tunesmith_plugins.curators.pii.anchors import Digits, matches_at
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import UPPER, proper_nouns

_CAP = rf"[{UPPER}][\w'’.-]{{0,30}}"
_WAYS = (
    "street|st|avenue|ave|boulevard|blvd|road|rd|lane|ln|drive|dr|court|ct|place|pl|terrace|ter|way|parkway|pkwy|circle|"
    "cir|highway|hwy|square|sq|trail|trl|close|crescent|cres|grove|row|mews|walk|alley|loop|crossing|run|path|plaza|"
    "heights|gardens|quay|hill|green|turnpike|pike|bend|ridge"
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|"
    "RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR"
)
_UNIT = r"(?:,? ?(?:apt|apartment|suite|ste|unit|floor|fl|room|rm|bldg|#|no)\b\.? ?#?[\w-]{1,6}|,? #\w{1,5})?"
_ZIP = r"\d{5}(?:-\d{4})?"
_CITY = rf"(?:[{UPPER}][\w'’-]{{1,24}}\.?[ -]){{0,3}}[{UPPER}][\w'’-]{{1,24}}"
_CITY_STATE = rf"{_CITY}, ?(?:{_STATES}|{_CAP}(?: [{UPPER}]\w{{1,20}})?),? {_ZIP}"
_UK = r"[A-Z](?<!\w.)(?:[A-Z]\d[A-Z\d]?|\d[A-Z\d]?) ?\d[ABD-HJLNP-UW-Z]{2}"
_TAIL = rf"(?:(?:, ?|\n){_CITY})?(?:,? (?:{_STATES}))?(?:,? (?:{_ZIP}|{_UK}))?"
_TOWN = rf"(?:[{UPPER}][\w'’-]{{1,24}}(?:(?<=St)\.|(?<=Ft)\.|(?<=Mt)\.)?[ -]){{0,3}}[{UPPER}][\w'’-]{{1,24}}"
_STREET = re.compile(
    r"\d(?<![\w.,/-]\d)\d{0,5}[A-Za-z]?(?:-\d{1,4})? (?:(?:[NSEW]|[NS][EW]|North|South|East|West)\.? )?"
    rf"(?:(?:{_CAP}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,4}}(?i:{_WAYS})\b\.?(?i:{_UNIT})"
    rf"(?:(?:, ?| |\n){_CITY_STATE}|{_TAIL})(?!\w)"
)
_GERMAN_WAYS = ("straße", "strasse", "str.", "weg", "allee", "platz", "gasse", "ring", "damm", "ufer", "markt")
_GERMAN = re.compile(
    rf"[{UPPER}](?<!\w.)[\w.-]{{0,30}}(?:{'|'.join(map(re.escape, _GERMAN_WAYS))}| Straße| Str\.| Weg| Platz| Allee)"
    rf" ?\d{{1,4}} ?[a-z]?(?!\w)(?:(?:, ?|\n)(?:D-|A-|CH-)?\d{{4,5}} {_CITY})?"
)
_CITY_ZIP = re.compile(rf"(?<!\w){_CITY_STATE}(?![\w-])")
_ZIP_CITY = re.compile(rf"\d(?<![\w.,/-]\d)\d{{4}} {_CITY}(?=[,.;\n]|$)")
_ZIP_DIGITS, _LONGEST_CITY = 5, 200
_BOX = re.compile(r"\b(?:p\.? ?o\.? ?box|post office box|postfach) \d[\d ]{0,9}\d?\b", re.IGNORECASE)
_POSTCODE = re.compile(rf"{_UK}(?![\w-])")
_LIVES = re.compile(
    r"\b(?:lives? (?:alone )?in|living in|lived in|resid(?:es|ing|ent) (?:in|of)|moved (?:to|from)|born in|grew up in|"
    r"hometown (?:is|of)|native of|relocated to|commut(?:es|ing) from|(?:[Cc]ity|[Tt]own|Ort|Wohnort|[Hh]ometown|"
    rf"[Mm]unicipality|[Cc]ounty|[Ss]uburb)[:=]) *(?P<place>{_TOWN})"
)
_LIVING = ("live", "living", "resid", "moved", "born in", "grew up", "hometown", "native", "relocat", "commut", "city",
           "town", "ort:", "municipal", "county", "suburb")  # fmt: skip
# Of names of states and countries, which are no identities: "New York", "South Africa".
_PARTS = frozenset(("new", "north", "south", "west", "east", "the"))
_ADDRESS = re.compile(
    r"\b(?:address|adresse|anschrift|residence)(?: line \d)? ?[:=][ \t]*(?P<place>\d{0,6}[^\n;|]{4,100}?)"
    r"(?=\n|;|\||\. |, ?(?:phone|tel|e-?mail|dob|fax)|  |$)",
    re.IGNORECASE,
)
_DEGREES = r"\d{1,3}(?:\.\d{1,10})? ?°(?: ?\d{1,2}(?:\.\d{1,6})? ?['′’])?(?: ?\d{1,2}(?:\.\d{1,6})? ?(?:\"|″|”|''))?"
_DECIMAL = r"[-+]?\d{1,3}\.\d{2,15}°?(?: ?[NSEW]\b)?"
# Geocodes: by degrees and quarters of the sky, or behind a label, since any two numbers may be measures.
_GEOCODE = re.compile(
    rf"(?<![\w.])(?P<degrees>{_DEGREES} ?[NS][,; ]{{0,2}}{_DEGREES} ?[EW])(?!\w)"
    r"|\b(?:lat(?:itude)?|lon(?:g(?:itude)?)?|lng|coord(?:inate)?s?|gps|geo(?:location|code)?)\b"
    r"(?: (?:coordinates|position|location|are|is|were|was|at|of))*[\"' :=(\[]{1,6}"
    rf"(?P<place>{_DECIMAL}(?:[ ,;/]{{1,3}}{_DECIMAL})?)(?![\w%])",
    re.IGNORECASE,
)
_GEOCODES = ("lat", "lon", "lng", "coord", "gps", "geo")
MAYBE_GEOCODE = re.compile(r"\d\.\d\d")
_ADDRESSES = ("address", "adresse", "anschrift", "residence")


def places(text: str, low: str, digits: Digits) -> Iterator[Found]:
    """Streets, boxes, postal codes with a city, and cities that a person is said to live in."""
    if digits.starts:
        yield from (Found(*match.span(), "ADDRESS") for match in _with_digits(text, low, digits))
        if any(word in low for word in _ADDRESSES):
            yield from (
                Found(*match.span("place"), "ADDRESS") for match in _ADDRESS.finditer(text) if "@" not in match[0]
            )
        if "°" in text or (MAYBE_GEOCODE.search(text) and any(word in low for word in _GEOCODES)):
            yield from (Found(*match.span(match.lastgroup or 0), "PLACE") for match in _GEOCODE.finditer(text))
    if any(word in low for word in _LIVING):
        for match in _LIVES.finditer(text):
            if not all(word in proper_nouns() or word in _PARTS for word in match["place"].lower().split()):
                yield Found(*match.span("place"), "PLACE")


def _with_digits(text: str, low: str, digits: Digits) -> Iterator["re.Match[str]"]:
    starts = digits.starts
    yield from matches_at(_STREET, text, starts)
    yield from matches_at(_ZIP_CITY, text, starts)
    yield from matches_at(_POSTCODE, text, (at for start in starts for at in (start - 2, start - 1) if at >= 0))
    if any(low.endswith(_GERMAN_WAYS, 0, start - (text[start - 1 : start] == " ")) for start in starts):
        yield from _GERMAN.finditer(text)
    zips = [start for start, end in zip(*digits, strict=True) if end - start == _ZIP_DIGITS]
    if zips and ", " in text:
        for begin, stop in Digits(zips, zips).near(_LONGEST_CITY, _ZIP_DIGITS + 8):
            yield from _CITY_ZIP.finditer(text, begin, stop)
    if "box" in low or "postfach" in low:
        yield from _BOX.finditer(text)
