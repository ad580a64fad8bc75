"""The words that name demographic groups: `lexicons` beside this file, and lexicons of one's own."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

from tunesmith import DataError, RecipeError, did_you_mean
from tunesmith_plugins.audits.lexicon_form import is_category, own_lexicon, words_of
from tunesmith_plugins.audits.matching import Finder
from tunesmith_plugins.audits.word_forms import Sets, forms, pattern

_LANGUAGE = "en"
_LEXICONS = 8
_NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True)
class Row:
    """Words of several groups that stand for each other, form by form.

    Args:
        words: The forms in each group, as many in all.
        pos: Part of speech in which they do; empty for any.
        one_way: Whether the first group's word becomes the second's, and is never made of it (`mrs` of `mr`).
    """

    words: Mapping[str, tuple[str, ...]]
    pos: str = ""
    one_way: bool = False


@dataclass(frozen=True, eq=False)
class Names:
    """Personal names, and how sure it is what group they tell of.

    Args:
        kind: `given` or `surname`.
        groups: The groups that are told apart.
        persons: By name in lower case, how many persons of each group have it (of equally large groups, or of one
            population: the source says which).
    """

    kind: str
    groups: Sequence[str]
    persons: Mapping[str, Sequence[float]]

    def share(self, name: str) -> dict[str, float]:
        """The share of each group among those who have a name, also without accents; empty where it is not known."""
        counts = self.persons.get(name.casefold()) or self.persons.get(plain_name(name), ())
        return {group: n / sum(counts) for group, n in zip(self.groups, counts, strict=False)} if sum(counts) else {}

    def group(self, name: str, least: float) -> str | None:
        """The group that at least a share `least` of a name's bearers belong to; None where none is that sure."""
        return next((group for group, share in self.share(name).items() if share >= least), None)

    def telling(self, least: float) -> Mapping[str, str]:
        """The group that each name which is that sure tells of, by the name in lower case."""
        if least not in self._told:
            self._told[least] = {name: group for name in self.persons if (group := self.group(name, least))}
        return self._told[least]

    @cached_property
    def _told(self) -> dict[float, Mapping[str, str]]:
        return {}

    def sure(self, group: str, least: float) -> list[str]:
        """Names that tell of a group, the most frequent first."""
        at = list(self.groups).index(group)
        found = [name for name in self.persons if self.group(name, least) == group]
        return sorted(found, key=lambda name: (-self.persons[name][at], name))


@dataclass(frozen=True, eq=False)
class Category:
    """Groups that exclude or complement each other.

    Args:
        name: What they divide by (gender, age, ...).
        words: Each group's entries, as the lexicon has them.
        compared: The groups that are held against each other; others are counted only.
        swaps: Words that stand for each other.
        names: Personal names that tell of the groups; None where the lexicon has none.
        fixed: Entries that look like a group's words and are none (`mother tongue`), or name both (`he or she`).
        bound: Entries that hold of one group alone, so that a text with them is not swapped (`pregnant`).
        sets: Entries that `{name}` stands for.
        language: Of the words, as a code of two letters.
        finder: Of all categories that were read together, by category and group, so that each text is read once.
    """

    name: str
    words: Mapping[str, Sequence[str]]
    compared: Sequence[str]
    swaps: Sequence[Row] = ()
    names: Names | None = None
    fixed: Sequence[str] = ()
    bound: Sequence[str] = ()
    sets: Sets = field(default_factory=dict)
    language: str = _LANGUAGE
    finder: Finder[tuple[str, str]] | None = None

    def mentions(self, text: str) -> Mapping[str, int]:
        """By group, how many of its words stand in a text; groups that it does not name are left out."""
        found = (self.finder or self._alone).count(text)
        return {group: n for (name, group), n in found.items() if name == self.name} if found else _NOTHING

    def may_mention(self, text: str) -> set[str]:
        """Groups whose words can stand in a text or a part of it; those of others do not."""
        return {group for name, group in (self.finder or self._alone).may_have(text) if name == self.name}

    @cached_property
    def _alone(self) -> Finder[tuple[str, str]]:
        return _finder_of({self.name: {"groups": self.words, "sets": self.sets}})

    @cached_property
    def patterns(self) -> dict[str, re.Pattern[str]]:
        """What finds each group's words (`word_forms.pattern`)."""
        return {group: pattern(words, self.sets) for group, words in self.words.items()}


def _finder_of(categories: Mapping[str, Mapping[str, Any]]) -> Finder[tuple[str, str]]:
    """Counts the words of the groups of all categories, as a lexicon has them."""
    return Finder(
        {
            (name, group): (words, category.get("sets", {}))
            for name, category in categories.items()
            for group, words in category["groups"].items()
        }
    )


def read_lexicon(owner: str, own: str | Path | None, categories: Sequence[str] | None) -> list[Category]:
    """Read the built-in lexicon, with the categories of `own` added or in place of its own.

    A category of `own` that says `"extends": true` is added to the built-in one of its name. Where `own` states another
    `language` than English, it stands alone.

    Args:
        owner: Class whose options these are, for messages.
        own: Path of a JSON file in the same form.
        categories: Those to return; all if None or empty.

    Raises:
        RecipeError: A category does not exist.
        DataError: The file cannot be read, or is no lexicon.
    """
    mine = own_lexicon(f"{owner}.lexicon", Path(own)) if own is not None else {}
    language = str(mine.get("language", _LANGUAGE))
    raw = dict(_built_in("categories")) if language == _LANGUAGE else {}
    for name, category in mine.get("categories", {}).items():
        given = {"sets": mine.get("sets", {}), **category}
        extends = given.pop("extends", False)
        if extends and name not in raw:
            msg = f"{owner}.lexicon: {own}: {name} extends a category that is not there{nearest(name, raw)}"
            raise DataError(msg)
        raw[name] = _merged(raw[name], given) if extends else given
        if not is_category(raw[name], {}):
            msg = f"{owner}.lexicon: {own}: {name} has a row of swaps, or compares, what is none of its groups"
            raise DataError(msg)
    for name in categories or []:
        if name not in raw:
            msg = f"{owner}.categories: {name!r} is not in the lexicon{nearest(name, raw)}"
            raise RecipeError(msg)
    known = _known(json.dumps(mine), raw, language)
    return [known[name] for name in categories or raw]


def read_attributes(owner: str, own: str | Path | None, names: Sequence[str] | None) -> dict[str, Sequence[str]]:
    """Entries of words for what is said of people (career, crime, ...), those of `own` in place of built-in ones.

    Args:
        owner: Class whose options these are, for messages.
        own: Path of a JSON file that may have `attributes`.
        names: Those to return; all if None or empty.

    Raises:
        RecipeError: One does not exist.
        DataError: The file cannot be read, or is no lexicon.
    """
    mine = own_lexicon(f"{owner}.lexicon", Path(own)) if own is not None else {}
    raw = _built_in("attributes") if str(mine.get("language", _LANGUAGE)) == _LANGUAGE else {}
    raw = {**raw, **mine.get("attributes", {})}
    for name in names or []:
        if name not in raw:
            msg = f"{owner}.attributes: {name!r} is not in the lexicon{nearest(name, raw)}"
            raise RecipeError(msg)
    return {name: raw[name] for name in names or raw}


def read_part(owner: str, own: str | Path | None, part: str) -> dict[str, Any]:
    """What the lexicon has of a part (`stereotypes`, `toxicity`), with that of `own` added or in place of its own.

    Args:
        owner: Class whose options these are, for messages.
        own: Path of a JSON file that may have the part.
        part: Its key.

    Raises:
        DataError: The file cannot be read, or is no lexicon.
    """
    mine = own_lexicon(f"{owner}.lexicon", Path(own)) if own is not None else {}
    raw = _built_in(part) if str(mine.get("language", _LANGUAGE)) == _LANGUAGE else {}
    return {**raw, **mine.get(part, {})}


def nearest(name: str, known: Iterable[str]) -> str:
    """End of a message about an unknown name: the nearest known one, and all of them."""
    names = list(known)
    return f"{did_you_mean(name, names)} (there are: {', '.join(names) or 'none'})"


_read: dict[str, dict[str, Category]] = {}
"""Categories by what was added to the built-in ones, so that what they found in a text is found again."""


def _known(mine: str, raw: Mapping[str, Any], language: str) -> dict[str, Category]:
    if mine not in _read:
        if len(_read) >= _LEXICONS:
            _read.clear()
        finder = _finder_of(raw)
        _read[mine] = {name: _category(name, one, language, finder) for name, one in raw.items()}
    return _read[mine]


@cache
def _built_in(part: str) -> dict[str, Any]:
    """What all files of the language have of a part, by name; not to be changed."""
    found: dict[str, Any] = {}
    folder = resources.files(__package__).joinpath("lexicons", _LANGUAGE)
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        raw = json.loads(file.read_text(encoding="utf-8"))
        for name, value in raw.get(part, {}).items():
            given = {"sets": raw.get("sets", {}), **value} if part == "categories" else value
            found[name] = _merged(found[name], given) if name in found else given
    return found


def _merged(one: Any, other: Any) -> Any:
    """Two parts of a lexicon as one: what lists say is joined, what else the second says holds."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**one, **{key: _merged(one[key], value) if key in one else value for key, value in other.items()}}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(item for item in other if item not in one)]
    return other


def plain_name(name: str) -> str:
    """A name in lower case without accents: censuses leave them out."""
    return "".join(sign for sign in normalize("NFD", name.casefold()) if not combining(sign))


def _category(name: str, raw: Mapping[str, Any], language: str, finder: Finder[tuple[str, str]]) -> Category:
    groups: Mapping[str, Sequence[str]] = raw["groups"]
    rows = [
        Row({g: forms(e) for g, e in words_of(row).items()}, row.get("pos", ""), bool(row.get("one_way")))
        for row in raw.get("swaps", [])
    ]
    names = None
    if held := raw.get("names"):
        persons = {str(key).casefold(): value for key, value in held["persons"].items()}
        names = Names(held.get("kind", "given"), held["groups"], persons)
    rest = raw.get("fixed", ()), raw.get("bound", ()), raw.get("sets", {})
    return Category(name, groups, raw.get("compared", list(groups)), rows, names, *rest, language, finder)
