"""Representation: how often groups of a lexicon appear in the data, and with which labels."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, Example, Findings, Measure, RecipeError, Subject, Table
from tunesmith_plugins.audits.lexicon import Category, nearest, read_lexicon
from tunesmith_plugins.audits.severity import graded, worst

_NO_LABEL = "(none)"


@dataclass
class _Tally:
    """Where a group appears."""

    prompts: int = 0
    references: int = 0
    mentions: Counter[str] = field(default_factory=Counter)  # by example id
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def examples(self) -> int:
        return len(self.mentions)


class Representation(Audit):
    """How often groups of a lexicon appear in prompts and references, in how many examples, and with which labels.

    Words match whole, in any case; a phrase (`old woman`) does not begin inside a compound (`44-year-old woman`). The
    text of an example that has no turns counts as reference. For each category of the lexicon (gender, age,
    religion, origin, ethnicity, disability, socioeconomic) that is named at all, a table shows each group's examples,
    their share of all, mentions, and the ratio to the most frequent group; with labels, a second one shows how labels
    spread within each group.

    Metrics, 0 is even and 1 the worst: `imbalance`, 1 minus the examples of the least frequent group over those of the
    most frequent one, in the worst category, and `<category>_imbalance`; `label_gap`, the largest difference between
    two groups of a category in the share of their examples that have a certain label, and `<category>_label_gap`.
    A category counts once `min_examples` examples name one of its groups, a group's labels once so many name it; what
    does not count has no value. Some groups are shown and not compared: the lexicon says which.

    Severity follows the worst metric. Imbalance: low from 0.5 (twice as often), medium from 0.8 (five times), high
    from 0.95 (twenty times). Label gap: low from 0.1, medium from 0.2, high from 0.4. Small differences of small
    samples are chance: raise `min_examples` before believing them.

    Since 0.1.

    Args:
        categories: Categories to look at; all of the lexicon if empty.
        label: Column with labels (text, a number, or a list of them); the examples' own labels if None.
        lexicon: JSON file in the form of the built-in one, whose categories are added to it or replace its own; a
            category that says `"extends": true` is added to the one of its name.
        min_examples: Fewest examples to judge by.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        label: str | None = None,
        lexicon: Path | None = None,
        min_examples: int = 20,
    ) -> None:
        self.categories = categories
        self.label = label
        self.lexicon = lexicon
        self.min_examples = min_examples

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it comes, and one that judges by the first example."""
        return [cls(), cls(categories=["gender", "age"], min_examples=1)]

    def produces(self) -> list[Measure]:
        """Metrics of the categories that are looked at."""
        names = [category.name for category in self._read()]
        metrics = ["imbalance", "label_gap", *(f"{n}_{m}" for n in names for m in ("imbalance", "label_gap"))]
        return [Measure(name, [], higher_is_better=False) for name in metrics]

    def examine(self, subject: Subject) -> Findings:
        """Count groups over all splits.

        Raises:
            RecipeError: A category, or the label column, does not exist.
            DataError: The lexicon cannot be read.
        """
        categories = self._read()
        examples = [example for split in subject.examples.values() for example in split]
        if self.label is not None and examples and not any(self.label in e.extras for e in examples):
            columns = {name: None for e in examples for name in e.extras}
            msg = f"Representation.label is {self.label!r}, no column{nearest(self.label, columns)}"
            raise RecipeError(msg)
        labels = {e.id: self._labels(e) for e in examples}
        labelled = self.label is not None or any(e.label is not None for e in examples)
        metrics: dict[str, float] = {}
        tables: list[Table] = []
        tallies: dict[str, dict[str, _Tally]] = {}
        for category in categories:
            tally = {group: _count(pattern, examples, labels) for group, pattern in category.patterns.items()}
            tallies[category.name] = tally
            metrics[f"{category.name}_imbalance"] = self._imbalance(category, tally)
            metrics[f"{category.name}_label_gap"] = self._label_gap(category, tally) if labelled else math.nan
            if any(t.examples for t in tally.values()):
                tables.append(_groups_table(category, tally, len(examples)))
                tables += [_labels_table(category, tally)] if labelled else []
        for metric in ("imbalance", "label_gap"):
            metrics[metric] = _worst(metrics[f"{c.name}_{metric}"] for c in categories)
        return self._findings(len(examples), metrics, tables, categories, tallies)

    def _findings(
        self,
        n: int,
        metrics: dict[str, float],
        tables: list[Table],
        categories: Sequence[Category],
        tallies: Mapping[str, Mapping[str, _Tally]],
    ) -> Findings:
        uneven = graded(metrics["imbalance"], (0.5, 0.8, 0.95))
        gap = graded(metrics["label_gap"], (0.1, 0.2, 0.4))
        judged = [c for c in categories if not math.isnan(metrics[f"{c.name}_imbalance"])]
        if not judged:
            summary = (
                f"no group of {_listed(categories)} is named in {self.min_examples} of {n} examples: nothing to judge"
            )
            return Findings(summary, "none", metrics, tuple(tables))
        furthest = max(judged, key=lambda c: metrics[f"{c.name}_imbalance"])
        most, least = _extremes(furthest, tallies[furthest.name])
        many, few = tallies[furthest.name][most], tallies[furthest.name][least]
        sentences = [f"{furthest.name}: {most} is named in {many.examples} of {n} examples, {least} in {few.examples}."]
        if gap != "none":
            sentences.append(f"Shares of labels differ by up to {metrics['label_gap']:.2f} between groups.")
        if unnamed := [c for c in categories if not any(t.examples for t in tallies[c.name].values())]:
            sentences.append(f"Never named: any group of {_listed(unnamed)}.")
        severity = worst(uneven, gap)
        advice = ""
        if uneven != "none":
            advice = f"add examples that name {least}, or augment by swapping group words"
        elif gap != "none":
            advice = "balance labels within groups, or look whether the gap is real"
        evidence = [i for i, _ in many.mentions.most_common(20)] if severity != "none" else []
        return Findings(" ".join(sentences), severity, metrics, tuple(tables), tuple(evidence), advice)

    def _imbalance(self, category: Category, tally: Mapping[str, _Tally]) -> float:
        counts = [tally[group].examples for group in category.compared]
        named = {i for group in category.compared for i in tally[group].mentions}
        if len(counts) < 2 or not named or len(named) < self.min_examples:
            return math.nan
        return 1 - min(counts) / max(counts)

    def _label_gap(self, category: Category, tally: Mapping[str, _Tally]) -> float:
        enough = [tally[g] for g in category.compared if tally[g].examples >= max(1, self.min_examples)]
        if len(enough) < 2:
            return math.nan
        gaps = []
        for label in {label for t in enough for label in t.labels}:
            shares = [t.labels[label] / t.examples for t in enough]
            gaps.append(max(shares) - min(shares))
        return max(gaps, default=math.nan)

    def _labels(self, example: Example) -> tuple[str, ...]:
        value = example.extras.get(self.label) if self.label is not None else example.label
        several = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        return tuple(dict.fromkeys(str(v) for v in several if v is not None)) or (_NO_LABEL,)

    def _read(self) -> list[Category]:
        return read_lexicon(type(self).__name__, self.lexicon, self.categories)


def _count(pattern: re.Pattern[str], examples: Sequence[Example], labels: Mapping[str, Sequence[str]]) -> _Tally:
    tally = _Tally()
    for example in examples:
        asked = sum(len(pattern.findall(turn.content)) for turn in example.prompt)
        said = len(pattern.findall(example.reference)) + sum(len(pattern.findall(s.text)) for s in example.segments)
        tally.prompts += asked > 0
        tally.references += said > 0
        if asked + said:
            tally.mentions[example.id] = asked + said
            tally.labels.update(labels[example.id])
    return tally


def _groups_table(category: Category, tally: Mapping[str, _Tally], n: int) -> Table:
    top = max((tally[g].examples for g in category.compared), default=0)
    rows: list[tuple[str | float, ...]] = []
    for group, t in sorted(tally.items(), key=lambda item: -item[1].examples):
        ratio: float | str = t.examples / top if top and group in category.compared else ""
        share = t.examples / n if n else 0.0
        rows.append((group, t.examples, share, t.mentions.total(), t.prompts, t.references, ratio))
    columns = ("group", "examples", "share", "mentions", "prompts", "references", "to most")
    return Table(f"{category.name} in {n} examples", columns, tuple(rows))


def _labels_table(category: Category, tally: Mapping[str, _Tally], most: int = 5) -> Table:
    """Share of each group's examples that have a label; the most frequent labels."""
    total: Counter[str] = sum((t.labels for t in tally.values()), Counter())
    labels = [label for label, _ in total.most_common(most)]
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (group, t.examples, *(t.labels[label] / t.examples for label in labels))
        for group, t in tally.items()
        if t.examples
    )
    more = f", {most} most frequent of {len(total)}" if len(total) > most else ""
    return Table(f"{category.name}: share of labels{more}", ("group", "examples", *labels), rows)


def _extremes(category: Category, tally: Mapping[str, _Tally]) -> tuple[str, str]:
    order = sorted(category.compared, key=lambda group: tally[group].examples)
    return order[-1], order[0]


def _worst(values: Iterable[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)


def _listed(categories: Sequence[Category]) -> str:
    return ", ".join(c.name for c in categories)
