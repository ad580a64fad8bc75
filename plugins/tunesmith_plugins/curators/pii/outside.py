"""Identities outside of texts: in the names of files and columns, and in ids. All three are written as they are."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tunesmith import DataError, Example
from tunesmith_plugins.curators.pii.aliases import same_form
from tunesmith_plugins.curators.pii.anonymiser import Engine
from tunesmith_plugins.curators.pii.found import PLACEHOLDER
from tunesmith_plugins.curators.pii.known import parts
from tunesmith_plugins.curators.pii.lexicon import is_word, sure_names

_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W]+")
# By itself, or behind letters ("mrn4471123"): what digests hold by chance is neither.
_NUMBER = re.compile(r"(?<![^\W_])[^\W\d_]*(\d+)(?![^\W_])")
_NO_DIGITS = re.compile(r"\D+")
_DIGITS, _LETTERS = 6, 3
# A day in a file's name is when it was written, and long numbers there are its own.
_KINDS = frozenset(("NAME", "EMAIL", "PHONE", "SSN", "CARD", "IBAN", "RECORD", "PLAN", "ACCOUNT", "LICENCE"))


class Outside:
    """Refuses examples whose file, columns or id would carry an identity past the curator.

    Messages say where it is and never what it is.

    Args:
        engine: What finds identities.
        keep: Kinds that stay.
    """

    def __init__(self, engine: Engine, keep: Iterable[str] = ()) -> None:
        self.engine = engine
        self.keep = frozenset(keep)
        self._kinds: dict[str, str] = {}

    def check(self, example: Example, replaced: Mapping[str, str]) -> None:
        """Raise DataError where the example's file, a column or its id holds an identity.

        Args:
            example: As it came.
            replaced: What was put into its texts, with what it stands for.
        """
        file = example.origin.file.replace("\\", "/").rpartition("/")[2]
        said = {f"column {number}: its name": key for number, key in enumerate(example.extras, 1)}
        for place, text in {"the name of the file": file, **said}.items():
            if kind := self._found(text):
                raise DataError(_refusal(example, f"{place} holds {kind}"))
        identities = [identity for identity in replaced.values() if not PLACEHOLDER.fullmatch(identity)]
        if not identities:
            return
        for place, text in (("the name of the file", file), ("the id of the row", example.id)):
            if _holds(text, identities):
                raise DataError(_refusal(example, f"{place} holds an identity of its text"))

    def _found(self, said: str) -> str:
        """The kind of an identity in a name of a file or column, that the engine finds once it is words; or nothing."""
        if said not in self._kinds:
            text = " ".join(part.capitalize() for part in _HUMP.sub(" ", said).split())
            kinds = [f.kind for f in self.engine.find(text) if _is_sure(f.kind, text[f.start : f.end])]
            kinds += [f.kind for f in self.engine.find(said) if f.kind in _KINDS - {"NAME"}]
            self._kinds[said] = next((kind for kind in kinds if kind not in self.keep), "")
        return self._kinds[said]


def _refusal(example: Example, what: str) -> str:
    where = f"line {example.origin.line} of source {example.origin.source}" if example.origin.source else "a row"
    return f"{where}: {what}; ids and names of files and columns are written as they are: call it otherwise"


def _is_sure(kind: str, text: str) -> bool:
    """Whether it is one in a name of few words, where all are capitalised: a given name, or a number with a label."""
    if kind == "NAME":
        return any(word in sure_names() for word in parts(text))
    return kind in _KINDS


@lru_cache(256)
def _parts_of(said: str) -> tuple[frozenset[str], frozenset[str], str]:
    """What a name of a file or an id is made of: its words that are none of the language, its numbers, and its form."""
    low = said.lower()
    words = (word for word in _WORD.findall(low) if len(word) > _LETTERS and not is_word(word))
    return frozenset(words), frozenset(_NUMBER.findall(low)), same_form(said)


def _holds(said: str, identities: Iterable[str]) -> bool:
    words, numbers, plain = _parts_of(said)
    for identity in identities:
        digits = _NO_DIGITS.sub("", identity)
        if digits:
            # The form of an identity is longer than its digits at most by what is no digit in it.
            alike = len(digits) <= len(plain) <= len(identity) and plain == same_form(identity)
            if alike or (len(digits) >= _DIGITS and digits in numbers):
                return True
        elif words and words.intersection(parts(identity)):
            return True
    return False
