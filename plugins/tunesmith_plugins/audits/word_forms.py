"""Words of a lexicon: their forms, and the pattern that finds them in a text."""

import re
from collections.abc import Iterable, Mapping, Sequence

Sets = Mapping[str, Sequence[str]]

_HYPHENS = "\u2010\u2011-"  # the last one is literal in a character class
# What stands before the `old` of an age: `44-year-old woman`, `30 years old man`, `6 yr old`.
_AGES = "".join(rf"(?<!\b{unit}[\s{_HYPHENS}])" for unit in ("year", "years", "yr", "yrs", "month", "months", "yo"))
_BAR = re.compile(r"\|(?![^(]*\))")
_ENDINGS = re.compile(r"(.+?)\(([^()]*)\)(.*)")
BETWEEN = rf"(?:\s+|[{_HYPHENS}])"
"""Between the words of a phrase."""


def forms(entry: str) -> tuple[str, ...]:
    """All forms that an entry of a lexicon stands for, the first one being the word itself.

    `woman|women` is two words, `girl(s)` is `girl` and `girls`, `arrest(s|ed)` is three, `sell(s) drugs` two
    phrases; `{people}` is left as it is.
    """
    found: list[str] = []
    for part in _BAR.split(entry.strip()):
        if match := _ENDINGS.fullmatch(part.strip()):
            found += [match[1] + match[3], *(match[1] + ending + match[3] for ending in match[2].split("|"))]
        else:
            found.append(part.strip())
    return tuple(dict.fromkeys(found))


def pattern(entries: Iterable[str], sets: Sets | None = None) -> re.Pattern[str]:
    """What finds the words of entries, whole and in any case.

    A single word also counts in a compound (`she-wolf`, `African-American`); a phrase, which may itself be hyphenated
    (`Middle-Eastern`), must not begin inside one, and its `old` must not be that of an age (`44-year-old woman`).

    Args:
        entries: Words with their forms.
        sets: Entries that `{name}` stands for.
    """
    words = {form for entry in entries for form in forms(entry)}
    # Longest first, so that a phrase wins over a word that it begins with.
    ordered = sorted(words, key=lambda word: (-len(word), word))
    # By first letter, so that a place in a text is tried against few words: 6 times as fast for 150 of them.
    by_letter: dict[str, list[str]] = {}
    for word in ordered:
        by_letter.setdefault("" if word[0] == "{" else word[0].lower(), []).append(_option(word, sets or {}))
    branches = [
        (f"(?={re.escape(letter)})" if letter else "") + f"(?:{'|'.join(options)})"
        for letter, options in sorted(by_letter.items())  # what begins with a set first
    ]
    return re.compile(rf"(?<!\w)(?:{'|'.join(branches)})(?!\w)", re.IGNORECASE)


def phrase(word: str, sets: Sets) -> str:
    """A regular expression of a word or phrase, without what may stand around it."""
    return BETWEEN.join(_part(part, sets) for part in word.split())


def begins(word: str) -> str:
    """What must not stand before a phrase."""
    parts = word.split()
    age = _AGES if parts[0].casefold() == "old" else ""
    return rf"(?<![{_HYPHENS}]){age}" if len(parts) > 1 else ""


def slots(entry: str) -> list[str]:
    """Names of the sets that an entry asks for."""
    return re.findall(r"\{(\w+)\}", entry)


def _option(word: str, sets: Sets) -> str:
    return begins(word) + phrase(word, sets)


def _part(part: str, sets: Sets) -> str:
    if not slots(part):
        return re.escape(part)
    words = {form for entry in sets[part[1:-1]] for form in forms(entry)}
    return f"(?:{'|'.join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))})"
