"""Format: does the output keep the form that was promised?"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample
from tunesmith_plugins.curators.shapes import has_section, read_json, schema_validator

# What of a rule an output breaks: nothing, where it keeps it.
_Rule = Callable[[str], Sequence[str]]
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u00a0", "''\"\"-- ")
_SHOWN = 3


class Format(Evaluator):
    """Share of outputs that keep the rules of form that are given, in [0, 1]; higher is better.

    Measures `all`, the share of outputs that keep every rule, and one share for each rule that is given: `json`,
    `schema`, `length`, `disclaimers`, `forbidden`, `sections`. A note says which phrase or section is most often
    at fault. Phrases are compared in lower case, with single spaces and plain quotes and dashes, as whole words.

    Since 0.12.

    Args:
        json: The output is JSON and nothing else, also without a fence around it.
        schema: A file with a JSON Schema that the output, as JSON, keeps (`pip install 'tunesmith[schema]'`). It may
            not refer to other files.
        min_words: Fewest words, as white space parts them.
        max_words: Most words.
        disclaimers: Texts each of which the output has to contain.
        forbidden: Phrases none of which it may contain.
        forbidden_patterns: Regular expressions none of which may match in it, as they are written: `(?i)` at the
            beginning ignores case.
        sections: Headings each of which it has to have: `# Plan`, `**Plan**`, `Plan:`, `[Plan]`, or a line of its own.
    """

    def __init__(
        self,
        json: bool = False,
        schema: Path | None = None,
        min_words: int | None = None,
        max_words: int | None = None,
        disclaimers: list[str] | None = None,
        forbidden: list[str] | None = None,
        forbidden_patterns: list[str] | None = None,
        sections: list[str] | None = None,
    ) -> None:
        self.json = json
        self.schema = schema
        self.min_words = min_words
        self.max_words = max_words
        self.disclaimers = disclaimers
        self.forbidden = forbidden
        self.forbidden_patterns = forbidden_patterns
        self.sections = sections

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Text with rules, and JSON."""
        text = cls(max_words=8, disclaimers=["hot"], forbidden=["old woman"], forbidden_patterns=["^On"])
        return [text, cls(json=True), cls(min_words=2, sections=["Plan"])]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """1 for each output that keeps a rule, else 0.

        Raises:
            RecipeError: No rule is given, or one cannot be.
            AbsentPackageError: There is a schema, and the extra `schema` is not installed.
        """
        kept: dict[str, list[float]] = {}
        notes: dict[str, str] = {}
        for name, rule in self._rules().items():
            broken = [rule(sample.output) for sample in samples]
            kept[name] = [float(not parts) for parts in broken]
            notes[name] = _note(broken)
        every = [float(all(row)) for row in zip(*kept.values(), strict=True)]
        return [Measure("all", every), *(Measure(name, values, note=notes[name]) for name, values in kept.items())]

    def _rules(self) -> dict[str, _Rule]:
        rules: dict[str, _Rule] = {}
        if self.json:
            rules["json"] = lambda text: [] if read_json(text)[0] else [""]
        if self.schema is not None:
            valid = schema_validator(self.schema, "Format.schema")
            rules["schema"] = lambda text: [] if read_json(text)[0] and valid(read_json(text)[1]) else [""]
        if self.min_words is not None or self.max_words is not None:
            least, most = self.min_words or 0, self.max_words
            if least < 0 or (most is not None and most < least):
                msg = f"Format.min_words is {self.min_words}, max_words {most}; give 0 or more, max_words the larger"
                raise RecipeError(msg)
            rules["length"] = partial(_out_of_bounds, least=least, most=math.inf if most is None else most)
        if self.disclaimers is not None:
            phrases = self._phrases("disclaimers", self.disclaimers)
            rules["disclaimers"] = partial(_absent, phrases=phrases)
        if self.forbidden is not None or self.forbidden_patterns is not None:
            rules["forbidden"] = self._forbidden()
        if self.sections is not None:
            rules["sections"] = partial(_without, names=self._named("sections", self.sections))
        if not rules:
            msg = "Format has no rule; give one of json, schema, min_words, max_words, disclaimers, forbidden, sections"
            raise RecipeError(msg)
        return rules

    def _forbidden(self) -> _Rule:
        phrases = self._phrases("forbidden", self.forbidden) if self.forbidden is not None else {}
        patterns = {}
        if self.forbidden_patterns is not None:
            self._named("forbidden_patterns", self.forbidden_patterns)
        for written in self.forbidden_patterns or []:
            try:
                patterns[written] = re.compile(written)
            except re.error as error:
                msg = f"Format.forbidden_patterns holds {written!r}, which is no regular expression: {error}"
                raise RecipeError(msg) from None

        def found(text: str) -> list[str]:
            plain = _plain(text)
            said = [phrase for phrase, pattern in phrases.items() if pattern.search(plain)]
            return said + [written for written, pattern in patterns.items() if pattern.search(text)]

        return found

    def _phrases(self, option: str, phrases: Sequence[str]) -> "dict[str, re.Pattern[str]]":
        named = self._named(option, phrases)
        return {phrase: re.compile(rf"(?<!\w){re.escape(_plain(phrase))}(?!\w)") for phrase in named}

    def _named(self, option: str, texts: Sequence[str]) -> Sequence[str]:
        if not texts or not all(_plain(text) for text in texts):
            msg = f"Format.{option} is {list(texts)}; give one or more texts, or leave it out"
            raise RecipeError(msg)
        return texts


def _out_of_bounds(text: str, least: float, most: float) -> list[str]:
    return [] if least <= len(text.split()) <= most else [""]


def _absent(text: str, phrases: "Mapping[str, re.Pattern[str]]") -> list[str]:
    plain = _plain(text)
    return [said for said, phrase in phrases.items() if not phrase.search(plain)]


def _without(text: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if not has_section(text, name)]


def _plain(text: str) -> str:
    return " ".join(text.translate(_QUOTES).casefold().split())


def _note(broken: Sequence[Sequence[str]]) -> str:
    """Which of a rule's texts are at fault, the most frequent first."""
    counts = Counter(part for parts in broken for part in parts if part)
    told = [f"{part[:40]!r} in {number}" for part, number in counts.most_common(_SHOWN)]
    return f"at fault, in rows: {', '.join(told)}" if told else ""
