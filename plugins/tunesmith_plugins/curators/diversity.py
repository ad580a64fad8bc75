"""Diversity: no subject of which the training rows hold far more than of the others."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from tunesmith import Curator, Example, RecipeError, Record

if TYPE_CHECKING:
    from tunesmith_plugins.curators.embedding.rows import Places, Rows

_TRIAL = Path(__file__).parent / "embedding" / "letters"


class Diversity(Curator):
    """Puts training rows into clusters by meaning, says how evenly they cover them, and caps those that are too large.

    Clusters are those of k-means on the rows' embeddings, prompt and answer alike; system turns are not looked at. A
    cluster keeps at most `ratio` times its even share (rows divided by clusters). Which rows stay: the one nearest to
    the cluster's centre, then always the row that is farthest from those that stay already (k-centre greedy: Gonzalez
    1985; for training sets Sener, Savarese 2018, https://arxiv.org/abs/1708.00489), so that near copies go first and
    rare cases stay; noise is rare too, so see `Outliers` first. Draws are by the recipe's seed.

    The remark gives the clusters, how many of equal size would be as diverse (the exponential of the entropy of their
    shares), and the largest one's share. Of models see `SemanticDuplicates`. 10,000 rows take 5 processor seconds
    beside the embedding, and time grows with rows times clusters: by default as rows to the power of 1.5.

    Since 0.9.

    Args:
        model: Folder of an embedding model.
        clusters: How many; 0 takes the root of half the rows' number.
        ratio: A cluster may have at most so many times its even share, 1 or more; None caps none.
    """

    scope: ClassVar[Literal["all", "train"]] = "train"

    def __init__(self, model: Path, clusters: int = 0, ratio: float | None = 4.0) -> None:
        self.model = model
        self.clusters = clusters
        self.ratio = ratio

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By a model that knows letters only: a cap that is met, and none."""
        return [cls(_TRIAL, 4, 1.0), cls(_TRIAL, ratio=None), cls(_TRIAL, 500, 1.0)]

    def check(self) -> None:
        """Refuse numbers that cannot be, and a folder without a model."""
        from tunesmith_plugins.curators.embedding.encode import check_model

        if self.clusters < 0 or self.clusters == 1:
            msg = f"clusters is {self.clusters}; two or more are needed, or 0, which takes the root of half the rows"
            raise RecipeError(msg)
        if self.ratio is not None and self.ratio < 1:
            msg = f"ratio is {self.ratio}; the largest cluster has at least 1 times its even share"
            raise RecipeError(msg)
        check_model(self.model)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on the rows of small clusters, and as many of the large ones as may stay.

        Raises:
            RecipeError: The folder holds no model that can be used.
            AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
        """
        import numpy as np

        from tunesmith_plugins.curators.embedding.kmeans import centres_of, clusters
        from tunesmith_plugins.curators.embedding.rows import embedded

        given = list(examples)
        if not given:
            return
        rows = embedded(given, self.model)
        centres = centres_of(rows, self.clusters or max(2, round((len(given) / 2) ** 0.5)), record.seed)
        own, cosine = clusters(rows, centres)
        stays = np.ones(len(given), bool)
        if self.ratio is not None:
            most = max(1, int(self.ratio * len(given) / len(centres)))
            for number in np.flatnonzero(np.bincount(own) > most).tolist():
                members = np.flatnonzero(own == number)
                stays[members] = False
                stays[_chosen(rows, members, int(cosine[members].argmax()), most)] = True
        record.remark(_said(own, stays, len(centres)))
        for example, stay in zip(given, stays.tolist(), strict=True):
            if stay:
                yield example
            else:
                record.drop(example, "of a large cluster")


def _chosen(rows: "Rows", members: "Places", first: int, most: int) -> "Places":
    from tunesmith_plugins.curators.embedding.kmeans import spread

    return members[spread(rows.of(members), first, most)]


def _said(own: "Places", stays: "Places", count: int) -> str:
    """How rows cover the clusters, before the cap and after it."""
    import numpy as np

    from tunesmith_plugins.curators.embedding.kmeans import evenness

    def covered(rows: "Places") -> str:
        return (
            f"as diverse as {evenness(rows):.1f} of equal size, the largest {np.bincount(rows).max() / len(rows):.0%}"
        )

    said = f"{len(own):,} rows in {count:,} cluster{'' if count == 1 else 's'}: {covered(own)}"
    return said if stays.all() else f"{said}; of the {int(stays.sum()):,} that stay: {covered(own[stays])}"
