"""MeasureParity: whether a model is as good for each group, by each of the recipe's evaluators."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Findings, Measure, RecipeError, Sample, Subject, Table, did_you_mean
from tunesmith_plugins.audits.beside import ALONE, BASE, TUNED
from tunesmith_plugins.audits.group_means import GroupMeans, group_means
from tunesmith_plugins.audits.groups import named_alone, refuse_unread
from tunesmith_plugins.audits.lexicon import Category, nearest, read_lexicon
from tunesmith_plugins.audits.severity import graded
from tunesmith_plugins.audits.statistics import holm


@dataclass(frozen=True)
class _Found:
    """One measure of one model, by the groups of one category."""

    category: str
    measure: str
    means: GroupMeans


class MeasureParity(Audit):
    """Whether a model is as good for each group: every evaluator's measures by group, the gap, and the worst group.

    Each answer's group is a column of the row, or the one group of a category that its prompt names; answers of none
    or several are left out. Every evaluator of the recipe measures the answers; those that bring rows of their own are
    left out. For each category and measure: the groups' values with 95 % intervals (bootstrap of rows), the gap between
    the best and the worst group with its interval, and the p-value of a permutation test (which groups are dealt out
    anew, so that many groups do not make a gap), corrected by Holm (1979) for all categories and measures.

    Metrics: `effect`, the largest gap beyond chance over the standard deviation within groups (Cohen's d; 0 where no
    gap is beyond chance), and `p`, the smallest corrected p-value. For each measure that `measures` names (as
    `rouge/rougeL`), `rouge_rougeL_gap`, its largest gap over the categories in the measure's own unit, whatever chance
    says, and `rouge_rougeL_worst`, the value of the worst group of all categories (Sagawa et al. 2020,
    https://arxiv.org/abs/1911.08731, call for it), of which higher or lower is better as of the measure. Severity
    follows `effect`: low from 0.2, medium from 0.5, high from 0.8, as Cohen (1988) calls small, medium and large;
    beyond chance it is high for a measure that has no value a row (as BLEU).

    Since 0.13.

    Args:
        group: Column with the group; if None the words of `categories` tell it.
        categories: Of the lexicon; all if empty.
        measures: Those whose gaps are metrics, which thresholds may bound; and the only ones that are looked at.
        min_rows: Groups of fewer answers are shown, and not compared.
        alpha: Where a corrected p-value is small enough to speak of.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"outputs"})

    def __init__(
        self,
        group: str | None = None,
        categories: list[str] | None = None,
        measures: list[str] | None = None,
        min_rows: int = 20,
        alpha: float = 0.05,
        lexicon: Path | None = None,
    ) -> None:
        self.group = group
        self.categories = categories
        self.measures = measures
        self.min_rows = min_rows
        self.alpha = alpha
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by a column with a measure that the kit's evaluator has."""
        return [cls(categories=["gender"], min_rows=1), cls("group", measures=["length/mean"], min_rows=2)]

    def produces(self) -> list[Measure]:
        """Effect, p-value, and of each named measure the gap and the worst group's value.

        Raises:
            RecipeError: A category does not exist, or both ways to tell a group are given.
        """
        return self._produced({})

    def produces_beside(self, known: Mapping[str, Measure]) -> list[Measure]:
        """The same, where of the worst group's value is better what is of the measure.

        Raises:
            RecipeError: A category or a measure does not exist, or both ways to tell a group are given.
        """
        self._check_measures(known)
        return self._produced(known)

    def _produced(self, known: Mapping[str, Measure]) -> list[Measure]:
        self._categories()
        named = {name: known[name].higher_is_better if name in known else True for name in self.measures or []}
        gaps = [Measure(f"{_key(name)}_gap", [], higher_is_better=False) for name in named]
        worst = [Measure(f"{_key(name)}_worst", [], higher_is_better=higher) for name, higher in named.items()]
        return [Measure("effect", [], higher_is_better=False), Measure("p", []), *gaps, *worst]

    def examine(self, subject: Subject) -> Findings:
        """Compare the groups of each category by each measure, of the tuned model and of the base beside it.

        Raises:
            RecipeError: A category or a measure does not exist.
            DataError: The column does not exist; or the lexicon cannot be read.
        """
        metrics = {measure.name: math.nan for measure in self.produces()}
        samples = subject.outputs or ()
        if not samples:
            return Findings("no answers: nothing to judge", "none", metrics)
        groupings = self._groupings(samples)
        measures = self._measured(subject, samples)
        mine = self._found(groupings, measures)
        corrected = holm([one.means.p for one in mine])
        sure = [one for one, p in zip(mine, corrected, strict=True) if p < self.alpha]
        for name in self.measures or []:
            of = [one.means for one in mine if one.measure == name]
            if of:
                furthest = min if measures[name].higher_is_better else max
                metrics[f"{_key(name)}_gap"] = max(means.gap for means in of)
                metrics[f"{_key(name)}_worst"] = furthest(means.values[means.worst] for means in of)
        effects = [one.means.effect for one in sure if not math.isnan(one.means.effect)]
        metrics["effect"] = max(effects, default=0.0 if mine else math.nan)
        metrics["p"] = min(corrected, default=math.nan)
        alone = subject.base is None
        tables = list(_tables(ALONE if alone else TUNED, mine, corrected, groupings))
        if subject.base is not None and subject.base.outputs:
            of_base = self._measured(subject.base, subject.base.outputs)
            theirs = self._found(self._groupings(subject.base.outputs), of_base)
            tables += _tables(BASE, theirs, holm([one.means.p for one in theirs]), groupings)
        if not sure:
            said = "no measure differs between groups by more than chance explains"
            nothing = f"fewer than two groups of any category have {self.min_rows} answers that are measured"
            return Findings(said if mine else nothing, "none", metrics, tuple(tables))
        chosen = max(sure, key=lambda one: math.inf if math.isnan(one.means.effect) else one.means.effect)
        severity = "high" if math.isnan(chosen.means.effect) else graded(chosen.means.effect, (0.2, 0.5, 0.8))
        found, p = chosen.means, corrected[mine.index(chosen)]
        summary = (
            f"{chosen.category}: {chosen.measure} is {found.values[found.worst]:.3g} for {found.worst}, "
            f"{found.values[found.best]:.3g} for {found.best} (95 % interval of the gap {found.gap_interval[0]:.3g} to "
            f"{found.gap_interval[1]:.3g}, corrected p {p:.2g})"
        )
        named = groupings[chosen.category]
        evidence = [sample.id for sample, group in zip(samples, named, strict=True) if group == found.worst]
        advice = (
            f"read the answers about {found.worst}; see whether training rows hold as many and as good ones "
            "(Representation, QualityParity), and add some or weigh them"
        )
        return Findings(summary, severity, metrics, tuple(tables), tuple(dict.fromkeys(evidence))[:20], advice)

    def _measured(self, subject: Subject, samples: Sequence[Sample]) -> dict[str, Measure]:
        found = dict(subject.measure(samples))
        self._check_measures(found)
        return found if self.measures is None else {name: found[name] for name in self.measures}

    def _check_measures(self, known: Mapping[str, Measure]) -> None:
        for name in self.measures or []:
            if name not in known:
                listed = ", ".join(known) or "none"
                which = f"{name!r} is measured by no evaluator of the recipe that reads answers"
                msg = f"MeasureParity.measures: {which}{did_you_mean(name, known)} (there are: {listed})"
                raise RecipeError(msg)

    def _found(self, groupings: Mapping[str, Sequence[str | None]], measures: Mapping[str, Measure]) -> list[_Found]:
        found = []
        for category, groups in groupings.items():
            for name, measure in measures.items():
                if (means := group_means(measure, groups, self.min_rows)) is not None:
                    found.append(_Found(category, name, means))
        return found

    def _groupings(self, samples: Sequence[Sample]) -> dict[str, list[str | None]]:
        """By category, or by the column, each sample's group."""
        if self.group is not None:
            columns = sorted({name for sample in samples for name in sample.extras})
            if columns and self.group not in columns:
                msg = f"MeasureParity.group is {self.group!r}, no column{nearest(self.group, columns)}"
                raise DataError(msg)
            values = [sample.extras.get(self.group) for sample in samples]
            return {self.group: [None if value is None or value == "" else str(value) for value in values]}
        asked = [[turn.content for turn in sample.prompt] for sample in samples]
        return {c.name: [named_alone(texts, c) for texts in asked] for c in self._categories()}

    def _categories(self) -> list[Category]:
        if self.group is not None:
            if self.categories:
                msg = "MeasureParity: group and categories are both given; the group is read from one of them"
                raise RecipeError(msg)
            refuse_unread("MeasureParity", "group names a column", lexicon=self.lexicon)
            return []
        return read_lexicon(type(self).__name__, self.lexicon, self.categories)


def _key(measure: str) -> str:
    return measure.replace("/", "_")


def _tables(
    model: str, found: Sequence[_Found], corrected: Sequence[float], groupings: Mapping[str, Sequence[str | None]]
) -> list[Table]:
    rows: dict[str, list[tuple[str | float | int, ...]]] = {}
    for one, p in zip(found, corrected, strict=True):
        sizes = Counter(group for group in groupings[one.category] if group is not None)
        for group, size in sorted(sizes.items()):
            value = one.means.values.get(group, math.nan)
            ends = one.means.intervals.get(group, (math.nan, math.nan))
            rows.setdefault(one.category, []).append((one.measure, group, size, value, *ends, one.means.gap, p))
    columns = ("measure", "group", "answers", "value", "from", "to", "gap", "p")
    title = "measures of {}, 95 % intervals (p of the gap, corrected)"
    return [Table(f"{name}: {title.format(model)}", columns, tuple(held)) for name, held in rows.items()]
