"""QualityParity: whether references of one group are as long, as readable and as free of errors as those of others."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Example, Findings, Measure, Subject, Table
from tunesmith_plugins.audits.groups import Grouping, columns_of, refuse_unread
from tunesmith_plugins.audits.lexicon import nearest, read_lexicon
from tunesmith_plugins.audits.matching import Remembered
from tunesmith_plugins.audits.severity import graded
from tunesmith_plugins.audits.statistics import holm, kruskal
from tunesmith_plugins.evaluators.english import sentences, syllables, words

_FEATURES = ("length", "grade", "flaws")
_FLAWS = (
    re.compile(r"\b([a-z]{2,})\s+\1\b(?<!had had)(?<!that that)", re.IGNORECASE),  # a word twice
    re.compile(r"\ufffd|Ã.|â€"),  # broken characters
    re.compile(r"\s+[,;.!?](?=\s|$)"),  # a space before a mark
    re.compile(r"(?:^|[.!?]\s+)[a-z]{2,}"),  # a sentence in lower case
    re.compile(r"[a-z0-9]\s*$"),  # no mark at the end
)


@dataclass(frozen=True)
class _Found:
    """One feature in one category: groups' means, the size of the largest difference, its p-value."""

    category: str
    feature: str
    means: dict[str, float]
    effect: float
    p: float


class QualityParity(Audit):
    """Whether references (answers to learn from) are as good for each group: their length, readability and flaws.

    A model that learns from careful answers to some and careless ones to others gives such. An example's group is a
    column, or the one group of a category that its prompt names (its texts, where it has no prompt). Compared are the
    number of words, the Flesch-Kincaid grade (1975), and flaws per 100 words: a word twice, broken characters, a space
    before a mark, a sentence in lower case, no mark at the end; or, with `error`, the mean of that column (0 or 1, or a
    number of errors) in their place.

    Of each category and feature: the largest difference of two groups' means over the standard deviation within groups
    (Cohen's d), and the p-value of Kruskal and Wallis (1952), corrected by Holm (1979) for all. Metrics: `effect`, the
    largest beyond chance (0 where none is), `<category>_length`, `<category>_grade`, `<category>_flaws`, the effects
    whatever chance says, and `p`, the smallest corrected p-value. Severity follows `effect`: low from 0.2, medium from
    0.5, high from 0.8, as Cohen (1988) calls small, medium and large.

    Since 0.13.

    Args:
        group: Column with the group; if None the words of `categories` tell it.
        categories: Of the lexicon; all if empty.
        error: Column that says how wrong a reference is, where people checked some; others are left out.
        min_examples: Groups of fewer examples are left out.
        alpha: Where a corrected p-value is small enough to speak of.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        group: str | None = None,
        categories: list[str] | None = None,
        error: str | None = None,
        min_examples: int = 20,
        alpha: float = 0.05,
        lexicon: Path | None = None,
    ) -> None:
        self.group = group
        self.categories = categories
        self.error = error
        self.min_examples = min_examples
        self.alpha = alpha
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by a column with errors that people noted."""
        return [cls(categories=["gender"], min_examples=1), cls("group", error="score", min_examples=2)]

    def produces(self) -> list[Measure]:
        """Effects of each category and feature, the largest, and the smallest p-value."""
        names = ["effect", *(f"{g.name}_{feature}" for g in self._groupings() for feature in _FEATURES)]
        return [*(Measure(name, [], higher_is_better=False) for name in names), Measure("p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Compare the groups of each category, over all splits.

        Raises:
            RecipeError: A category does not exist.
            DataError: A column does not exist, holds no numbers; or the lexicon cannot be read.
        """
        examples = [e for split in subject.examples.values() for e in split if e.reference.strip()]
        self._check(examples)
        values = {name: [measure(e) for e in examples] for name, measure in self._features().items()}
        metrics = {f"{g.name}_{feature}": math.nan for g in self._groupings() for feature in _FEATURES}
        found: list[_Found] = []
        for grouping in self._groupings():
            of = [grouping.of(example, prompt_only=True) for example in examples]
            for feature, numbers in values.items():
                if (one := self._compared(grouping.name, feature, of, numbers)) is not None:
                    found.append(one)
                    metrics[f"{grouping.name}_{feature}"] = one.effect
        corrected = holm([one.p for one in found])
        sure = [(one, p) for one, p in zip(found, corrected, strict=True) if p < self.alpha]
        metrics["effect"] = max((one.effect for one, _ in sure), default=0.0 if found else math.nan)
        metrics["p"] = min(corrected, default=math.nan)
        tables = _tables(found, corrected)
        if not sure or graded(metrics["effect"], (0.2, 0.5, 0.8)) == "none":
            said = "references of all groups are alike in length, grade and flaws, as far as chance does not explain it"
            nothing = f"fewer than two groups of any category have {self.min_examples} references"
            return Findings(said if found else nothing, "none", metrics, tables)
        one, p = max(sure, key=lambda pair: pair[0].effect)
        low, high = min(one.means, key=one.means.__getitem__), max(one.means, key=one.means.__getitem__)
        summary = (
            f"{one.category}: the {one.feature} of references is {one.means[high]:.3g} on average for {high}, "
            f"{one.means[low]:.3g} for {low} (d = {one.effect:.2f}, corrected p {p:.2g})"
        )
        grouping = next(g for g in self._groupings() if g.name == one.category)
        sign = 1 if one.feature != "length" else -1  # short answers, hard and faulty ones are the worse
        worse = low if one.feature == "length" else high
        ranked = sorted(
            (sign * -v, e.id) for e, v in zip(examples, values[one.feature], strict=True)
            if not math.isnan(v) and grouping.of(e, prompt_only=True) == worse
        )  # fmt: skip
        advice = (
            f"write the references for {worse} anew, or leave the poorest out; look first whether the questions differ"
        )
        severity = graded(one.effect, (0.2, 0.5, 0.8))
        return Findings(summary, severity, metrics, tables, tuple(i for _, i in ranked[:20]), advice)

    def _compared(
        self, category: str, feature: str, of: Sequence[str | None], numbers: Sequence[float]
    ) -> _Found | None:
        pairs = [(g, v) for g, v in zip(of, numbers, strict=True) if g is not None and not math.isnan(v)]
        sizes = Counter(g for g, _ in pairs)
        groups = sorted(g for g, n in sizes.items() if n >= max(1, self.min_examples))
        if len(groups) < 2:
            return None
        sides = [[v for g, v in pairs if g == group] for group in groups]
        means = [math.fsum(side) / len(side) for side in sides]
        return _Found(category, feature, dict(zip(groups, means, strict=True)), _effect(sides, means), kruskal(sides))

    def _features(self) -> dict[str, Callable[[Example], float]]:
        return {"length": _length, "grade": _grade, "flaws": self._noted if self.error else _flaws}

    def _noted(self, example: Example) -> float:
        value = example.extras.get(self.error or "")
        try:
            return math.nan if value is None or value == "" else float(value)
        except (TypeError, ValueError):
            msg = f"QualityParity.error: column {self.error} of row {example.id} holds no number"
            raise DataError(msg) from None

    def _check(self, examples: Sequence[Example]) -> None:
        columns = columns_of(examples)
        for option, name in (("group", self.group), ("error", self.error)):
            if columns and name is not None and name not in columns:
                msg = f"QualityParity.{option} is {name!r}, no column{nearest(name, columns)}"
                raise DataError(msg)

    def _groupings(self) -> list[Grouping]:
        owner = type(self).__name__
        if self.group is not None:
            refuse_unread(owner, "group names a column", categories=self.categories, lexicon=self.lexicon)
            return [Grouping(owner, self.group, "", None)]
        names = [category.name for category in read_lexicon(owner, self.lexicon, self.categories)]
        return [Grouping(owner, None, name, self.lexicon) for name in names]


def _effect(sides: Sequence[Sequence[float]], means: Sequence[float]) -> float:
    """The largest difference of means over the deviation within groups, or over that of all where none is within."""
    gap, held = max(means) - min(means), [v for side in sides for v in side]
    within = math.fsum((v - m) ** 2 for side, m in zip(sides, means, strict=True) for v in side)
    if within < 1e-12:
        middle = math.fsum(held) / len(held)
        within = math.fsum((v - middle) ** 2 for v in held)
    return gap / math.sqrt(within / (len(held) - len(sides))) if within >= 1e-12 and len(held) > len(sides) else 0.0


def _length(example: Example) -> float:
    return float(len(example.reference.split()))


def _grade(example: Example) -> float:
    return _grade_of(example.reference)


def _flaws(example: Example) -> float:
    return _flaws_of(example.reference)


@Remembered
def _grade_of(text: str) -> float:
    spoken = [syllables(word) for word in words(text)]
    if not spoken:
        return math.nan
    return 0.39 * len(spoken) / sentences(text) + 11.8 * sum(spoken) / len(spoken) - 15.59


@Remembered
def _flaws_of(text: str) -> float:
    text = text.strip()
    return 100 * sum(len(flaw.findall(text)) for flaw in _FLAWS) / len(text.split())


def _tables(found: Sequence[_Found], corrected: Sequence[float]) -> tuple[Table, ...]:
    columns = ("feature", "group", "mean", "largest effect d", "p")
    rows: dict[str, list[tuple[str | float | int, ...]]] = {}
    for one, p in zip(found, corrected, strict=True):
        shown = [(one.feature, group, mean, one.effect, p) for group, mean in one.means.items()]
        rows.setdefault(one.category, []).extend(shown)
    return tuple(Table(f"{name}: quality of references (p corrected)", columns, tuple(r)) for name, r in rows.items())
