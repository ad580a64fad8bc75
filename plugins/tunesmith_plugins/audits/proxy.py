"""Proxy: whether words or columns tell the group even where it is not named."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Example, Findings, Measure, Subject, Table
from tunesmith_plugins.audits.groups import Grouping, columns_of
from tunesmith_plugins.audits.lexicon import Category, nearest, read_lexicon
from tunesmith_plugins.audits.probe import Probed, probe
from tunesmith_plugins.audits.severity import graded
from tunesmith_plugins.audits.statistics import holm
from tunesmith_plugins.curators.pii.lexicon import given_names, is_word
from tunesmith_plugins.fairness.names import CAPITALISED

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['-])+")
_MOST_VALUES = 50
_SOURCES = ("words", "columns")


@dataclass(frozen=True)
class _Found:
    """What one source of features says of one category's groups; rows by example id with their features and group."""

    name: str
    source: str
    probed: Probed
    rows: Sequence[tuple[str, Mapping[str, float], str]]


class Proxy(Audit):
    """Whether a group can be told by what does not name it: other words of the texts, or other columns.

    Leaving out the group does not make a model blind to it where a hobby, a district or a way of writing stands for it.
    For each category the words that name its groups, and personal names, are taken out; then logistic regression is
    trained on one half of the examples to tell the group, by the words that are left and by the columns, and asked
    about the other half. Of `words` and of `columns`: the area under the ROC curve on held-out rows (AUC, 0.5 is
    chance; of more than two groups the mean of each against the others), balanced accuracy, a p-value by permutations
    of the held-out groups, corrected by Holm (1979), and the features that tell most. An example's group is a column,
    or the one group of a category that its prompt names (its texts, where it has no prompt); words are read from there
    as well. Drop duplicates first: copies of a row on both sides look like knowledge.

    Metrics: `auc`, the largest, `<category>_words_auc` and `<category>_columns_auc`, `balanced_accuracy`, that of the
    largest, and `p`, the smallest corrected p-value. Severity follows the largest AUC whose p is below `alpha`: low
    from 0.6, medium from 0.7, high from 0.85. That a feature tells a group is no fault by itself: look whether it
    should matter for the answer.

    Needs `pip install 'tunesmith[labels]'` (scikit-learn).

    Since 0.13.

    Args:
        categories: Of the lexicon; all if empty. With `group` those whose words are taken out.
        group: Column with the group; if None the words of `categories` tell it.
        columns: Columns to look at; if None all but the group's. Columns with more than 50 different texts are left
            out, as they name rows.
        min_examples: Groups of fewer examples are left out; half of them are trained on.
        alpha: Where a corrected p-value is small enough to speak of.
        seed: Of the halves and the permutations.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        group: str | None = None,
        columns: list[str] | None = None,
        min_examples: int = 40,
        alpha: float = 0.05,
        seed: int = 0,
        lexicon: Path | None = None,
    ) -> None:
        self.categories = categories
        self.group = group
        self.columns = columns
        self.min_examples = min_examples
        self.alpha = alpha
        self.seed = seed
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words, and by a column."""
        return [cls(categories=["gender", "age"], min_examples=10), cls(group="group", min_examples=10)]

    def produces(self) -> list[Measure]:
        """Areas of each category by words and by columns, the largest, its accuracy, and the smallest p-value."""
        names = ["auc", "balanced_accuracy"]
        names += [f"{grouping.name}_{source}_auc" for grouping in self._groupings() for source in _SOURCES]
        return [*(Measure(name, [], higher_is_better=False) for name in names), Measure("p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Try to tell groups, over all splits.

        Raises:
            RecipeError: A category does not exist.
            DataError: A column does not exist; or the lexicon cannot be read.
            AbsentPackageError: scikit-learn is not installed.
        """
        examples = [example for split in subject.examples.values() for example in split]
        self._check(examples)
        groupings = self._groupings()
        metrics = {f"{g.name}_{source}_auc": math.nan for g in groupings for source in _SOURCES}
        found: list[_Found] = []
        columns = self._features(examples)
        for grouping in groupings:
            of = [grouping.of(example, prompt_only=True) for example in examples]
            sizes = Counter(group for group in of if group is not None)
            judged = [at for at, g in enumerate(of) if g is not None and sizes[g] >= max(1, self.min_examples)]
            named = self._removed(grouping)
            persons = {name for category in named if category.names is not None for name in category.names.persons}
            for source in _SOURCES:
                by = [_words(examples[at], named, persons) if source == "words" else columns[at] for at in judged]
                groups = [str(of[at]) for at in judged]
                ids = [examples[at].id for at in judged]
                if (probed := probe(by, groups, ids, self.seed)) is None:
                    continue
                found.append(_Found(grouping.name, source, probed, list(zip(ids, by, groups, strict=True))))
                metrics[f"{grouping.name}_{source}_auc"] = probed.auc
        corrected = holm([one.probed.p for one in found])
        largest = max(found, key=lambda one: one.probed.auc, default=None)
        metrics["auc"] = largest.probed.auc if largest else math.nan
        metrics["balanced_accuracy"] = largest.probed.balanced if largest else math.nan
        metrics["p"] = min(corrected, default=math.nan)
        tables = tuple(_table(one, p) for one, p in zip(found, corrected, strict=True))
        sure = [(one, p) for one, p in zip(found, corrected, strict=True) if p < self.alpha]
        if not sure:
            summary = "no group can be told by other words or columns, as far as chance does not explain it"
            few = f"fewer than two groups of any category have {self.min_examples} examples"
            return Findings(summary if found else few, "none", metrics, tables)
        one, p = max(sure, key=lambda pair: pair[0].probed.auc)
        strong = one.probed.features[0]  # an area beyond chance has some
        summary = (
            f"{one.name}: {one.source} that do not name it tell the group, AUC {one.probed.auc:.2f} and balanced "
            f"accuracy {one.probed.balanced:.2f} on {one.probed.rows} held-out rows (corrected p {p:.2g}); most by "
            f"{', '.join(f'{f.name} ({f.group})' for f in one.probed.features[:3])}"
        )
        severity = graded(one.probed.auc, (0.6, 0.7, 0.85))
        if severity == "none":
            return Findings(summary, severity, metrics, tables)
        evidence = [i for i, features, group in one.rows if group == strong.group and features.get(strong.name)]
        advice = (
            f"look whether {strong.name} should matter for the answer; where not, leave it out, weigh rows by group "
            "and label (Reweigh), or train against the group (AdversarialDebiasing)"
        )
        evidence = evidence or [i for i, _, _ in one.rows]
        return Findings(summary, severity, metrics, tables, tuple(dict.fromkeys(evidence))[:20], advice)

    def _features(self, examples: Sequence[Example]) -> list[dict[str, float]]:
        """Of each example, its columns: numbers as they are, texts and truth values as `column=value`."""
        names = self.columns if self.columns is not None else [c for c in columns_of(examples) if c != self.group]
        texts = {name: {v for e in examples if isinstance(v := e.extras.get(name), str)} for name in names}
        usable = [name for name in names if len(texts[name]) <= _MOST_VALUES]
        found = []
        for example in examples:
            row: dict[str, float] = {}
            for name in usable:
                value = example.extras.get(name)
                if isinstance(value, bool | str) and value != "":
                    row[f"{name}={value}"] = 1.0
                elif isinstance(value, int | float) and math.isfinite(value):
                    row[name] = float(value)
            found.append(row)
        return found

    def _removed(self, grouping: Grouping) -> list[Category]:
        """Categories whose words are taken out."""
        if grouping.category is not None:
            return [grouping.category]
        return read_lexicon(type(self).__name__, self.lexicon, self.categories)

    def _check(self, examples: Sequence[Example]) -> None:
        there = columns_of(examples)
        for option, names in (("group", [self.group] if self.group else []), ("columns", self.columns or [])):
            for name in names:
                if there and name not in there:
                    msg = f"Proxy.{option} is {name!r}, no column{nearest(name, there)}"
                    raise DataError(msg)

    def _groupings(self) -> list[Grouping]:
        owner = type(self).__name__
        categories = read_lexicon(owner, self.lexicon, self.categories)
        if self.group is not None:
            return [Grouping(owner, self.group, "", None)]
        return [Grouping(owner, None, category.name, self.lexicon) for category in categories]


def _words(example: Example, named: Sequence[Category], persons: Set[str]) -> dict[str, float]:
    """The words of what is asked (of the texts, where nothing is) that name no group and no person."""
    found: dict[str, float] = {}
    for text in [turn.content for turn in example.prompt] or example.texts():
        left = CAPITALISED.sub(lambda match: " " if _is_name(match[0].casefold(), persons) else match[0], text)
        for category in named:
            held = category.may_mention(text)
            for group, words in category.patterns.items():
                left = words.sub(" ", left) if group in held else left
        found |= dict.fromkeys(_WORD.findall(left.lower()), 1.0)
    return found


def _is_name(word: str, persons: Set[str]) -> bool:
    """Whether a capitalised word is a person's name: one of the lexicon, or a given name that is no word."""
    return word in persons or (word in given_names() and not is_word(word))


def _table(found: _Found, p: float) -> Table:
    """The features that tell most."""
    probed = found.probed
    rows = tuple((f.name, f.group, f.inside, f.outside) for f in probed.features)
    title = (
        f"{found.name} by {found.source}: AUC {probed.auc:.3f}, balanced accuracy {probed.balanced:.3f} on "
        f"{probed.rows} held-out rows (p {p:.2g}, corrected)"
    )
    return Table(title, ("feature", "tells of", "mean there", "elsewhere"), rows)
