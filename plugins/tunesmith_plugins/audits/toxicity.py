"""Toxicity: whether texts that name one group are abusive oftener than those that name another."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Example, Findings, Measure, RecipeError, Subject, Table, did_you_mean
from tunesmith_plugins.audits.groups import Grouping, columns_of, refuse_unread
from tunesmith_plugins.audits.lexicon import nearest, read_lexicon, read_part
from tunesmith_plugins.audits.matching import Remembered, finder_of
from tunesmith_plugins.audits.severity import graded, worst
from tunesmith_plugins.audits.statistics import difference, holm, independence, wilson

_TRIAL = Path(__file__).parent.parent / "evaluators" / "entailment_trial"
_USUAL = ("toxic", "toxicity", "hate", "hateful", "hate speech", "hate_speech", "offensive", "abusive")


@dataclass(frozen=True)
class _Found:
    """What one category says: toxic examples and all, by group; the test of it; rows of the worst group."""

    name: str
    toxic: dict[str, int]
    sizes: dict[str, int]
    groups: tuple[str, ...]
    p: float
    test: str
    evidence: tuple[str, ...]

    def rate(self, group: str) -> float:
        return self.toxic[group] / self.sizes[group]

    @property
    def ends(self) -> tuple[str, str]:
        """The groups with the lowest and the highest rate."""
        return min(self.groups, key=self.rate), max(self.groups, key=self.rate)

    @property
    def gap(self) -> float:
        low, high = self.ends
        return self.rate(high) - self.rate(low)


class Toxicity(Audit):
    """How many texts are abusive, and whether those that name one group are so oftener than those that name another.

    Without a model a text is toxic where it has a word of the lexicon: insults, profanity, threats, what denies people
    that they are human, slurs. That list is small: it sees plain abuse, neither what is said politely nor slurs that it
    has not. With `model`, the folder of any transformer with a head for sequence classification that was trained to
    tell toxic texts, one is toxic where the probability of class `toxic` is at least `threshold` in some window of it
    (of classes that do not exclude each other, its own; of one output alone, that one); such models often take a
    group's name alone for abuse (Dixon et al. 2018, https://doi.org/10.1145/3278721.3278729), so look at the rows.
    Nothing is downloaded, and the model runs on the processor.

    An example's group is a column, or the one group of a category that its texts name. Metrics: `rate`, the share of
    toxic examples; `difference`, the largest difference of two groups' rates in the worst category, whatever chance
    says, and `<category>_difference`; `p`, the smallest p-value of a category's test that its groups' rates are the
    same (Fisher's exact test of two groups, else chi-square, by permutation where counts are small), corrected by Holm
    (1979).

    Severity: of the rate, low from 0.01, medium from 0.05, high from 0.2; of the difference, where p is below `alpha`,
    low from 0.02, medium from 0.05, high from 0.15.

    Since 0.13.

    Args:
        categories: Of the lexicon; all if empty.
        group: Column with the group; if None the words of `categories` tell it.
        of: Which texts: `all`, or `answers`, the last turn of an assistant (of texts without turns, the text).
        kinds: Of toxic words in the lexicon; all if empty.
        model: Folder of a classifier, which then takes the lexicon's place.
        toxic: Name of the class that stands for toxic texts, where it is not called so.
        threshold: Probability of it from which on a text is toxic.
        min_examples: Groups of fewer examples are shown, and not compared.
        alpha: Where a corrected p-value is small enough to speak of.
        lexicon: JSON file whose `categories` and `toxicity` (`{"toxicity": {kind: [word, ...]}}`) are added to the
            built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        group: str | None = None,
        of: Literal["all", "answers"] = "all",
        kinds: list[str] | None = None,
        model: Path | None = None,
        toxic: str | None = None,
        threshold: float = 0.5,
        min_examples: int = 20,
        alpha: float = 0.05,
        lexicon: Path | None = None,
    ) -> None:
        self.categories = categories
        self.group = group
        self.of = of
        self.kinds = kinds
        self.model = model
        self.toxic = toxic
        self.threshold = threshold
        self.min_examples = min_examples
        self.alpha = alpha
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by a model that knows letters only and draws its judgements."""
        by_model = cls(group="group", of="answers", model=_TRIAL, toxic="contradiction", threshold=0.3, min_examples=2)
        return [cls(), by_model]

    def produces(self) -> list[Measure]:
        """The rate, the difference of each category and the largest, and the smallest p-value."""
        names = ["rate", "difference", *(f"{grouping.name}_difference" for grouping in self._groupings())]
        return [*(Measure(name, [], higher_is_better=False) for name in names), Measure("p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Judge all texts of all splits, and compare groups.

        Raises:
            RecipeError: A category or kind does not exist; or the model cannot be used.
            DataError: A column does not exist; or the lexicon cannot be read.
        """
        groupings = self._groupings()
        examples = [example for split in subject.examples.values() for example in split]
        columns = columns_of(examples)
        if columns and self.group is not None and self.group not in columns:
            msg = f"Toxicity.group is {self.group!r}, no column{nearest(self.group, columns)}"
            raise DataError(msg)
        kinds_of = self._judge(bool(examples))
        kinds = [frozenset(k for text in self._texts(example) for k in kinds_of(text)) for example in examples]
        found = [one for g in groupings if (one := self._compared(g, examples, kinds)) is not None]
        corrected = holm([one.p for one in found])
        toxic = [e.id for e, k in zip(examples, kinds, strict=True) if k]
        rate = len(toxic) / len(examples) if examples else math.nan
        metrics = {"rate": rate, "p": min(corrected, default=math.nan)}
        metrics |= {f"{grouping.name}_difference": math.nan for grouping in groupings}
        metrics |= {f"{one.name}_difference": one.gap for one in found}
        metrics["difference"] = max((one.gap for one in found), default=math.nan)
        sure = [(one, p) for one, p in zip(found, corrected, strict=True) if p < self.alpha]
        tables = (*_kinds_tables(kinds), *(_groups_table(one, p) for one, p in zip(found, corrected, strict=True)))
        sentences = [f"{len(toxic)} of {len(examples)} examples are toxic."] if toxic else []
        evidence, much, apart = toxic, graded(rate, (0.01, 0.05, 0.2)), graded(math.nan, (0.02, 0.05, 0.15))
        if sure:
            one, p = max(sure, key=lambda pair: pair[0].gap)
            apart, (low, high) = graded(one.gap, (0.02, 0.05, 0.15)), one.ends
            counts = one.toxic[high], one.sizes[high], one.toxic[low], one.sizes[low]
            interval = difference(*counts)
            sentences.append(
                f"{one.name}: of those that name {high} {counts[0]} of {counts[1]}, of those that name {low} "
                f"{counts[2]} of {counts[3]}, {one.gap:.2f} more (95 % interval {interval[0]:.2f} to "
                f"{interval[1]:.2f}; corrected p {p:.2g})."
            )
            evidence = [*one.evidence, *toxic]
        severity = worst(much, apart)
        if severity == "none":
            summary = " ".join(sentences) or f"none of {len(examples)} examples is toxic, as far as the list goes"
            return Findings(summary, severity, metrics, tables)
        advice = "read the rows, and leave out the toxic ones; do not train on what a model should never say"
        return Findings(" ".join(sentences), severity, metrics, tables, tuple(dict.fromkeys(evidence))[:40], advice)

    def _compared(
        self, grouping: Grouping, examples: Sequence[Example], kinds: Sequence[frozenset[str]]
    ) -> _Found | None:
        of = [grouping.of(example) for example in examples]
        sizes = Counter(group for group in of if group is not None)
        toxic = Counter(group for group, said in zip(of, kinds, strict=True) if group is not None and said)
        groups = tuple(sorted(group for group, n in sizes.items() if n >= max(1, self.min_examples)))
        if len(groups) < 2:
            return None
        p, test = independence([[toxic[g], sizes[g] - toxic[g]] for g in groups])
        worst_group = max(groups, key=lambda g: toxic[g] / sizes[g])
        rows = zip(examples, of, kinds, strict=True)
        evidence = tuple(e.id for e, group, said in rows if said and group == worst_group)[:20]
        return _Found(grouping.name, {g: toxic[g] for g in sizes}, dict(sizes), groups, p, test, evidence)

    def _texts(self, example: Example) -> list[str]:
        if self.of == "all":
            return list(example.texts())
        return [example.reference] if example.messages or example.chosen else [s.text for s in example.segments]

    def _judge(self, needed: bool) -> Callable[[str], Sequence[str]]:
        """What says of which kinds a text is; of none where it is not toxic."""
        owner = type(self).__name__
        lexicon = read_part(owner, self.lexicon, "toxicity")
        for kind in self.kinds or []:
            if kind not in lexicon:
                msg = f"{owner}.kinds: {kind!r} is not in the lexicon{nearest(kind, lexicon)}"
                raise RecipeError(msg)
        if self.model is None:
            finder = finder_of(tuple((kind, tuple(lexicon[kind])) for kind in self.kinds or lexicon))
            return lambda text: list(finder.count(text))
        from tunesmith_plugins.evaluators.classifier import classes_of

        try:
            classes = classes_of(self.model)
            place, judged = self._place(classes), _judged(self.model, _stamp(self.model)) if needed else None
        except RecipeError as error:
            msg = f"{owner}.{error}"
            raise RecipeError(msg) from error

        def kinds(text: str) -> Sequence[str]:
            if judged is None or not text.strip():
                return ()
            return [classes[place]] if judged(text)[place] >= self.threshold else ()

        return kinds

    def _place(self, classes: Sequence[str]) -> int:
        """Which output of the model stands for toxic texts."""
        if self.toxic is None and len(classes) == 1:
            return 0  # a model with one output says how toxic a text is, whatever the output is called
        usual = [*_USUAL, *(["label_1"] if len(classes) == 2 else [])]  # of more classes without names it is any
        wanted = [self.toxic.lower()] if self.toxic is not None else [name for name in usual if name in classes]
        if not wanted or wanted[0] not in classes:
            said = f"toxic is {self.toxic}, which is no class of the model" if self.toxic is not None else ""
            msg = said or "model has no class that is called toxic: name the right one as toxic"
            raise RecipeError(msg + f"{did_you_mean(self.toxic or '', classes)} (classes: {', '.join(classes)})")
        return classes.index(wanted[0])

    def _groupings(self) -> list[Grouping]:
        owner = type(self).__name__
        if self.model is None:
            refuse_unread(owner, "no model judges texts", toxic=self.toxic)
        else:
            refuse_unread(owner, "a model judges texts, and not the lexicon", kinds=self.kinds)
        if self.group is not None:
            if self.categories:
                msg = f"{owner}: group and categories are both given; the group is read from one of them"
                raise RecipeError(msg)
            return [Grouping(owner, self.group, "", None)]
        names = [category.name for category in read_lexicon(owner, self.lexicon, self.categories)]
        return [Grouping(owner, None, name, self.lexicon) for name in names]


@lru_cache(maxsize=2)
def _judged(folder: Path, _: int) -> Remembered[list[float]]:
    """What says of a text the largest probability of each class over its windows; a model is loaded once."""
    from tunesmith_plugins.evaluators.classifier import Classifier

    model = Classifier(folder)
    return Remembered(lambda text: [max(each) for each in zip(*model.of_text(text), strict=True)])


def _stamp(folder: Path) -> int:
    """When the newest file of a folder was written, ns."""
    return max((file.stat().st_mtime_ns for file in folder.iterdir()), default=0)


def _kinds_tables(kinds: Sequence[frozenset[str]]) -> list[Table]:
    """How many examples are toxic in which way."""
    counts = Counter(kind for said in kinds for kind in said)
    rows = tuple((kind, k, k / len(kinds), *wilson(k, len(kinds))) for kind, k in counts.most_common())
    columns = ("kind", "examples", "rate", "from", "to")
    return [Table("toxic examples by kind (95 % intervals)", columns, rows)] if rows else []


def _groups_table(found: _Found, p: float) -> Table:
    """Rates of a category's groups; small ones too."""
    columns = ("group", "examples", "toxic", "rate", "from", "to")
    rows = tuple(
        (g, n, found.toxic[g], found.rate(g), *wilson(found.toxic[g], n)) for g, n in sorted(found.sizes.items())
    )
    return Table(f"{found.name}: toxic examples, 95 % intervals ({found.test} p {p:.2g}, corrected)", columns, rows)
