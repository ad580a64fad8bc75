"""Representation: how often groups appear in the data, alone and crossed, against a population, with which labels."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, Example, Findings, Measure, RecipeError, Subject, Table
from tunesmith_plugins.audits.dimensions import Dimension, by_column, by_words, groups_table, labels_table
from tunesmith_plugins.audits.evenness import imbalance, label_gap, label_p
from tunesmith_plugins.audits.groups import columns_of
from tunesmith_plugins.audits.lexicon import Category, nearest, read_lexicon
from tunesmith_plugins.audits.severity import RANKS, Severity, graded, worst
from tunesmith_plugins.audits.shares import Shares, check_stated, of_crossing, of_groups
from tunesmith_plugins.audits.statistics import holm

_NO_LABEL = "(none)"
_EVEN = (0.5, 0.8, 0.95)
_STATED = (0.2, 0.5, 0.8)


class Representation(Audit):
    """How often groups appear in prompts and references: against a population, crossed with others, with which labels.

    Groups are those of the lexicon (gender, age, religion, origin, ethnicity, disability, socioeconomic), told by
    words, and the values of `columns`. Words match whole, in any case; a phrase (`old woman`) does not begin inside a
    compound (`44-year-old woman`). Where no word of a category stands, personal names that are sure tell the group:
    given names of gender, surnames in full names (`Ms Garcia`, `Jamal Washington`) of ethnicity. The text of an example
    that has no turns counts as reference. A table shows each group's examples, their share of all, mentions, how many
    names alone tell, and the ratio to the most frequent group; with labels, a second one how labels spread within each
    group.

    What is tested are the examples that name one group alone: their share with its 95 % interval (Wilson 1927) against
    `reference`, or against even shares where none is stated, by exact binomial tests; the groups of two crossed
    dimensions (`intersections`) against `reference`, or else against independence, by Fisher's exact test; a label's
    share between groups by Fisher's test, or chi-square of more than two (by permutation where counts are small). All
    p-values are corrected by Holm (1979).

    Metrics, 0 is even and 1 the worst: `imbalance`, 1 minus the examples of the least frequent group over those of the
    most frequent one, in the worst category, and `<category>_imbalance`; `label_gap`, the largest difference between
    two groups of a category in the share of their examples that have a certain label, and `<category>_label_gap`;
    `gap`, the largest difference of a share from what is expected that is beyond chance (0 where none is), and
    `<category>_gap`, `<one>_x_<other>_gap` of intersections; `small_groups`, how many compared groups and intersections
    have fewer examples than `min_per_group`; `p`, the smallest corrected p-value. A category counts once
    `min_examples` examples name one of its groups, a group's labels once so many name it; what does not count has no
    value. Some groups are shown and not compared: the lexicon says which.

    Severity counts what is beyond chance alone. Of a stated population and of intersections, by the ratio of share and
    expectation: low from 0.8 down (or 1.25 up), medium from 0.5 (2), high from 0.2 (5). Without a population, by
    imbalance: low from 0.5 (twice as often), medium from 0.8 (five times), high from 0.95. Label gap: low from 0.1,
    medium from 0.2, high from 0.4. Small groups are low.

    Columns, reference, intersections and tests are there since 0.13.

    Since 0.1.

    Args:
        categories: Categories to look at; all of the lexicon if empty, none if empty and `columns` are given.
        label: Column with labels (text, a number, or a list of them); the examples' own labels if None.
        lexicon: JSON file in the form of the built-in one, whose categories are added to it or replace its own; a
            category that says `"extends": true` is added to the one of its name.
        min_examples: Fewest examples to judge by.
        columns: Columns whose values are groups.
        reference: Share of each group in the population that the data should be like, by category, column or
            intersection: `{gender: {female: 0.51, male: 0.49}, gender/site: {female/north: 0.2, ...}}`. The shares of
            each sum to 1; groups without one are shown and not tested.
        intersections: Pairs of categories or columns that are crossed, each `one/other`.
        min_per_group: Fewest examples that each group should have; if None any number will do.
        alpha: Where a corrected p-value is small enough to speak of.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        label: str | None = None,
        lexicon: Path | None = None,
        min_examples: int = 20,
        columns: list[str] | None = None,
        reference: dict[str, dict[str, float]] | None = None,
        intersections: list[str] | None = None,
        min_per_group: int | None = None,
        alpha: float = 0.05,
    ) -> None:
        self.categories = categories
        self.label = label
        self.lexicon = lexicon
        self.min_examples = min_examples
        self.columns = columns
        self.reference = reference
        self.intersections = intersections
        self.min_per_group = min_per_group
        self.alpha = alpha

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it comes, one that judges by the first example, and one with all options."""
        stated = {"gender": {"female": 0.5, "male": 0.5}}
        crossed = ["gender/age", "gender/group"]
        whole = cls(["gender", "age"], min_examples=1, columns=["group"], reference=stated, intersections=crossed)
        return [cls(), cls(categories=["gender", "age"], min_examples=1, min_per_group=3), whole]

    def produces(self) -> list[Measure]:
        """Metrics of the dimensions that are looked at, and of those that cross."""
        names, crossed = self._checked()
        metrics = ["imbalance", "label_gap", "gap", "small_groups"]
        metrics += [f"{name}_{metric}" for name in names for metric in ("imbalance", "label_gap", "gap")]
        metrics += [f"{one}_x_{other}_gap" for one, other in crossed]
        return [*(Measure(name, [], higher_is_better=False) for name in metrics), Measure("p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Count groups over all splits.

        Raises:
            RecipeError: A category, group or column does not exist, or shares do not sum to 1.
            DataError: The lexicon cannot be read; or a column has too many values.
        """
        _, crossed = self._checked()
        examples = [example for split in subject.examples.values() for example in split]
        self._check_columns(examples)
        labels = {e.id: self._labels(e) for e in examples}
        labelled = self.label is not None or any(e.label is not None for e in examples)
        dimensions = {d.name: d for d in self._dimensions(examples, labels)}
        metrics: dict[str, float] = {}
        for name, dimension in dimensions.items():
            metrics[f"{name}_imbalance"] = imbalance(dimension, self.min_examples)
            metrics[f"{name}_label_gap"] = label_gap(dimension, self.min_examples) if labelled else math.nan
        for metric in ("imbalance", "label_gap"):
            metrics[metric] = _worst(metrics[f"{name}_{metric}"] for name in dimensions)
        stated = self.reference or {}
        found = [of_groups(d, stated.get(d.name)) for d in dimensions.values()]
        found += [of_crossing(dimensions[a], dimensions[b], stated.get(f"{a}/{b}")) for a, b in crossed]
        judged = [shares for shares in found if shares and shares.cells[0].total >= max(1, self.min_examples)]
        chance = {d.name: label_p(d, labels, self.min_examples) if labelled else math.nan for d in dimensions.values()}
        corrected = holm([*(p for shares in judged for p in shares.tests), *chance.values()])
        metrics["p"] = min((p for p in corrected if not math.isnan(p)), default=math.nan)
        ps = {shares.name: shares.spread([corrected.pop(0) for _ in shares.tests]) for shares in judged}
        chance = dict(zip(chance, corrected, strict=True))
        names = [*dimensions, *(f"{a}_x_{b}" for a, b in crossed)]
        metrics |= {f"{name}_gap": math.nan for name in names}
        for shares in judged:
            sure = [
                abs(c.share - c.expected) for c, p in zip(shares.cells, ps[shares.name], strict=True) if self._is(p)
            ]
            metrics[f"{shares.name}_gap"] = max(sure, default=0.0)
        metrics["gap"] = _worst(metrics[f"{name}_gap"] for name in names)
        crossings = {shares.name: shares for shares in found if shares is not None and shares.name not in dimensions}
        small = self._small(dimensions.values(), list(crossings.values()))
        is_counted = self.min_per_group is not None and examples
        metrics["small_groups"] = float(sum(map(len, small.values()))) if is_counted else math.nan
        tables: list[Table] = []
        for dimension in dimensions.values():
            if any(t.examples for t in dimension.tallies.values()):
                tables.append(groups_table(dimension, len(examples)))
                tables += [labels_table(dimension)] if labelled else []
        tables += [shares.table(ps[shares.name]) for shares in judged]
        few = [i for name in small if name in dimensions for i in dimensions[name].alone]
        few += [i for name in small.keys() & crossings for group in small[name] for i in crossings[name].ids[group]]
        return self._findings(len(examples), metrics, tables, dimensions, (judged, ps, chance), (small, few))

    def _findings(
        self,
        n: int,
        metrics: dict[str, float],
        tables: Sequence[Table],
        dimensions: Mapping[str, Dimension],
        tested: tuple[Sequence[Shares], Mapping[str, Sequence[float]], Mapping[str, float]],
        smallness: tuple[Mapping[str, Sequence[str]], Sequence[str]],
    ) -> Findings:
        small, held = smallness
        judged, ps, chance = tested
        counted = [d for d in dimensions.values() if not math.isnan(metrics[f"{d.name}_imbalance"])]
        if not judged and not counted:
            listed = ", ".join(dimensions)
            summary = f"no group of {listed} is named in {self.min_examples} of {n} examples: nothing to judge"
            return Findings(summary, "none", metrics, tuple(tables))
        sentences: list[str] = []
        evidence: list[str] = []
        severities: list[Severity] = []
        advice = ""
        graded_shares = [(self._severity(s, ps[s.name], metrics), s) for s in judged]
        for severity, shares in sorted(graded_shares, key=lambda pair: -RANKS.index(pair[0])):
            if severity == "none":
                continue
            severities.append(severity)
            sure = [c for c, p in zip(shares.cells, ps[shares.name], strict=True) if self._is(p)]
            cell = max(sure, key=lambda c: (c.distance, c.expected - c.share))
            sentences.append(
                f"{shares.name}: {cell.group} is {cell.n} of {cell.total} examples of one group, {cell.share:.1%}; "
                f"{shares.against} would give {cell.expected:.1%} (corrected p {min(ps[shares.name]):.2g})."
            )
            least, most = min(sure, key=lambda c: c.share / c.expected), max(sure, key=lambda c: c.share / c.expected)
            advice = advice or f"add examples that name {least.group}, or augment by swapping group words"
            evidence += [i for group in (most.group, least.group) for i in list(shares.ids[group])[:10]]
        gaps = [d for d in dimensions.values() if self._is(chance[d.name])]
        gap = graded(_worst(metrics[f"{d.name}_label_gap"] for d in gaps), (0.1, 0.2, 0.4))
        if gap != "none":
            sentences.append(f"Shares of labels differ by up to {metrics['label_gap']:.2f} between groups.")
            advice = advice or "balance labels within groups, or look whether the gap is real"
            evidence += [i for d in gaps for i in list(d.tallies[d.ordered()[-1]].mentions)[:20]]
        if rare := [f"{group} ({name})" for name, groups in small.items() for group in groups]:
            more = f" and {len(rare) - 5} others" if len(rare) > 5 else ""
            sentences.append(f"Fewer than {self.min_per_group} examples: {', '.join(rare[:5])}{more}.")
            advice = advice or "add examples of these groups; with so few nothing said of them is sure"
            evidence += held[:20]
            severities += ["low"] if held else []
        if not sentences:
            sentences.append("No group is rarer or more frequent than chance explains.")
        if counted:
            furthest = max(counted, key=lambda d: metrics[f"{d.name}_imbalance"])
            least_of, most_of = furthest.ordered()[0], furthest.ordered()[-1]
            many, few = (furthest.tallies[group].examples for group in (most_of, least_of))
            sentences.append(f"{furthest.name}: {most_of} is named in {many} of {n} examples, {least_of} in {few}.")
        if unnamed := [d.name for d in dimensions.values() if not any(t.examples for t in d.tallies.values())]:
            sentences.append(f"Never named: any group of {', '.join(unnamed)}.")
        return Findings(
            " ".join(sentences), worst(gap, *severities), metrics, tuple(tables), tuple(dict.fromkeys(evidence)), advice
        )

    def _severity(self, shares: Shares, ps: Sequence[float], metrics: Mapping[str, float]) -> Severity:
        sure = [cell.distance for cell, p in zip(shares.cells, ps, strict=True) if self._is(p)]
        if not sure:
            return "none"
        return graded(max(sure), _STATED) if shares.stated else graded(metrics[f"{shares.name}_imbalance"], _EVEN)

    def _is(self, p: float) -> bool:
        """Whether it is beyond chance; nan is not."""
        return p < self.alpha

    def _small(self, dimensions: Iterable[Dimension], shares: Sequence[Shares]) -> dict[str, list[str]]:
        """Compared groups, and crossings, with too few examples, by dimension."""
        if self.min_per_group is None:
            return {}
        found = {d.name: [g for g in d.compared if d.tallies[g].examples < self.min_per_group] for d in dimensions}
        for one in shares:
            found[one.name] = [cell.group for cell in one.cells if cell.n < self.min_per_group]
        return {name: groups for name, groups in found.items() if groups}

    def _labels(self, example: Example) -> tuple[str, ...]:
        value = example.extras.get(self.label) if self.label is not None else example.label
        several = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        return tuple(dict.fromkeys(str(v) for v in several if v is not None)) or (_NO_LABEL,)

    def _dimensions(self, examples: Sequence[Example], labels: Mapping[str, Sequence[str]]) -> list[Dimension]:
        found = [by_words(category, examples, labels) for category in self._categories()]
        stated = self.reference or {}
        return found + [by_column(c, examples, labels, list(stated.get(c, ()))) for c in self.columns or ()]

    def _categories(self) -> list[Category]:
        if self.columns and not self.categories:
            return []
        return read_lexicon(type(self).__name__, self.lexicon, self.categories)

    def _check_columns(self, examples: Sequence[Example]) -> None:
        there = columns_of(examples)
        wanted = [("label", [self.label] if self.label is not None else []), ("columns", self.columns or [])]
        for option, names in wanted:
            for name in names:
                if there and name not in there:
                    msg = f"Representation.{option} is {name!r}, no column{nearest(name, there)}"
                    raise RecipeError(msg)

    def _checked(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Names of all dimensions, and the pairs that cross; the reference is looked at as well.

        Raises:
            RecipeError: An option names what is not there, or shares are none.
        """
        categories = {category.name: list(category.words) for category in self._categories()}
        names = [*categories, *(self.columns or [])]
        if len(set(names)) < len(names):
            msg = f"Representation.columns: {', '.join(self.columns or [])}: one is there twice, or a category as well"
            raise RecipeError(msg)
        crossed = []
        for pair in self.intersections or []:
            sides = pair.split("/")
            unknown = next((side for side in sides if side not in names), None)
            if unknown is not None or len(sides) != 2 or sides[0] == sides[1]:
                msg = f"Representation.intersections: {pair!r} is no pair of categories or columns, such as gender/age"
                msg += nearest(unknown, names) if unknown is not None else ""
                raise RecipeError(msg)
            crossed.append((sides[0], sides[1]))
        check_stated(self.reference or {}, categories, [*names, *(f"{a}/{b}" for a, b in crossed)])
        return names, crossed


def _worst(values: Iterable[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)
