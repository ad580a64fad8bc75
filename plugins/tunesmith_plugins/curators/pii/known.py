"""Names that a document has told once are found again in it in other forms: "Mr. Weber", "Anna", "WEBER"."""

import re
from collections.abc import Collection, Iterable, Iterator

from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import common_words
from tunesmith_plugins.curators.pii.name_words import DOUBTFUL_TITLES, PARTICLES, SUFFIXES, TITLES
from tunesmith_plugins.curators.pii.word_list import words

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_GAP = re.compile(r"(?:[ \u00a0]{1,2}|\.? ?[A-Z]\. ?|\. ?)")
_LEAST, _LOWER = 3, 4
# Surnames that sentences begin with.
_TOO_COMMON = frozenset(words("will may long see many soon else don art the and for see major english min max"))
_NO_PARTS = TITLES | DOUBTFUL_TITLES | PARTICLES | SUFFIXES


def parts(name: str) -> tuple[str, ...]:
    """The words of a name that stand for it by themselves, in lower case, in order, the surname last.

    Titles, particles and initials are left out; "Weber, Anna" is "Anna Weber".
    """
    before, comma, after = name.partition(",")
    name = f"{after} {before}" if comma and after.strip() else name
    found = (word.lower() for word in _WORD.findall(name))
    return tuple(word for word in found if len(word) > 1 and word not in _NO_PARTS) or tuple(
        word.lower() for word in _WORD.findall(name)
    )


class Known:
    """What is known of a document's persons, to be found again.

    Args:
        names: Their names, as they were found or as a column states them.
        values: Other values that a column states, with their kinds.
    """

    def __init__(self, names: Collection[str], values: Iterable[tuple[str, str]] = ()) -> None:
        told = {word for name in names for word in parts(name) if len(word) >= _LEAST and word not in _TOO_COMMON}
        forms: dict[str, None] = {}
        for word in sorted(told):
            forms |= dict.fromkeys((_capitalised(word), word.upper()))
            if word not in common_words() and len(word) >= _LOWER:
                forms[word] = None
        self.forms = tuple(forms)
        # Whole names too: of "Goran Long" no part but the first is sought by itself.
        self.values = [*((name, "NAME") for name in names if " " in name), *values]

    def find(self, text: str) -> list[Found]:
        """Where they stand in a text; words of a name that stand together are one find."""
        found = [
            Found(start, start + len(value), kind) for value, kind in self.values for start in _places(text, value)
        ]
        spans = sorted(
            (start, start + len(form)) for form in self.forms if form in text for start in _places(text, form)
        )
        return found + [Found(start, end, "NAME") for start, end in _together(text, spans)]


def _capitalised(word: str) -> str:
    if word.isalpha():
        return word[0].upper() + word[1:]
    return re.sub(r"(?:^|(?<=[-'’]))[^\W\d_]", lambda match: match[0].upper(), word)


def _places(text: str, form: str) -> Iterator[int]:
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (form[0].isalnum() and (before.isalnum() or before == "_")) and not (
            form[-1].isalnum() and (after.isalnum() or after == "_")
        ):
            yield at
        at = text.find(form, end)


def _together(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for start, end in spans:
        if made and start >= made[-1][1] and _GAP.fullmatch(text, made[-1][1], start):
            made[-1] = made[-1][0], end
        elif not made or start >= made[-1][1]:
            made.append((start, end))
    return made
