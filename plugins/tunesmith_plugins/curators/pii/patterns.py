"""The engine `patterns`: check digits, shapes, labels, and lists of words. It needs nothing but a text."""

from collections.abc import Mapping
from re import Pattern

from tunesmith_plugins.curators.pii.ages import ages
from tunesmith_plugins.curators.pii.anchors import digits_of
from tunesmith_plugins.curators.pii.contacts import contacts, phones
from tunesmith_plugins.curators.pii.dates import dates
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.identifiers import checked, labelled
from tunesmith_plugins.curators.pii.names import names
from tunesmith_plugins.curators.pii.places import places
from tunesmith_plugins.curators.pii.plates import plates


class Patterns:
    """Finds identities by patterns.

    Args:
        custom: The customer's own, by kind.
    """

    def __init__(self, custom: Mapping[str, Pattern[str]]) -> None:
        self.custom = custom

    def find(self, text: str) -> list[Found]:
        """Identities of a text, the most certain kind first; they may overlap."""
        low = _lower(text)
        found = [Found(*match.span(), kind) for kind, own in self.custom.items() for match in own.finditer(text)]
        digits, numbers = digits_of(text), list[Found]()
        if digits.starts:
            found += checked(text, low, digits)
        found += contacts(text, low, digits)
        if digits.starts:
            found += phones(text, low, digits)
            found += dates(text, low, digits)
            numbers = list(labelled(text, low, digits))
            found += (one for one in numbers if one.kind != "ID")
            found += plates(text, low, digits)
        found += ages(text, low, digits)
        found += places(text, low, digits)
        # Whatever else finds such a number says more: "Springfield, IL 62704-1234".
        found += (one for one in numbers if one.kind == "ID")
        found += names(text, low)
        return found


def _lower(text: str) -> str:
    """In lower case, with every character in its place."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
