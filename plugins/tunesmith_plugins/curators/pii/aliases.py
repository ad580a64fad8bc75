"""Who is who in a document, or in all documents of one person: the same identity gets the same alias."""

import re
from collections.abc import Iterable
from typing import Protocol

from tunesmith_plugins.curators.pii.known import parts

_SEPARATORS = re.compile(r"[\s()./-]+")
_DIGIT = re.compile(r"\d")
_NO_DIGITS = re.compile(r"\D+")
_WITH_SIGNS = frozenset(("EMAIL", "URL", "IP", "DATE"))
# Digits of a North American number with its country's code.
_WITH_ONE = 11


class Writer(Protocol):
    """How aliases are written: as placeholders, or as surrogates."""

    def write(self, kind: str, identity: str, number: int, taken: set[str]) -> str:
        """The alias of an identity.

        Args:
            kind: Its kind.
            identity: It, in the form that all its writings share.
            number: How many of its kind came before it in the document, and one.
            taken: Aliases of others of its kind.
        """

    def form(self, kind: str, alias: str, identity: str, text: str) -> str:
        """The alias in the form in which `text` says the identity."""


class Placeholders:
    """`[NAME_1]`: the kind, and which one of the document."""

    def write(self, kind: str, identity: str, number: int, taken: set[str]) -> str:
        """The kind with a number."""
        return f"[{kind}_{number}]"

    def form(self, kind: str, alias: str, identity: str, text: str) -> str:
        """The same for every form."""
        return alias


class Aliases:
    """The aliases of one document, or of one person's documents.

    Args:
        writer: How they are written.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._aliases: dict[tuple[str, str], str] = {}
        self._taken: dict[str, set[str]] = {}
        self._persons: list[tuple[str, ...]] = []
        self._offset: dict[str, int] = {}

    def meet(self, names: Iterable[str]) -> None:
        """Note the names of a document, the fullest first, so that shorter forms are known to be theirs."""
        for name in sorted(dict.fromkeys(names), key=lambda name: -len(parts(name))):
            self._person(name)

    def reserve(self, texts: Iterable[str]) -> None:
        """Leave out numbers of placeholders that texts already hold."""
        for text in texts:
            if "[" in text:
                for kind, number in re.findall(r"\[([A-Z][A-Z0-9_]*)_(\d{1,9})\]", text):
                    self._offset[kind] = max(self._offset.get(kind, 0), int(number))

    def of(self, kind: str, text: str) -> str:
        """What takes the place of `text`, which says an identity of that kind."""
        identity = " ".join(self._person(text)) if kind == "NAME" else identity_of(kind, text)
        alias = self._aliases.get((kind, identity))
        if alias is None:
            taken = self._taken.setdefault(kind, set())
            alias = self.writer.write(kind, identity, len(taken) + 1 + self._offset.get(kind, 0), taken)
            taken.add(alias)
            self._aliases[kind, identity] = alias
        return self.writer.form(kind, alias, identity, text)

    def _person(self, name: str) -> tuple[str, ...]:
        """The fullest form of the person whom a name means: the first whose words hold all of the name's."""
        words = parts(name)
        for person in self._persons:
            if set(words) <= set(person):
                return person
        self._persons.append(words)
        return words


def identity_of(kind: str, text: str) -> str:
    """The form that all writings of an identity share, so that they get one alias.

    Numbers go without their separators, in lower case: "DE89 3704" is "de893704". Of telephone numbers the digits stay
    (with "+" and the country's code where that is not 1, and an extension behind "x"): "+1 (415) 555-0132" is
    "4155550132". Mail, web and network addresses and dates keep their signs, which tell one from another.
    """
    if kind == "PHONE":
        return _phone(text.lower())
    if kind in _WITH_SIGNS:
        return " ".join(text.lower().split())
    return same_form(text)


def _phone(low: str) -> str:
    main, _, extension = low.partition("x")  # of "x 9", "ext. 9", "extension 9"
    abroad = main.lstrip(" (").startswith(("+", "00"))
    digits = _NO_DIGITS.sub("", main.replace("(0)", "") if abroad else main)
    digits = digits.lstrip("0") if abroad else digits
    if digits.startswith("1") and len(digits) == _WITH_ONE:
        digits, abroad = digits[1:], False
    extension = _NO_DIGITS.sub("", extension)
    return f"{'+' if abroad else ''}{digits}{'x' if extension else ''}{extension}"


def same_form(text: str) -> str:
    """A number without the separators that it is written with; any other text in lower case with single spaces."""
    if _DIGIT.search(text):
        return _SEPARATORS.sub("", text).lower()
    return " ".join(text.lower().split())
