"""Outliers: training rows that are unlike all others."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tunesmith import Curator, Example, RecipeError, Record, parts_of
from tunesmith_plugins.curators.ranked import check_ranked, write_ranked

if TYPE_CHECKING:
    from tunesmith_plugins.curators.embedding.robust import Values

_LENGTH, _RARE, _FAR = "unusual length", "rare words", "far from all others"
_LEAST = {_LENGTH: 0.1, _RARE: 0.25, _FAR: 0.02}
_TRIAL = Path(__file__).parent / "embedding" / "letters"


class Outliers(Curator):
    """Finds training rows that stand out, and lists them for people to look at, or drops them.

    A row stands out by its length (the logarithm of its characters, long or short), by rare words (their mean inverse
    document frequency), and, where a `model` is named, by its meaning: the mean cosine distance to the `nearest` rows
    (k-nearest-neighbour distance: Ramaswamy, Rastogi, Shim 2000, https://doi.org/10.1145/342009.335437; the mean of
    them: Angiulli, Pizzuti 2002). Prompt and answer count alike in it; system turns are not looked at. Each of the
    three is put in standard deviations from the median, estimated from the median absolute deviation, and a row is
    judged by its largest. So that rows of one template do not stand out by a word, a deviation counts as 10 % of
    length, 0.25 of that frequency and 0.02 of that distance at least.

    What stands out is not wrong: it may be noise, or the rare case that matters most. So rows are kept unless
    `action: drop` says otherwise. More than `nearest` rows that are alike are not found by meaning.
    Of models see `SemanticDuplicates`. Each row is compared with `sample` rows at most, so that time grows with the
    number of rows and not with its square beyond that: 6 and 41 processor seconds for 10,000 and 50,000 rows of 2 x 256
    dimensions, beside the embedding.

    Since 0.9.

    Args:
        model: Folder of an embedding model; None: length and words alone are looked at.
        threshold: Standard deviations from which on a row stands out; 3.5 is the usual one.
        most: Share of the rows that are dropped at most, those that stand out most; above 0 and up to 1.
        action: `keep` the rows and say how many stand out, or `drop` them.
        ranked: A file for all rows that stand out, the most unusual first, as JSON lines: id, origin, reason, the three
            numbers, and whether the row is within `most`. No text. A file that another wrote is not
            written over.
        nearest: Neighbours that count.
        sample: Rows that each is compared with at most, drawn by the recipe's seed.
    """

    scope: ClassVar[Literal["all", "train"]] = "train"
    unlocked = frozenset({"ranked"})

    def __init__(
        self,
        model: Path | None = None,
        threshold: float = 3.5,
        most: float = 0.05,
        action: Literal["keep", "drop"] = "keep",
        ranked: Path | None = None,
        nearest: int = 10,
        sample: int = 20_000,
    ) -> None:
        self.model = model
        self.threshold = threshold
        self.most = most
        self.action = action
        self.ranked = ranked
        self.nearest = nearest
        self.sample = sample

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Without a model, and by one that knows letters only."""
        return [cls(threshold=1.5, most=0.5, action="drop"), cls(_TRIAL, 1.5, 0.5, "drop", nearest=3, sample=10), cls()]

    def check(self) -> None:
        """Refuse numbers that cannot be, and a folder without a model."""
        from tunesmith_plugins.curators.embedding.encode import check_model

        if self.threshold <= 0:
            msg = f"threshold is {self.threshold}; it lies above 0"
            raise RecipeError(msg)
        if not 0 < self.most <= 1:
            msg = f"most is {self.most}; a share lies above 0 and is at most 1"
            raise RecipeError(msg)
        if not 1 <= self.nearest < self.sample:
            msg = f"nearest is {self.nearest} and sample {self.sample}; nearest is 1 or more, sample more than it"
            raise RecipeError(msg)
        if self.model is not None:
            check_model(self.model)
        check_ranked(self.ranked, type(self).__name__)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on what does not stand out, or all.

        Raises:
            RecipeError: The folder holds no model that can be used.
            AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
        """
        given = list(examples)
        signals = self._signals(given, record.seed) if given else {}
        found = _outstanding(signals, self.threshold)
        most = int(self.most * len(given))
        if self.ranked is not None:
            write_ranked(
                self.ranked,
                type(self).__name__,
                (_line(given[at], at, place < most, signals) for place, at in enumerate(found)),
            )
        if found:
            reasons = Counter(_reason(signals, at) for at in found)
            by = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
            record.remark(f"{len(found):,} of {len(given):,} rows stand out: {by}")
        gone = set(found[:most]) if self.action == "drop" else set()
        for at, example in enumerate(given):
            if at in gone:
                record.drop(example, _reason(signals, at))
            else:
                yield example

    def _signals(self, given: Sequence[Example], seed: int) -> "dict[str, Values]":
        """How much each row stands out, by reason."""
        import numpy as np

        from tunesmith_plugins.curators.embedding.neighbours import mean_distances
        from tunesmith_plugins.curators.embedding.robust import rarities, robust_z
        from tunesmith_plugins.curators.embedding.rows import embedded

        def texts() -> Iterator[str]:
            for parts in map(parts_of, given):
                yield f"{parts.prompt}\n{parts.answer}"

        lengths = np.log(np.fromiter(map(len, texts()), np.float64, len(given)))
        rare = rarities(texts())
        has = ~np.isnan(rare)
        rare[has] = robust_z(rare[has], _LEAST[_RARE])
        found = {_LENGTH: np.abs(robust_z(lengths, _LEAST[_LENGTH])), _RARE: np.where(has, rare, 0)}
        if self.model is not None:
            rows = embedded(given, self.model)
            others = np.arange(len(given))
            if len(others) > self.sample:
                others = np.sort(np.random.default_rng(seed).choice(others, self.sample, replace=False))
            found[_FAR] = robust_z(mean_distances(rows, others, self.nearest), _LEAST[_FAR])
        return found


def _outstanding(signals: "dict[str, Values]", threshold: float) -> list[int]:
    """Rows at least one of whose signals is over the threshold, the most unusual first."""
    import numpy as np

    if not signals:
        return []
    largest = np.max(list(signals.values()), axis=0)
    order: list[int] = np.argsort(-largest, kind="stable").tolist()
    return order[: int((largest >= threshold).sum())]


def _reason(signals: "dict[str, Values]", at: int) -> str:
    return max(signals, key=lambda reason: float(signals[reason][at]))


def _line(example: Example, at: int, within: bool, signals: "dict[str, Values]") -> dict[str, Any]:
    numbers = {reason: round(float(values[at]), 2) for reason, values in signals.items()}
    where = {"id": example.id, "origin": str(example.origin), "reason": _reason(signals, at)}
    return where | numbers | {"within most": within}
