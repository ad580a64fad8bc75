"""LabelParity: whether groups get a label, or an outcome, equally often."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Example, Findings, Measure, RecipeError, Subject, Table
from tunesmith_plugins.audits.groups import Grouping, columns_of, label_of, refuse_unread
from tunesmith_plugins.audits.lexicon import nearest, read_lexicon
from tunesmith_plugins.audits.severity import RANKS, Severity, graded
from tunesmith_plugins.audits.statistics import difference, holm, independence, wilson

_METRICS = ("difference", "ratio", "odds_difference", "p")


@dataclass(frozen=True)
class _Row:
    """What is known of one example: its group, what it got, what it should have got, its id."""

    group: str
    got: str
    true: str | None
    id: str


@dataclass(frozen=True)
class _Found:
    """What one category says."""

    name: str
    metrics: dict[str, float]
    table: Table
    outcome: str
    low: str
    high: str
    gap: tuple[float, float]
    evidence: tuple[str, ...]


class LabelParity(Audit):
    """Whether groups get each label, or one outcome, equally often: tests, intervals, usual measures of fairness.

    An example's group is a column, or the one group of a category that its texts name; those that name none or several
    are left out. Metrics of each category, and the worst over all without a name before: `difference`, the largest rate
    of an outcome in a group less the smallest (demographic parity difference, 0 is even); `ratio`, the smallest over
    the largest (demographic parity ratio, 1 is even; four fifths are a usual bound); with `true_label`
    `odds_difference`, the larger of the two differences of true and of false positive rates (equalized odds difference,
    Hardt, Price, Srebro 2016), as fairlearn defines the three. Without `outcome` these are of the label whose rates
    differ most. `p` is of Fisher's exact test for two groups and two labels, else of the chi-square test of group and
    label, by permutation where fewer than five are expected in a cell; corrected by Holm (1979) for the number of
    categories.

    Severity follows the difference where p is below `alpha`: low from 0.05, medium from 0.1, high from 0.2. A
    difference is no proof of injustice: groups may differ in what the label is about. Where it is, ask `true_label`.

    Since 0.13.

    Args:
        label: `label` for the examples' own, `answer` for their reference, or a column.
        outcome: The label that counts as the outcome (`hire`); if None each is looked at. Where no example has it,
            metrics have no value.
        true_label: Column with what the label should be, where that is known from elsewhere.
        group: Column with the group; if None the words of `categories` tell it.
        categories: Of the lexicon; all if empty.
        min_examples: Groups of fewer examples are shown, and not compared.
        alpha: Where a corrected p-value is small enough to speak of.
        most_labels: With more different ones these are texts, no labels, and nothing is judged.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        label: str = "label",
        outcome: str | None = None,
        true_label: str | None = None,
        group: str | None = None,
        categories: list[str] | None = None,
        min_examples: int = 20,
        alpha: float = 0.05,
        most_labels: int = 20,
        lexicon: Path | None = None,
    ) -> None:
        self.label = label
        self.outcome = outcome
        self.true_label = true_label
        self.group = group
        self.categories = categories
        self.min_examples = min_examples
        self.alpha = alpha
        self.most_labels = most_labels
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by a column, of the label and of the answer."""
        return [cls(), cls(label="answer", group="group", min_examples=2), cls(outcome="yes", min_examples=1)]

    def produces(self) -> list[Measure]:
        """Metrics of the categories that are looked at, and the worst."""
        names = ["", *(f"{grouping.name}_" for grouping in self._groupings())]
        return [Measure(f"{name}{m}", [], higher_is_better=m in ("ratio", "p")) for name in names for m in _METRICS]

    def examine(self, subject: Subject) -> Findings:
        """Compare the groups of each category, over all splits.

        Raises:
            RecipeError: A category does not exist.
            DataError: A column does not exist; or the lexicon cannot be read.
        """
        examples = [example for split in subject.examples.values() for example in split]
        self._check(examples)
        groupings = self._groupings()
        unknown = self._unknown(examples)
        found = [None if unknown else self._category(grouping, examples) for grouping in groupings]
        corrected = holm([one.metrics["p"] if one else math.nan for one in found])
        metrics: dict[str, float] = {}
        judged: list[tuple[Severity, _Found]] = []
        for grouping, one, p in zip(groupings, found, corrected, strict=True):
            values = {**one.metrics, "p": p} if one else dict.fromkeys(_METRICS, math.nan)
            metrics |= {f"{grouping.name}_{metric}": value for metric, value in values.items()}
            if one:
                large = p < self.alpha
                judged.append((graded(values["difference"], (0.05, 0.1, 0.2)) if large else "none", one))
        for metric in _METRICS:
            values_of = [v for g in groupings if not math.isnan(v := metrics[f"{g.name}_{metric}"])]
            worst = min if metric in ("ratio", "p") else max
            metrics[metric] = worst(values_of, default=math.nan)
        tables = tuple(one.table for _, one in judged)
        if not judged:
            few = f"fewer than two groups of any category have {self.min_examples} examples with a label"
            return Findings(unknown or few, "none", metrics, tables)
        severity, chosen = max(judged, key=lambda pair: (RANKS.index(pair[0]), pair[1].metrics["difference"]))
        gap = chosen.metrics["difference"]
        if not gap:
            summary = f"{chosen.name}: {chosen.outcome!r} is given to all groups alike."
            return Findings(f"No difference. {summary}", severity, metrics, tables)
        summary = (
            f"{chosen.name}: {chosen.outcome!r} is given to {chosen.high} more often than to {chosen.low}, "
            f"by {gap:.2f} (95 % interval {chosen.gap[0]:.2f} to {chosen.gap[1]:.2f}; "
            f"corrected p {metrics[chosen.name + '_p']:.2g})."
        )
        if severity == "none":
            return Findings(f"No difference that chance does not explain. {summary}", severity, metrics, tables)
        advice = (
            f"look at the rows whether {chosen.low} and {chosen.high} differ in what the label is about; if not, "
            "relabel them, weigh them with the curator Reweigh, or add swapped rows with CounterfactualAugment"
        )
        return Findings(summary, severity, metrics, tables, chosen.evidence, advice)

    def _category(self, grouping: Grouping, examples: Sequence[Example]) -> _Found | None:
        rows: list[_Row] = []
        for example in examples:
            group, got = grouping.of(example), label_of(example, self.label)
            if group is not None and got is not None:
                true = label_of(example, self.true_label) if self.true_label else None
                rows.append(_Row(group, got, true, example.id))
        sizes = Counter(row.group for row in rows)
        groups = sorted(group for group, size in sizes.items() if size >= max(1, self.min_examples))
        counts = Counter((row.group, row.got) for row in rows)
        labels = sorted({row.got for row in rows if row.group in groups})
        if len(groups) < 2 or len(labels) > self.most_labels:
            return None
        outcomes = [self.outcome] if self.outcome is not None else labels
        by_outcome = {o: {g: counts[g, o] / sizes[g] for g in groups} for o in outcomes}
        outcome = max(outcomes, key=lambda o: max(by_outcome[o].values()) - min(by_outcome[o].values()))
        rates = by_outcome[outcome]
        low, high = min(groups, key=rates.__getitem__), max(groups, key=rates.__getitem__)
        table = [
            [counts[g, outcome], sizes[g] - counts[g, outcome]]
            if self.outcome is not None
            else [counts[g, y] for y in labels]
            for g in groups
        ]
        p, test = independence(table)
        compared = [row for row in rows if row.group in groups]
        metrics = {
            "difference": rates[high] - rates[low],
            "ratio": rates[low] / rates[high] if rates[high] else math.nan,
            "odds_difference": _odds(compared, groups, outcome),
            "p": p,
        }
        shown = tuple(
            (g, sizes[g], counts[g, outcome], counts[g, outcome] / sizes[g], *wilson(counts[g, outcome], sizes[g]))
            for g in sorted(sizes)
        )
        columns = ("group", "examples", outcome, "rate", "from", "to")
        title = f"{grouping.name}: rate of {outcome!r}, 95 % intervals ({test} p {p:.2g}, not corrected)"
        gap = difference(counts[high, outcome], sizes[high], counts[low, outcome], sizes[low])
        evidence = [row.id for row in compared if row.group == low and row.got != outcome]
        evidence += [row.id for row in compared if row.group == high and row.got == outcome]
        several = tuple(dict.fromkeys(evidence[:10] + evidence[-10:]))
        return _Found(grouping.name, metrics, Table(title, columns, shown), outcome, low, high, gap, several)

    def _unknown(self, examples: Sequence[Example]) -> str:
        """What is wrong with `outcome`, where no example has it: rates of 0 in all groups would look even."""
        labels = Counter(got for e in examples if (got := label_of(e, self.label)) is not None)
        if self.outcome is None or not labels or self.outcome in labels:
            return ""
        near = nearest(self.outcome, [label for label, _ in labels.most_common(self.most_labels)])
        return f"no example has the outcome {self.outcome!r}{near}: nothing to judge"

    def _check(self, examples: Sequence[Example]) -> None:
        columns = columns_of(examples)
        if not columns:
            return
        for option, name in (("label", self.label), ("true_label", self.true_label), ("group", self.group)):
            fixed = ["label", "answer"] if option == "label" else []
            if name is not None and name not in [*fixed, *columns]:
                msg = f"LabelParity.{option} is {name!r}, no column{nearest(name, [*fixed, *columns])}"
                raise DataError(msg)

    def _groupings(self) -> list[Grouping]:
        owner = type(self).__name__
        if self.group is not None:
            if self.categories:
                msg = f"{owner}: group and categories are both given; the group is read from one of them"
                raise RecipeError(msg)
            refuse_unread(owner, "group names a column", lexicon=self.lexicon)
            return [Grouping(owner, self.group, "", None)]
        names = [category.name for category in read_lexicon(owner, self.lexicon, self.categories)]
        return [Grouping(owner, None, name, self.lexicon) for name in names]


def _odds(rows: Sequence[_Row], groups: Sequence[str], outcome: str) -> float:
    """The larger difference between groups in the rate of the outcome, of those who should get it or should not.

    Groups without a row of a kind have no rate of it; nan where fewer than two groups have any.
    """
    gaps = []
    for should in (True, False):
        rates = []
        for group in groups:
            of = [
                row for row in rows if row.group == group and row.true is not None and (row.true == outcome) is should
            ]
            rates += [sum(row.got == outcome for row in of) / len(of)] if of else []
        gaps += [max(rates) - min(rates)] if len(rates) > 1 else []
    return max(gaps, default=math.nan)
