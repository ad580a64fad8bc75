"""Stereotypes: what texts say of groups as a stereotype has it, of all of one, or of some oftener than of others."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Audit, DataError, Example, Findings, Measure, Subject, Table
from tunesmith_plugins.audits.groups import named_alone
from tunesmith_plugins.audits.lexicon import Category, nearest, read_lexicon, read_part
from tunesmith_plugins.audits.matching import Remembered, word_set
from tunesmith_plugins.audits.predication import Said, Sayings, said, sayings
from tunesmith_plugins.audits.severity import graded, worst
from tunesmith_plugins.audits.statistics import difference, fisher, holm, wilson
from tunesmith_plugins.evaluators.english import split_sentences


@dataclass(frozen=True)
class _Stereotype:
    """What is held of a group, and after whose study."""

    category: Category
    group: str
    what: Sayings
    after: str


@dataclass(frozen=True)
class _Pair:
    """How many examples that name one group alone say it of the group that it is held of, and of the others."""

    held: _Stereotype
    own: int
    of_own: int
    other: int
    of_others: int
    evidence: tuple[str, ...]

    @property
    def gap(self) -> float:
        return self.own / self.of_own - self.other / self.of_others

    @property
    def p(self) -> float:
        return fisher(self.own, self.of_own - self.own, self.other, self.of_others - self.other)


class Stereotypes(Audit):
    """Sentences that say of a group what a stereotype holds of it: of all of it, or of members oftener than of others.

    A sentence counts where it has a word of the group and a trait or act that the lexicon holds as a stereotype of it,
    and says the one of the other: a trait behind a form of to be (`women are too emotional`), one before the group's
    word (`lazy Mexicans`), an act as the verb (`Muslims hate women`). Questions and sentences that deny (not, never, a
    myth) say nothing. The lexicon names the studies that its entries follow. English only, and by form alone: irony,
    quotations and stereotypes in other words are not seen, so that what is found is the least that is there.

    Two things are told apart. Said of all of a group (`women are`, `all women`, `the elderly are`), a sentence is a
    stereotype by itself: `statements` counts the examples with one, and `rate` is their share of all. Said of one
    (`she is emotional`), it may be so; whether it is said of the stereotyped group oftener than of the category's other
    groups is tested: among examples that name one group alone, by Fisher's exact test, corrected by Holm (1979) for all
    stereotypes. Metrics of it: `gap`, the largest difference of shares that is beyond chance and as the stereotype has
    it (0 where none is), `<category>_gap`, and `p`, the smallest corrected p-value.

    Severity: of statements, low from the first, medium from a rate of 0.005, high from 0.02; of the gap, low from 0.05,
    medium from 0.15, high from 0.3.

    Since 0.13.

    Args:
        categories: Of the lexicon; all that have stereotypes if empty.
        of: Which texts: `all`, or `answers`, the last turn of an assistant (of texts without turns, the text).
        min_examples: Groups that fewer examples name alone are not compared.
        alpha: Where a corrected p-value is small enough to speak of.
        lexicon: JSON file whose `categories` and `stereotypes` (`{"stereotypes": {category: {group: {"traits": [...],
            "acts": [...], "after": "..."}}}}`) are added to the built-in ones or replace them.
    """

    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    def __init__(
        self,
        categories: list[str] | None = None,
        of: Literal["all", "answers"] = "all",
        min_examples: int = 20,
        alpha: float = 0.05,
        lexicon: Path | None = None,
    ) -> None:
        self.categories = categories
        self.of = of
        self.min_examples = min_examples
        self.alpha = alpha
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """As it comes, and one that judges answers by the first example."""
        return [cls(), cls(categories=["gender", "age"], of="answers", min_examples=1)]

    def produces(self) -> list[Measure]:
        """Statements and their rate, the gap of each category and the largest, and the smallest p-value."""
        categories = dict.fromkeys(held.category.name for held in self._read())
        names = ["statements", "rate", "gap", *(f"{name}_gap" for name in categories)]
        return [*(Measure(name, [], higher_is_better=False) for name in names), Measure("p", [])]

    def examine(self, subject: Subject) -> Findings:
        """Read all sentences of all splits.

        Raises:
            RecipeError: A category does not exist.
            DataError: The lexicon cannot be read, or holds something of a group that is not there.
        """
        examples = [example for split in subject.examples.values() for example in split]
        held = self._read()
        texts = [self._texts(example) for example in examples]
        hits = _hits(held, texts)
        general = [
            (i, one.category.name, one.group)
            for one, found in zip(held, hits, strict=True)
            for i, what in found.items()
            if what.get(one.group) == "of all"
        ]
        stated = dict.fromkeys(i for i, _, _ in general)
        paired = [self._pair(one, found, examples, texts) for one, found in zip(held, hits, strict=True)]
        pairs = [pair for pair in paired if pair is not None]
        corrected = holm([pair.p for pair in pairs])
        sure = [(q, p) for q, p in zip(pairs, corrected, strict=True) if p < self.alpha and q.gap > 0]
        metrics = {f"{one.category.name}_gap": math.nan for one in held}
        metrics |= {f"{pair.held.category.name}_gap": 0.0 for pair in pairs}
        for pair, _ in sure:
            name = f"{pair.held.category.name}_gap"
            metrics[name] = max(metrics[name], pair.gap)
        metrics["gap"] = max((v for v in metrics.values() if not math.isnan(v)), default=math.nan)
        metrics["p"] = min(corrected, default=math.nan)
        rate = len(stated) / len(examples) if examples else math.nan
        metrics |= {"statements": float(len(stated)) if examples else math.nan, "rate": rate}
        tables = (*_statements_tables(general, len(examples)), *_pairs_tables(pairs, corrected))
        ids = [examples[at].id for at in stated]
        severity = worst(
            graded(rate, (1e-9, 0.005, 0.02)), graded(metrics["gap"] if sure else math.nan, (0.05, 0.15, 0.3))
        )
        sentences = []
        if stated:
            most = Counter((name, group) for _, name, group in general).most_common(1)[0]
            sentences.append(
                f"{len(stated)} of {len(examples)} examples state a stereotype of all of a group, "
                f"{most[1]} of {most[0][1]} ({most[0][0]})."
            )
        if sure:
            pair, chance = max(sure, key=lambda one: one[0].gap)
            sentences.append(
                f"What is held of {pair.held.group} ({pair.held.category.name}) is said of them in {pair.own} of "
                f"{pair.of_own} examples, of others in {pair.other} of {pair.of_others} (corrected p {chance:.2g})."
            )
            ids += pair.evidence
        if severity == "none":
            summary = (
                " ".join(sentences) or "no stereotype is stated, and none said of its group oftener than of others"
            )
            return Findings(summary, severity, metrics, tables)
        advice = "read the rows, and leave out or rewrite what states a stereotype"
        advice += (
            "; swapped rows beside the others (curator CounterfactualAugment) part group and trait" if sure else ""
        )
        return Findings(" ".join(sentences), severity, metrics, tables, tuple(dict.fromkeys(ids))[:40], advice)

    def _pair(
        self,
        held: _Stereotype,
        hits: dict[int, dict[str, Said]],
        examples: Sequence[Example],
        texts: Sequence[Sequence[str]],
    ) -> _Pair | None:
        """The group against the others; None where too few examples name either, or it is said of none."""
        alone = [named_alone(several, held.category) for several in texts] if hits else []
        of_own = sum(group == held.group for group in alone)
        of_others = sum(group is not None for group in alone) - of_own
        if min(of_own, of_others) < max(1, self.min_examples):
            return None
        saying = [at for at, groups in hits.items() if alone[at] is not None and alone[at] in groups]
        own = [at for at in saying if alone[at] == held.group]
        return _Pair(
            held, len(own), of_own, len(saying) - len(own), of_others, tuple(examples[at].id for at in own)[:20]
        )

    def _texts(self, example: Example) -> list[str]:
        if self.of == "all":
            return list(example.texts())
        return [example.reference] if example.messages or example.chosen else [s.text for s in example.segments]

    def _read(self) -> list[_Stereotype]:
        owner = type(self).__name__
        raw = read_part(owner, self.lexicon, "stereotypes")
        known = {category.name: category for category in read_lexicon(owner, self.lexicon, self.categories)}
        found = []
        for name, groups in raw.items():
            for group, entries in groups.items() if name in known else ():
                traits, acts = entries.get("traits", []), entries.get("acts", [])
                if group not in known[name].words or not traits + acts:
                    msg = f"{owner}.lexicon: stereotypes of {name} name {group!r}, "
                    msg += "without traits and acts" if group in known[name].words else "which is none of its groups"
                    raise DataError(msg + nearest(group, known[name].words))
                found.append(_Stereotype(known[name], group, sayings(traits, acts), str(entries.get("after", ""))))
        return found


def _hits(held: Sequence[_Stereotype], texts: Sequence[Sequence[str]]) -> list[dict[int, dict[str, Said]]]:
    """Of each stereotype, by place of an example, what it says of which compared group."""
    said_in = _reader(tuple(held))
    found: list[dict[int, dict[str, Said]]] = [{} for _ in held]
    for at, several in enumerate(texts):
        for text in several:
            for which, groups in said_in(text):
                before = found[which].setdefault(at, {})
                for group, what in groups.items():
                    before[group] = "of all" if "of all" in (before.get(group), what) else what
    return found


@lru_cache(maxsize=8)
def _reader(held: tuple[_Stereotype, ...]) -> Remembered[tuple[tuple[int, dict[str, Said]], ...]]:
    """What says of a text which of the stereotypes stand in it, and of whom."""

    def read(text: str) -> tuple[tuple[int, dict[str, Said]], ...]:
        words = word_set(text)
        found = ((which, _said(one, text)) for which, one in enumerate(held) if one.what.may_be_among(words))
        return tuple((which, groups) for which, groups in found if groups)

    return Remembered(read)


def _said(held: _Stereotype, text: str) -> dict[str, Said]:
    """What a text says, by compared group."""
    found: dict[str, Said] = {}
    wanted = [one for one in (held.what.traits, held.what.acts) if one is not None]
    if not any(one.search(text) for one in wanted):
        return found
    for sentence in split_sentences(text):
        if not any(one.search(sentence) for one in wanted):
            continue
        for group in dict.fromkeys((*held.category.compared, held.group)):
            if what := said(sentence, held.category.patterns[group], held.what):
                found[group] = "of all" if "of all" in (found.get(group), what) else what
    return found


def _statements_tables(general: Sequence[tuple[int, str, str]], n: int) -> list[Table]:
    """Examples that state a stereotype of all of a group, by group; the most first."""
    counts = Counter((name, group) for _, name, group in dict.fromkeys(general)).most_common()
    rows = tuple((name, group, k, k / n, *wilson(k, n)) for (name, group), k in counts)
    columns = ("category", "group", "examples", "rate", "from", "to")
    return [Table("stereotypes stated of all of a group (95 % intervals)", columns, rows)] if rows else []


def _pairs_tables(pairs: Sequence[_Pair], corrected: Sequence[float]) -> list[Table]:
    """How often each is said of whom; the largest difference first."""
    columns = ("held of", "said of them", "of", "said of others", "of others", "difference", "from", "to", "p", "after")
    rows = []
    for pair, p in zip(pairs, corrected, strict=True):
        counts = pair.own, pair.of_own, pair.other, pair.of_others
        name = f"{pair.held.group} ({pair.held.category.name})"
        rows.append((name, *counts, pair.gap, *difference(*counts), p, pair.held.after))
    rows.sort(key=lambda row: -float(row[5]))
    title = "stereotypes by whom they are said of (95 % intervals; p corrected)"
    return [Table(title, columns, tuple(rows))] if rows else []
