"""Association: which things are said of which groups, in the texts and in a model of meanings."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, Example, Findings, Measure, RecipeError, Subject, Table
from tunesmith_plugins.audits.groups import named_alone, refuse_unread
from tunesmith_plugins.audits.lexicon import Category, read_attributes, read_lexicon
from tunesmith_plugins.audits.matching import finder_of
from tunesmith_plugins.audits.severity import graded
from tunesmith_plugins.audits.statistics import difference, fisher, holm
from tunesmith_plugins.audits.weat import Weat, vectors_of, weat


@dataclass(frozen=True)
class _Pair:
    """A group and an attribute: examples that name both, of the group, and of the category's other groups."""

    category: str
    group: str
    attribute: str
    both: int
    of_group: int
    other: int
    of_others: int
    evidence: tuple[str, ...]

    @property
    def gap(self) -> float:
        return self.both / self.of_group - self.other / self.of_others

    @property
    def p(self) -> float:
        return fisher(self.both, self.of_group - self.both, self.other, self.of_others - self.other)

    @property
    def information(self) -> float:
        """Pointwise mutual information in bits; nan where the two never meet."""
        n, named = self.of_group + self.of_others, self.both + self.other
        return math.log2(self.both * n / (self.of_group * named)) if self.both else math.nan


class Association(Audit):
    """Which words for what is said of people (career, family, crime) stand in examples that name which group.

    For each pair of a compared group and an attribute: in how many examples of the group the attribute is named, in how
    many of the category's other groups, the difference of the two shares with a 95 % interval (Newcombe 1998), the
    pointwise mutual information of group and attribute, log2 P(g, a) / (P(g) P(a)), among the examples that name one
    group of the category alone, and the p-value of Fisher's exact test, corrected for all pairs by Holm (1979).
    Metrics: `gap`, the largest difference of shares that is beyond chance (0 where none is), `<category>_gap`, `pairs`,
    how many are beyond chance, and `p`, the smallest corrected p-value.

    With `model`, the folder of an embedding model as the curators take it, the association of the meanings themselves
    too (WEAT; Caliskan, Bryson, Narayanan 2017): for the two groups of `weat_category` and each pair of attributes in
    `weat` how much nearer the words of the first group are to the first attribute than those of the second group, as
    the effect size d (`weat`, the largest, by size) with a two-sided permutation p-value (`weat_p`, the smallest, also
    corrected). This says something about the model that was given, and not about the examples.

    Severity follows `gap`: low from 0.05, medium from 0.15, high from 0.3.

    Since 0.13.

    Args:
        categories: Of the lexicon; all if empty.
        attributes: Of the lexicon; all if empty.
        lexicon: JSON file whose categories and `attributes` are added to the built-in ones or replace them.
        min_examples: Groups that fewer examples name are left out, and attributes that fewer examples name as well.
        alpha: Where a corrected p-value is small enough to speak of.
        model: Folder of an embedding model.
        weat_category: Category of which the first two compared groups are taken.
        weat: Pairs of attributes, each `one/other`; if None career/family and competence/warmth.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        attributes: list[str] | None = None,
        lexicon: Path | None = None,
        min_examples: int = 20,
        alpha: float = 0.05,
        model: Path | None = None,
        weat_category: str = "gender",
        weat: list[str] | None = None,
    ) -> None:
        self.categories = categories
        self.attributes = attributes
        self.lexicon = lexicon
        self.min_examples = min_examples
        self.alpha = alpha
        self.model = model
        self.weat_category = weat_category
        self.weat = weat

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it comes, and one that judges by the first example."""
        return [cls(), cls(categories=["gender", "age"], attributes=["career", "family"], min_examples=1)]

    def produces(self) -> list[Measure]:
        """The gap of each category, and what is said of all."""
        if self.model is None:
            refuse_unread(type(self).__name__, "WEAT asks a model of meanings, and none is given", weat=self.weat)
        names = ["gap", *(f"{category.name}_gap" for category in self._categories()), "pairs", "weat"]
        measures = [Measure(name, [], higher_is_better=False) for name in names]
        return [*measures, Measure("p", []), Measure("weat_p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Count over all splits, and compare.

        Raises:
            RecipeError: A category or attribute does not exist; or the model cannot be used.
            DataError: The lexicon cannot be read.
        """
        examples = [example for split in subject.examples.values() for example in split]
        said = self._attributes(self.attributes)
        finder = finder_of(tuple((name, tuple(words)) for name, words in said.items()))
        named = [frozenset(a for text in e.texts() for a in finder.count(text)) for e in examples]
        metrics: dict[str, float] = {}
        found: list[_Pair] = []
        for category in self._categories():
            pairs = self._pairs(category, examples, named, list(said))
            metrics[f"{category.name}_gap"] = 0.0 if pairs else math.nan
            found += pairs
        corrected = holm([pair.p for pair in found])
        sure = [(pair, p) for pair, p in zip(found, corrected, strict=True) if p < self.alpha]
        for pair, _ in sure:
            metrics[f"{pair.category}_gap"] = max(metrics[f"{pair.category}_gap"], abs(pair.gap))
        metrics["gap"] = max((v for v in metrics.values() if not math.isnan(v)), default=math.nan)
        metrics["pairs"] = float(len(sure)) if found else math.nan
        metrics["p"] = min(corrected, default=math.nan)
        meanings = self._meanings()
        metrics["weat"] = max((abs(one.effect) for one in meanings), default=math.nan)
        metrics["weat_p"] = min(holm([one.p for one in meanings]), default=math.nan)
        tables = (*_pairs_tables(found, corrected), *_weat_tables(meanings, self.weat_category))
        if not sure:
            summary = "no attribute stands with one group more often than chance explains"
            summary = (
                summary if found else f"no two groups and an attribute are named in {self.min_examples} examples each"
            )
            return Findings(summary, "none", metrics, tables)
        pair, p = max(sure, key=lambda one: abs(one[0].gap))
        summary = (
            f"words of {pair.attribute} stand {'more' if pair.gap > 0 else 'less'} often with {pair.group} than with "
            f"other groups of {pair.category}: in {pair.both} of {pair.of_group} examples against {pair.other} of "
            f"{pair.of_others} (corrected p {p:.2g}); pairs beyond chance: {len(sure)} of {len(found)}"
        )
        advice = "look at the rows; swapped ones beside them (curator CounterfactualAugment) part group and attribute"
        severity = graded(metrics["gap"], (0.05, 0.15, 0.3))
        return Findings(summary, severity, metrics, tables, pair.evidence, advice)

    def _pairs(
        self, category: Category, examples: Sequence[Example], named: Sequence[frozenset[str]], said: Sequence[str]
    ) -> list[_Pair]:
        """All groups and attributes that enough examples name."""
        about = [(e.id, group, a) for e, a in zip(examples, named, strict=True)
                 if (group := named_alone(e.texts(), category)) is not None]  # fmt: skip
        sizes = Counter(group for _, group, _ in about)
        least = max(1, self.min_examples)
        groups = [group for group in category.compared if sizes[group] >= least]
        total = sum(sizes[group] for group in groups)
        about = [one for one in about if one[1] in groups]
        found: list[_Pair] = []
        # of two groups the second says nothing that the first does not
        for group in groups[:1] if len(groups) == 2 else groups if len(groups) > 2 else ():
            for attribute in said:
                having = [(i, g) for i, g, a in about if attribute in a]
                if len(having) < least:
                    continue
                both = sum(g == group for _, g in having)
                other, others = len(having) - both, total - sizes[group]
                more = both / sizes[group] > other / others
                evidence = tuple(dict.fromkeys(i for i, g in having if (g == group) == more))[:20]
                numbers = both, sizes[group], other, others
                found.append(_Pair(category.name, group, attribute, *numbers, evidence))
        return found

    def _meanings(self) -> list[Weat]:
        """How the first two groups of `weat_category` lie to each pair of attributes; nothing without a model."""
        if self.model is None:
            return []
        (category,) = read_lexicon(type(self).__name__, self.lexicon, [self.weat_category])
        words = self._attributes(None)
        found = []
        vectors = vectors_of(self.model)
        for pair in self.weat or ("career/family", "competence/warmth"):
            sides = pair.split("/")
            self._attributes(sides)
            if len(sides) != 2:
                msg = f"Association.weat: {pair!r} is no pair; write two attributes as career/family"
                raise RecipeError(msg)
            groups = [category.words[group] for group in category.compared[:2]]
            found.append(weat(pair, [vectors(entries) for entries in (*groups, *(words[side] for side in sides))]))
        return found

    def _attributes(self, names: Sequence[str] | None) -> dict[str, Sequence[str]]:
        return read_attributes(type(self).__name__, self.lexicon, names)

    def _categories(self) -> list[Category]:
        return read_lexicon(type(self).__name__, self.lexicon, self.categories)


def _pairs_tables(found: Sequence[_Pair], corrected: Sequence[float]) -> list[Table]:
    """A table of each category, the largest differences first."""
    columns = (
        "group",
        "attribute",
        "with it",
        "of",
        "others with it",
        "of others",
        "difference",
        "from",
        "to",
        "PMI",
        "p",
    )
    tables = []
    for category in dict.fromkeys(pair.category for pair in found):
        rows = []
        for pair, p in zip(found, corrected, strict=True):
            if pair.category == category:
                interval = difference(pair.both, pair.of_group, pair.other, pair.of_others)
                bits: float | str = "" if math.isnan(pair.information) else pair.information
                counts = pair.both, pair.of_group, pair.other, pair.of_others
                rows.append((pair.group, pair.attribute, *counts, pair.gap, *interval, bits, p))
        rows.sort(key=lambda row: -abs(float(row[6])))
        tables.append(Table(f"{category}: attributes (95 % intervals; p corrected)", columns, tuple(rows)))
    return tables


def _weat_tables(found: Sequence[Weat], category: str) -> list[Table]:
    rows = tuple((one.name, one.effect, p) for one, p in zip(found, holm([o.p for o in found]), strict=True))
    return (
        [Table(f"{category}: association in the model (WEAT)", ("attributes", "effect d", "p"), rows)] if rows else []
    )
