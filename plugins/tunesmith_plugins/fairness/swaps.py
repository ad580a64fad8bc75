"""Texts and examples in which one group takes the place of another."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith import Example
from tunesmith_plugins.audits.lexicon import Category, Names
from tunesmith_plugins.audits.word_forms import BETWEEN, begins, pattern, phrase, slots
from tunesmith_plugins.fairness.english import (
    article,
    begins_sentence,
    cased,
    is_adjective,
    is_determiner,
    joined,
)
from tunesmith_plugins.fairness.names import CAPITALISED, LEAST, is_person, matched

# What is no prose: code, addresses, tags, placeholders, keys of JSON, paths, dotted names.
_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\b(?:https?|ftp)://\S+|\bwww\.\S+|\S+@[\w-]+\.\w+|(?<!\w)[@#]\w[\w.-]*|<[^<>\n]+>"
    r"|\{\w+\}|\"[^\"\n]*\"(?=\s*:)|(?<!\w)(?:[\w.-]*/){2,}[\w.-]*|\b[a-z]\w*(?:\.[a-z_]\w*)+(?:\(\))?|\w+\(\)",
    re.DOTALL,
)
_ARTICLE = re.compile(r"(?<!\w)(an?)([ \t\n]+)$", re.IGNORECASE)
_HYPHENS = "\u2010\u2011-"
_BARE_GENITIVE = re.compile(r"['’](?!\w)")  # noqa: RUF001


class Swapper:
    """Exchanges two groups of a category in texts, words and names of both at once.

    Words are exchanged as the lexicon pairs them, form by form (`wives` and `husbands`), by part of speech where
    English has one word for two: `her` is `his` before a noun and else `him`, `his` is `her` before a noun and else
    `hers` (`english.is_determiner` says how that is told), `Christian` is `Jewish` before a noun and else `Jew`. Case,
    hyphens and genitives are kept, `a` and `an` follow the new word. Names that are sure of a group become the same
    name of the other each time (`names.matched`); ambiguous and unknown ones are left alone.

    Left alone are phrases that name both groups or none (`he or she`, `mother tongue`), compounds (`man-made`), code,
    addresses, placeholders and keys. A swap of a swap is what was there, but for words that several others become
    (`Mrs`, `mum`), and where a rule takes an object for a noun's beginning. Real persons are not known: a text about
    Marie Curie becomes one about nobody.

    Args:
        category: Of the lexicon; in English.
        first: A group.
        second: The one that it is exchanged with.
        names: Whether personal names are exchanged too.
        least: Share of a name's bearers that have to belong to a group; if None 0.98 of given names, 0.8 of surnames,
            which say less.
    """

    def __init__(
        self, category: Category, first: str, second: str, names: bool = True, least: float | None = None
    ) -> None:
        self._targets = _targets(category, first, second)
        self._words = _sources(self._targets, category)
        self._bound = pattern(category.bound, category.sets) if category.bound else None
        self._names = category.names
        held = category.names
        usable = names and held is not None and {first, second} <= set(held.groups)
        self._pairs = _matched(held, first, second, least) if usable and held is not None else {}

    def text(self, text: str) -> str | None:
        """The text with the groups exchanged; None where nothing is, or it holds of one group alone."""
        if self._bound is not None and self._bound.search(text):
            return None
        made = self._swapped(text)
        return None if made == text else made

    def example(self, example: Example, columns: Sequence[str] = ()) -> Example | None:
        """The example with the groups exchanged in all of its texts; label and id stay.

        Args:
            example: Of any shape.
            columns: Those of `extras` that are swapped as well, however deep their texts lie (gold answers).

        Returns:
            None where no text changes, or one holds of one group alone.
        """
        texts = example.texts()
        if self._bound is not None and any(self._bound.search(text) for text in texts):
            return None
        made = example.map_texts(self._swapped)
        if example.segments:
            made = made.with_(segments=self._segments(example))
        if made == example:
            return None
        extras = {name: _deep(v, self._swapped) if name in columns else v for name, v in example.extras.items()}
        return made.with_(extras=extras) if columns else made

    def _segments(self, example: Example) -> tuple[Any, ...]:
        """Each piece as it reads within the whole."""
        whole, at, found = "".join(piece.text for piece in example.segments), 0, []
        edits = list(self._edits(whole))
        for piece in example.segments:
            end = at + len(piece.text)
            inner = [(max(a, at) - at, min(b, end) - at, new) for a, b, new in edits if at <= a < end]
            found.append(replace(piece, text=_edited(piece.text, inner)))
            at = end
        return tuple(found)

    def _swapped(self, text: str) -> str:
        return _edited(text, self._edits(text))

    def _edits(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where, in order, what is replaced by what."""
        closed = [match.span() for match in _NO_PROSE.finditer(text)]
        found: list[tuple[int, int, str]] = []
        for match in self._words.finditer(text):
            new = self._word(text, match)
            if new is not None and not _within(match.start(), closed):
                found.append((*match.span(), new))
            elif new is None and match.lastgroup == "fixed":
                closed.append(match.span())
        names = self._names
        for match in CAPITALISED.finditer(text) if names is not None and self._pairs else ():
            new_name = self._pairs.get(match[0].casefold())
            if not new_name or names is None or _within(match.start(), closed):
                continue
            if is_person(text, *match.span(), names):
                found.append((*match.span(), new_name.upper() if match[0].isupper() else new_name.capitalize()))
        last = 0
        for start, end, new in sorted(found):
            if start < last:
                continue
            if article_edit := _article(text, start, new):
                yield article_edit
            yield start, end, new
            if (genitive := _BARE_GENITIVE.match(text, end)) and text[start:end].casefold() in self._pairs:
                is_plain = not new.casefold().endswith("s") and text[start - 1 : start] not in ("'", "‘")  # noqa: RUF001
                if is_plain and text[start:end].endswith("s"):
                    yield genitive.start(), genitive.end(), genitive[0] + "s"
            last = end

    def _word(self, text: str, match: re.Match[str]) -> str | None:
        """What takes a word's place; None where nothing does."""
        if match.lastgroup == "fixed":
            return None
        gaps = re.findall(BETWEEN, match[0])
        options = self._targets[re.sub(BETWEEN, " ", match[0].casefold())]
        chosen = _chosen(options, text, match)
        if chosen is None:
            return None
        target, own = chosen
        return cased(joined(target, gaps), match[0], own != own.casefold(), begins_sentence(text, match.start()))


def _matched(names: Names, first: str, second: str, least: float | None) -> dict[str, str]:
    return matched(names, first, second, LEAST[names.kind] if least is None else least)


# By a form in lower case without its slot: parts of speech, what it becomes, and the form as the lexicon has it.
_Targets = dict[str, list[tuple[str, str, str]]]


def _targets(category: Category, first: str, second: str) -> _Targets:
    found: _Targets = {}
    for row in category.swaps:
        if not {first, second} <= row.words.keys():
            continue
        ways = [(first, second), (second, first)]
        if row.one_way:
            ways = [way for way in ways if list(row.words).index(way[0]) < list(row.words).index(way[1])]
        for one, other in ways:
            for form, target in zip(row.words[one], row.words[other], strict=True):
                key, option = _key(form), (row.pos, _bare(target), form)
                if all(pos != row.pos for pos, *_ in found.setdefault(key, [])):
                    found[key].append(option)
    return found


def _sources(targets: _Targets, category: Category) -> re.Pattern[str]:
    """What finds the words that are exchanged, and, before them, phrases that are not."""
    options = []
    for form in sorted({option[2] for each in targets.values() for option in each}, key=lambda f: (-len(f), f)):
        slot = slots(form)
        ahead = f"(?={BETWEEN}{phrase('{' + slot[0] + '}', category.sets)}(?!\\w))" if slot else ""
        options.append(begins(form) + phrase(_bare(form), category.sets) + ahead)
    words = f"(?<![\\w@#{_HYPHENS}])(?:{'|'.join(options) or '(?!)'})(?![\\w{_HYPHENS}](?=\\w)|\\w)"
    if any(slots(option[2]) for each in targets.values() for option in each):
        words = f"(?<![\\w@#{_HYPHENS}])(?:{'|'.join(options)})(?!\\w)"
    fixed = pattern(category.fixed, category.sets).pattern if category.fixed else "(?!)"
    return re.compile(f"(?P<fixed>{fixed})|(?P<word>{words})", re.IGNORECASE)


def _chosen(options: Sequence[tuple[str, str, str]], text: str, match: re.Match[str]) -> tuple[str, str] | None:
    """What a word becomes, and the form of the lexicon that it is, by its part of speech."""
    by_pos = {pos: (target, own) for pos, target, own in options}
    start, end = match.span()
    if "title" in by_pos:
        words = re.match(r"\.?[ \t]+([A-Z])", text[end:])
        if match[0][0].isupper() and words:
            return by_pos["title"]
        return by_pos.get("")
    if len(by_pos) == 1:
        return next(iter(by_pos.values()))
    if "determiner" in by_pos:
        other = by_pos.get("object") or by_pos.get("pronoun")
        is_his = "pronoun" in by_pos
        return by_pos["determiner"] if is_determiner(text, start, end, always=is_his) else other
    if "adjective" in by_pos:
        return by_pos["adjective"] if is_adjective(text, start, end) else by_pos.get("noun")
    return by_pos.get("")


def _article(text: str, start: int, new: str) -> tuple[int, int, str] | None:
    """The edit of an article before a word that begins with another sound."""
    match = _ARTICLE.search(text[max(0, start - 8) : start])
    if match is None or article(new) == match[1].casefold():
        return None
    made = cased(article(new), match[1], proper=False, first=False)
    made = made.upper() if match[1] == "AN" else made
    begin = start - len(match[0])
    return begin, begin + len(match[1]), made


def _key(form: str) -> str:
    return re.sub(BETWEEN, " ", _bare(form).casefold())


def _bare(form: str) -> str:
    """A form without its slot."""
    return re.sub(r"\s*\{\w+\}$", "", form)


def _edited(text: str, edits: Any) -> str:
    found, at = [], 0
    for start, end, new in edits:
        found += [text[at:start], new]
        at = end
    return "".join([*found, text[at:]])


def _within(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in spans)


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _deep(inner, change) for key, inner in value.items()}
    return type(value)(_deep(inner, change) for inner in value) if isinstance(value, list | tuple) else value
