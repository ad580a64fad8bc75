"""A data set's quality by dimension: a score that says of which rows it is the share, why, and what to do next.

Scores are shares of rows or words, times 100; none is a judgement of a model. The dimensions are those that articles on
fine-tuning in business ask for: relevance, diversity, accuracy, consistency, volume.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tunesmith.data.example import Example
from tunesmith.data.normal import normal_text
from tunesmith.data.split import content_key
from tunesmith.report.repeats import Repeats, repeats
from tunesmith.report.shapes import odd, shape
from tunesmith.report.words import covered, diversity

_DAMAGED = re.compile("\ufffd|Ã[\u0080-\u00bf©¨¼¶¤]|â€[\u0080-\u00ff™œ“]")
_UNFILLED = re.compile(r"\b(?:TODO|TBD|FIXME|lorem ipsum)\b|\[insert\b|<your |\{\{\s*\w+\s*\}\}", re.IGNORECASE)
_GOOD, _FAIR = 90, 70
# Rows of a split whose texts are all looked at; more would take minutes, and tell nothing else.
_JUDGED = 50_000
# What the articles advise: style and format, a domain task, a complex one.
SIZES = (
    (100, 500, "a first proof: style and format of answers"),
    (1_000, 5_000, "a task of one domain"),
    (10_000, None, "complex tasks, many cases"),
)


@dataclass(frozen=True)
class Dimension:
    """One dimension of quality.

    Args:
        name: Which.
        score: 0 to 100; None where it cannot be told.
        means: Of what it is the share.
        found: What lowers it, in words, the worst first.
        advice: What to do next; empty where nothing needs to be done.
    """

    name: str
    score: float | None
    means: str
    found: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def grade(self) -> str:
        """`good` from 90, `fair` from 70, `poor` below, `unknown`."""
        if self.score is None:
            return "unknown"
        return "good" if self.score >= _GOOD else "fair" if self.score >= _FAIR else "poor"


@dataclass(frozen=True)
class Judged:
    """The rows that are judged: all, or of very many some at even distances, since they may lie on the disk.

    Args:
        train: Training rows.
        held_out: Rows of validation and test.
        rows: Training rows there are.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    rows: int

    @classmethod
    def of(cls, splits: Mapping[str, Sequence[Example]]) -> "Judged":
        """Read the rows of curated examples by split, once."""
        held_out = [example for name in ("validation", "test") for example in _some(splits[name])]
        return cls(_some(splits["train"]), held_out, len(splits["train"]))

    @cached_property
    def repeats(self) -> Repeats:
        """Training rows that repeat others."""
        return repeats(self.train)


def quality(judged: Judged, cut: Iterable[str] = ()) -> list[Dimension]:
    """All dimensions.

    Args:
        judged: What trains is judged, what is held out says what it is for.
        cut: Ids of examples that `data.max_length` cuts.
    """
    train = judged.train
    found = [relevance(train, judged.held_out), variety(train, judged.repeats), accuracy(train, set(cut))]
    found.append(consistency(train))
    if len(train) < judged.rows:
        found = [replace(one, means=f"{one.means}; of {len(train):,} rows at even distances") for one in found]
    return [*found, volume(judged.rows)]


def _some(examples: Sequence[Example]) -> list[Example]:
    if len(examples) <= _JUDGED:
        return list(examples)
    return [examples[at * len(examples) // _JUDGED] for at in range(_JUDGED)]


def relevance(train: Sequence[Example], held_out: Sequence[Example]) -> Dimension:
    """Do training rows speak of what the held-out ones speak of?"""
    means = "words in validation and test rows that occur in training rows too"
    share = covered(_texts(held_out), _texts(train))
    if share is None:
        return Dimension("relevance", None, means, ["no held-out rows"], ["hold rows out: data.split"])
    missed = 1 - share
    found = [f"{missed:.1%} of the held-out words never occur in training"] if missed > 0 else []
    advice = ["add training rows of the kind that validation and test hold"] if 100 * share < _GOOD else []
    return Dimension("relevance", 100 * share, means, found, advice)


def variety(train: Sequence[Example], repeated: Repeats) -> Dimension:
    """Do training rows differ from each other?"""
    means = "training rows that repeat no other, word for word or nearly, nor but for numbers"
    found, advice = [], []
    for number, what, todo in (
        (
            repeated.exact + repeated.near,
            "repeat another row, or nearly",
            "remove them: curators ExactDuplicates, NearDuplicates",
        ),
        (repeated.numbers, "say what another row says, but for numbers", "see whether they teach anything"),
    ):
        found += [f"{number:,} rows {what}"] if number else []
        advice += [todo] if number else []
    answers = [example.reference for example in train if example.reference]
    labelled = any(example.label is not None for example in train)
    if answers and not labelled:
        opening, share = (diversity(answers).openings or [("", 0.0)])[0]
        if share > 0.5 and len(set(answers)) > len(answers) / 2:
            found.append(f"{share:.0%} of the answers begin with “{opening}”")
            advice.append("if that is not the house style, add answers that begin otherwise")
    return Dimension(
        "diversity",
        _score(len(train) - repeated.exact - repeated.near - repeated.numbers, len(train)),
        means,
        found,
        advice,
    )


def accuracy(train: Sequence[Example], cut: set[str]) -> Dimension:
    """Signs of wrong rows that can be seen without knowing the subject."""
    means = "training rows without a sign of a mistake"
    contradict = _contradicting(train)
    signs: dict[str, tuple[set[str], str]] = {
        "give one question different answers": (contradict, "decide which is right: curator Contradictions"),
        "hold damaged characters": (_having(train, _DAMAGED), "repair the encoding: curator Clean"),
        "hold blanks that nobody filled in": (_having(train, _UNFILLED), "fill or drop them"),
        "have an empty answer": ({e.id for e in train if _asks(e) and not e.reference.strip()}, "drop them"),
        "repeat the question as the answer": ({e.id for e in train if _echoes(e)}, "drop them"),
        "are cut by data.max_length": (cut & {e.id for e in train}, "raise data.max_length, or drop: data.truncation"),
    }
    wrong = set().union(*(ids for ids, _ in signs.values()))
    worst = sorted(((len(ids), what, todo) for what, (ids, todo) in signs.items() if ids), reverse=True)
    found = [f"{number:,} rows {what}" for number, what, _ in worst]
    score = _score(len(train) - len(wrong), len(train))
    return Dimension("accuracy (proxies)", score, means, found, [todo for _, _, todo in worst])


def consistency(train: Sequence[Example]) -> Dimension:
    """Do answers look alike where most of them do?"""
    means = "training rows whose answer has a usual shape (odd: under 5 % of the rows, where half share another)"
    answers = [example.reference for example in train if example.reference]
    if not answers:
        return Dimension("consistency", None, means, ["no answers"])
    counts, rare = odd(map(shape, answers))
    number = sum(counts[name] for name in rare)
    usual = counts.most_common(1)[0]
    found = [f"{usual[1] / len(answers):.0%} of the answers are: {usual[0]}"]
    found += [f"{counts[name]:,} x {name}" for name in sorted(rare, key=lambda name: -counts[name])[:3]]
    advice = ["look at the odd ones, repair or drop them: curator Consistency"] if number else []
    return Dimension("consistency", _score(len(answers) - number, len(answers)), means, found, advice)


def volume(rows: int) -> Dimension:
    """Are there enough rows?"""
    means = "70 at 100 training rows, 90 at 1,000, 100 at 10,000, on a logarithmic scale between"
    score = float(np.interp(math.log10(max(rows, 1)), (1, 2, 3, 4), (0, _FAIR, _GOOD, 100)))
    reached = [what for least, _, what in SIZES if rows >= least]
    found = [f"{rows:,} training rows: enough for {reached[-1]}" if reached else f"{rows:,} training rows"]
    further = next(((least, what) for least, _, what in SIZES if rows < least), None)
    advice = [f"{further[0]:,} rows are advised for {further[1]}"] if further else []
    return Dimension("volume", score, means, found, advice)


def _texts(examples: Iterable[Example]) -> Iterable[str]:
    return (text for example in examples for text in example.texts())


def _contradicting(examples: Sequence[Example]) -> set[str]:
    """Rows of one conversation so far and one task, whose answers or labels differ."""
    answers: defaultdict[tuple[bytes, str], dict[str, list[str]]] = defaultdict(dict)
    for example in examples:
        if _asks(example) and not example.chosen:
            said = f"{normal_text(example.reference)}\0{example.label!r}"
            answers[content_key(example.with_(messages=example.prompt, label=None)), example.task].setdefault(
                said, []
            ).append(example.id)
    return {key for said in answers.values() if len(said) > 1 for ids in said.values() for key in ids}


def _having(examples: Iterable[Example], pattern: re.Pattern[str]) -> set[str]:
    return {example.id for example in examples if any(pattern.search(text) for text in example.texts())}


def _asks(example: Example) -> bool:
    turns = example.messages or example.chosen
    return bool(turns) and turns[-1].role == "assistant" and not turns[-1].fields and len(turns) > 1


def _echoes(example: Example) -> bool:
    said = normal_text(example.reference)
    return bool(said) and any(normal_text(turn.content) == said for turn in example.prompt if turn.role == "user")


def _score(good: int, of: int) -> float | None:
    return 100 * good / of if of else None
