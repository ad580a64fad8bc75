"""The form of a lexicon of one's own, and what is wrong with a file that has it not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith import DataError
from tunesmith_plugins.audits.word_forms import forms, slots

_PARTS = {"attributes", "stereotypes", "toxicity"}
_FORM = '{"categories": {"name": {"groups": {"group": ["word", ...]}, "compared": ["group", ...]}}}'


def own_lexicon(key: str, path: Path) -> dict[str, Any]:
    """What a lexicon of one's own says.

    Args:
        key: Whose option it is, for messages.
        path: A JSON file.

    Raises:
        DataError: It cannot be read, or is no lexicon.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        categories = raw.get("categories", {}) if _PARTS & set(raw) else raw["categories"]
        sets, attributes = raw.get("sets", {}), raw.get("attributes", {})
        wrong = [str(name) for name, category in categories.items() if not is_category(category, sets)]
        wrong += [str(name) for name, words in attributes.items() if not _are_words(words, {})]
    except OSError as error:
        msg = f"{key}: {path} cannot be read ({error.strerror})"
        raise DataError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{key}: {path} is no lexicon; its form is {_FORM}, where `compared` may be left out"
        raise DataError(msg) from error
    if wrong:
        msg = f"{key}: {path}: {', '.join(wrong)} has not the form of a category; the form is {_FORM}"
        raise DataError(msg)
    return dict(raw)


def _are_words(entries: Any, sets: Mapping[str, Any]) -> bool:
    known = isinstance(entries, list) and entries and all(isinstance(w, str) and w.strip() for w in entries)
    return bool(known) and all(slot in sets for entry in entries for slot in slots(entry))


def is_category(category: Any, outer: Mapping[str, Any]) -> bool:
    """Whether it has groups with words, and what else it says has the right form and fits them."""
    extends, sets = bool(category.get("extends")), {**outer, **category.get("sets", {})}
    groups = category.get("groups", {}) if extends else category["groups"]
    right = bool(groups) or extends
    right &= all(_are_words(entries, {}) for entries in sets.values())
    right &= all(_are_words(entries, sets) for entries in groups.values())
    if not extends:
        right &= set(category.get("compared", groups)) <= set(groups)
        right &= all(set(words_of(row)) <= set(groups) for row in category.get("swaps", []))
    for row in category.get("swaps", []):
        words = words_of(row)
        right &= len(words) > 1 and all(_are_words([entry], sets) for entry in words.values())
        right &= len({len(forms(entry)) for entry in words.values()}) == 1
    for key in ("fixed", "bound"):
        right &= not category.get(key) or _are_words(category[key], sets)
    if (names := category.get("names")) is not None:
        right &= names.get("kind", "given") in ("given", "surname")
        right &= all(len(n) == len(names["groups"]) and min(n) >= 0 for n in names["persons"].values())
    return right


def words_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a row of swaps, by group."""
    return {group: entry for group, entry in row.items() if group not in ("pos", "one_way")}
