"""Clean: text as it was meant, without what got into it on its way."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Self

from tunesmith import Curator, Example, RecipeError, Record
from tunesmith_plugins.curators.cleaning import characters, encoding, mail, markup, spaces
from tunesmith_plugins.curators.sides import Where, emptied, map_sides


class _Part(NamedTuple):
    reason: str
    where: Where
    change: Callable[[str], str]


class Clean(Curator):
    r"""Repairs texts part by part, and counts by part how many examples it changed.

    Each part says which texts it changes: `prompts` (all that is asked: turns of user, system and tools, and text of
    weight 0), `answers` (all that is learnt: turns of the assistant, and text with a weight), `both` or `none`. What
    is set on is safe for any data; signatures, disclaimers and pages are off, since a prompt may ask about them. Code
    and indentation stay. An example of which the prompt or an answer becomes empty is dropped. Cleaning what is clean
    changes nothing. Lines that recur over many documents are another curator's: `Boilerplate`.

    Since 0.9.

    Args:
        encoding: Text that was decoded by the wrong table is put right (`schÃ¶n` becomes `schön`).
        characters: Controls, colours of a terminal, zero-width characters and marks of direction go; tabs stay, line
            breaks become `\n`; joiners stay in emoji and in scripts that spell with them (Persian, Hindi, ...).
        unicode: Letters with accents become one character each (NFC).
        spaces: White space behind lines, blank lines around a text and long gaps go, no-break spaces become plain.
        tags: HTML's tags and entities go (`<br>` becomes a line break, `&amp;` an ampersand); not in code, JSON, or
            examples that speak of HTML, XML, tags or the like.
        pages: Texts that are HTML pages become their main text; needs the extra `html`.
        signatures: What stands under `--`, a closing formula (`Best regards,`) or nothing but `Sent from my ...`.
        disclaimers: Paragraphs that say whom a mail is for, in English, German, French and Spanish.
        patterns: Regular expressions of what else goes, by names of your own; `^` and `$` match at lines.
        patterns_in: Which texts they are looked for in.
        blank_lines: Most blank lines in a row.
    """

    by_row = True

    def __init__(
        self,
        encoding: Where = "both",
        characters: Where = "both",
        unicode: Where = "both",
        spaces: Where = "both",
        tags: Where = "prompts",
        pages: Where = "none",
        signatures: Where = "none",
        disclaimers: Where = "none",
        patterns: dict[str, str] | None = None,
        patterns_in: Where = "both",
        blank_lines: int = 2,
    ) -> None:
        self.encoding = encoding
        self.characters = characters
        self.unicode = unicode
        self.spaces = spaces
        self.tags = tags
        self.pages = pages
        self.signatures = signatures
        self.disclaimers = disclaimers
        self.patterns = patterns
        self.patterns_in = patterns_in
        self.blank_lines = blank_lines

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it is, and all that needs no extra, in all texts, with a pattern."""
        return [
            cls(),
            cls(tags="both", signatures="both", disclaimers="both", patterns={"digits": r"\d+"}, blank_lines=0),
        ]

    def check(self) -> None:
        """Refuse patterns that are none.

        Raises:
            RecipeError: A pattern is no regular expression, or `blank_lines` no number of lines.
            AbsentPackageError: `pages` is on, and the extra `html` is not installed.
        """
        if self.blank_lines < 0:
            msg = f"blank_lines is {self.blank_lines}; a number of lines is 0 or more"
            raise RecipeError(msg)
        self._parts()
        if self.pages != "none":
            markup.load()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Clean each.

        Raises:
            AbsentPackageError: `pages` is on, and the extra `html` is not installed.
        """
        return self._clean(examples, record, keep=False)

    def question(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Clean what is asked as what was learnt; what would become empty stays as it is.

        Raises:
            AbsentPackageError: As `apply`.
        """
        return self._clean(examples, record, keep=True)

    def _clean(self, examples: Iterable[Example], record: Record, keep: bool) -> Iterator[Example]:
        parts = self._parts()
        for example in examples:
            reasons: dict[str, None] = {}
            cleaned, before = _once(example, parts, reasons), example
            # what one part takes away may show something to another: `&amp;lt;`, a name under two formulas
            while cleaned is not before:
                cleaned, before = _once(cleaned, parts, reasons), cleaned
            if empty := emptied(example, cleaned):
                if keep:
                    yield example
                else:
                    record.drop(example, empty)
                continue
            if cleaned != example:
                for reason in reasons:
                    record.change(example, reason)
            yield cleaned if cleaned != example else example

    def _parts(self) -> list[_Part]:
        parts = [
            _Part("encoding", self.encoding, encoding.repaired),
            _Part("characters", self.characters, characters.seen),
            _Part("unicode", self.unicode, characters.composed),
            _Part("page", self.pages, markup.main_text),
            _Part(_TAGS, self.tags, markup.without_tags),
            _Part("signature", self.signatures, mail.without_signature),
            _Part("disclaimer", self.disclaimers, mail.without_disclaimers),
        ]
        for name, pattern in (self.patterns or {}).items():
            parts.append(_Part(f"pattern {name}", self.patterns_in, partial(_without, _compiled(name, pattern))))
        return [*parts, _Part("white space", self.spaces, partial(spaces.tidy, blank_lines=self.blank_lines))]


_TAGS = "tags"


def _once(example: Example, parts: list[_Part], reasons: dict[str, None]) -> Example:
    """The example after each part in turn; notes in `reasons` which changed something."""
    spared = _TAGS if markup.about_markup(example) else ""

    def change(text: str, side: Where) -> str:
        for part in parts:
            if part.where in (side, "both") and part.reason != spared:
                before, text = text, part.change(text)
                if text != before:
                    reasons[part.reason] = None
        return text

    return map_sides(example, partial(change, side="prompts"), partial(change, side="answers"))


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        msg = f"patterns.{name} is {pattern!r}, which is no regular expression: {error}"
        raise RecipeError(msg) from None


def _without(pattern: re.Pattern[str], text: str) -> str:
    """The text without what matches, and without the lines that are empty by that."""
    pieces, last = [], 0
    for found in pattern.finditer(text):
        start, end = found.span()
        whole = (start == 0 or text[start - 1] == "\n") and text[end : end + 1] == "\n" and start < end
        pieces.append(text[last:start])
        last = end + 1 if whole else end
    return "".join([*pieces, text[last:]])
