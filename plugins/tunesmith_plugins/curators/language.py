"""Language: examples in the languages that are wanted."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, Self

from tunesmith import AbsentPackageError, Curator, Example, RecipeError, Record, did_you_mean
from tunesmith_plugins.curators.sides import answers, prompts

# Code, addresses and tags are in no language.
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\bhttps?://\S+|\S+@\S+|<[^<>]*>", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]")


class Language(Curator):
    """Drops examples that are in another language than those named, as far as that is certain.

    A text is in another language where py3langid is so certain of one that is not named. Texts of which it is not
    (names, abbreviations, mixtures), or with few letters, are kept. Code, addresses and tags are not looked at. Needs
    the extra `lang`, which brings its model.

    Since 0.9.

    Args:
        languages: Those to keep, by two letters (`en`, `de`; ISO 639-1).
        where: Which texts are looked at: `prompts` (all turns but the assistant's, together), `answers` (the last turn
            of the assistant), or each of `both`.
        certainty: How probable the other language has to be among all, above 0 and up to 1.
        least_letters: A text with fewer letters is kept.
    """

    by_row = True

    def __init__(
        self,
        languages: list[str],
        where: Literal["both", "prompts", "answers"] = "both",
        certainty: float = 0.8,
        least_letters: int = 40,
    ) -> None:
        self.languages = languages
        self.where = where
        self.certainty = certainty
        self.least_letters = least_letters

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """English, and two others, of short texts too."""
        return [cls(["en"]), cls(["de", "fr"], "answers", 0.5, 10)]

    def check(self) -> None:
        """Refuse languages that nobody knows.

        Raises:
            RecipeError: There is none, one is not known, or `certainty` is no probability.
            AbsentPackageError: The extra `lang` is not installed.
        """
        if not 0 < self.certainty <= 1:
            msg = f"certainty is {self.certainty}; a probability above 0 and up to 1 is needed"
            raise RecipeError(msg)
        known = sorted(map(str, _load().labels))
        if not self.languages:
            msg = f"languages is empty; name those to keep: {', '.join(known)}"
            raise RecipeError(msg)
        for language in self.languages:
            if language not in known:
                near = did_you_mean(language, known)
                msg = f"languages: {language!r} is no language that py3langid knows{near}: {', '.join(known)}"
                raise RecipeError(msg)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on those in the languages.

        Raises:
            AbsentPackageError: The extra `lang` is not installed.
        """
        identify = _load().classify
        for example in examples:
            if reason := self._foreign(example, identify):
                record.drop(example, reason)
            else:
                yield example

    def _foreign(self, example: Example, identify: Any) -> str:
        texts = [("prompt", " ".join(prompts(example)))] if self.where != "answers" else []
        texts += [("answer", text) for text in answers(example)] if self.where != "prompts" else []
        for side, text in texts:
            prose = _NO_PROSE.sub(" ", text)
            if len(_LETTERS.findall(prose)) < max(self.least_letters, 1):
                continue
            language, chance = identify(prose)
            if language not in self.languages and chance >= self.certainty:
                return f"{side} in another language"
        return ""


@cache
def _load() -> Any:
    """An identifier of our own: the package's is shared by all who use it, and gives no probabilities."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        msg = "languages needs the package py3langid: pip install 'tunesmith[lang]'"
        raise AbsentPackageError(msg) from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
