"""The words that name demographic groups: `lexicon.json` beside this file, and lexicons of one's own."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tunesmith import DataError, RecipeError, did_you_mean

_HYPHENS = "\u2010\u2011-"  # the last one is literal in a character class
# What stands before the `old` of an age: `44-year-old woman`, `30 years old man`, `6 yr old`.
_AGES = "".join(rf"(?<!\b{unit}[\s{_HYPHENS}])" for unit in ("year", "years", "yr", "yrs", "month", "months", "yo"))
_FORM = '{"categories": {"name": {"groups": {"group": ["word", ...]}, "compared": ["group", ...]}}}'


@dataclass(frozen=True)
class Category:
    """Groups that exclude or complement each other.

    Args:
        name: What they divide by (gender, age, ...).
        patterns: What finds a group's words, whole and in any case. A single word also counts in a compound
            (`she-wolf`, `African-American`); a phrase, which may itself be hyphenated (`Middle-Eastern`), must not
            begin inside one, and its `old` must not be that of an age (`44-year-old woman`).
        compared: The groups that are held against each other; others are counted only.
    """

    name: str
    patterns: Mapping[str, re.Pattern[str]]
    compared: Sequence[str]


def read_lexicon(owner: str, own: str | Path | None, categories: Sequence[str] | None) -> list[Category]:
    """Read the built-in lexicon, with the categories of `own` added or in place of its own.

    Args:
        owner: Class whose options these are, for messages.
        own: Path of a JSON file in the same form.
        categories: Those to return; all if None or empty.

    Raises:
        RecipeError: A category does not exist.
        DataError: The file cannot be read, or is no lexicon.
    """
    built_in = resources.files(__package__).joinpath("lexicon.json").read_text(encoding="utf-8")
    raw: dict[str, Any] = dict(json.loads(built_in)["categories"])
    if own is not None:
        raw |= _own_categories(f"{owner}.lexicon", Path(own))
    for name in categories or []:
        if name not in raw:
            msg = f"{owner}.categories: {name!r} is not in the lexicon{nearest(name, raw)}"
            raise RecipeError(msg)
    return [_compiled(name, raw[name]) for name in categories or raw]


def nearest(name: str, known: Iterable[str]) -> str:
    """End of a message about an unknown name: the nearest known one, and all of them."""
    names = list(known)
    return f"{did_you_mean(name, names)} (there are: {', '.join(names) or 'none'})"


def _own_categories(key: str, path: Path) -> dict[str, Any]:
    try:
        categories = json.loads(path.read_text(encoding="utf-8"))["categories"]
        wrong = [str(name) for name, category in categories.items() if not _is_category(category)]
    except OSError as error:
        msg = f"{key}: {path} cannot be read ({error.strerror})"
        raise DataError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{key}: {path} is no lexicon; its form is {_FORM}, where `compared` may be left out"
        raise DataError(msg) from error
    if wrong:
        msg = f"{key}: {path}: {', '.join(wrong)} has not the form of a category; the form is {_FORM}"
        raise DataError(msg)
    return dict(categories)


def _is_category(category: Any) -> bool:
    groups = category["groups"]
    full = all(isinstance(g, list) and g and all(isinstance(w, str) and w.strip() for w in g) for g in groups.values())
    return bool(groups) and full and set(category.get("compared", groups)) <= set(groups)


def _compiled(name: str, category: Mapping[str, Any]) -> Category:
    groups: Mapping[str, Sequence[str]] = category["groups"]
    return Category(name, {g: _pattern(words) for g, words in groups.items()}, category.get("compared", list(groups)))


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    # Longest first, so that a phrase wins over a word that it begins with.
    ordered = sorted({word.strip() for word in words}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(_option, ordered))})(?!\w)", re.IGNORECASE)


def _option(word: str) -> str:
    parts = word.split()
    if len(parts) == 1:
        return re.escape(word)
    age = _AGES if parts[0].casefold() == "old" else ""
    return rf"(?<![{_HYPHENS}]){age}" + rf"(?:\s+|[{_HYPHENS}])".join(map(re.escape, parts))
