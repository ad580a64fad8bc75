"""LabelErrors: rows whose label the other rows speak against."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from tunesmith import AbsentPackageError, Curator, Example, RecipeError, Record
from tunesmith_plugins.curators.ranked import check_ranked, write_ranked


class LabelErrors(Curator):
    """Finds training rows whose label is likely wrong, by confident learning, and drops them or lists them to relabel.

    A classifier (words and pairs of words by TF-IDF, logistic regression) is trained on some folds and asked about the
    rows of another, until it was asked about each row once. Likely wrong are the rows that confident learning
    (Northcutt, Jiang, Chuang 2021, https://arxiv.org/abs/1911.00068; by cleanlab) prunes: as many of each pair of given
    and likely class as the counts of confident disagreement say, the least likely first. That is careful: it leaves a
    part of the mistakes, and drops hardly another row. `ranked` lists all rows that the classifier puts into
    another class, for people to relabel. Both find what words can tell, and err where they cannot. A class of fewer
    rows than folds is not judged, nor is a set of fewer than two rows a fold.

    Needs `pip install 'tunesmith[labels]'`.

    Since 0.9.

    Args:
        of: What the label is: `label`, `answer` (for sets with a few short answers), or a column's name.
        action: `drop` the rows, or `keep` them.
        ranked: A file for all rows that the classifier puts into another class, the worst first, as JSON lines: id,
            origin, label, likely label, the probability of each of the two, and whether the row is `pruned`. No text.
            A file that another wrote is not written over.
        folds: Parts of the data.
        most: Classes at most; a set with more has no labels but texts.
    """

    scope: ClassVar[Literal["all", "train"]] = "train"
    unlocked = frozenset({"ranked"})

    def __init__(
        self,
        of: str = "label",
        action: Literal["drop", "keep"] = "drop",
        ranked: Path | None = None,
        folds: int = 5,
        most: int = 200,
    ) -> None:
        self.of = of
        self.action = action
        self.ranked = ranked
        self.folds = folds
        self.most = most

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By label and by answer."""
        return [cls(folds=4), cls(of="answer", folds=4)]

    def check(self) -> None:
        """Refuse what finds nothing."""
        if self.folds < 2:
            msg = f"folds is {self.folds}; two or more are needed: rows are judged by those of other folds"
            raise RecipeError(msg)
        if self.action == "keep" and self.ranked is None:
            msg = "action is keep, and ranked names no file: nothing would come of it"
            raise RecipeError(msg)
        check_ranked(self.ranked, type(self).__name__)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on the rows whose label seems right.

        Raises:
            RecipeError: No row has a label, they have too many.
            AbsentPackageError: The extra `labels` is not installed.
        """
        held = list(examples)
        wrong = self._wrong(held) if len(held) >= 2 * self.folds else []
        if self.ranked is not None:
            write_ranked(self.ranked, type(self).__name__, (line for _, line in wrong))
        drop = {at for at, line in wrong if line["pruned"]} if self.action == "drop" else set()
        for at, example in enumerate(held):
            if at in drop:
                record.drop(example, "likely wrong label")
            else:
                yield example

    def _wrong(self, examples: Sequence[Example]) -> list[tuple[int, dict[str, Any]]]:
        """Places of the rows that are put into another class, and what is said of each; the worst first."""
        np, find_label_issues, probabilities = _libraries()
        given = [self._label(example) for example in examples]
        counts = Counter(label for label in given if label)
        names = sorted(name for name, count in counts.items() if count >= self.folds)
        if not counts:
            msg = f"of is {self.of}, and no training row has one; name `label`, `answer` or a column"
            raise RecipeError(msg)
        if len(counts) > self.most:
            msg = f"of is {self.of}, and training rows have {len(counts):,} different ones; most allows {self.most:,}"
            raise RecipeError(msg)
        places = [at for at, label in enumerate(given) if counts[label] >= self.folds and label]
        if len(names) < 2:
            return []
        labels = np.array([names.index(given[at]) for at in places])
        texts = [self._text(examples[at]) for at in places]
        said = probabilities(texts, labels, len(names), self.folds)
        pruned = find_label_issues(labels, said, n_jobs=1)
        own, likely = said[np.arange(len(labels)), labels], said.argmax(axis=1)
        found = []
        for at in np.argsort(own, kind="stable").tolist():
            if pruned[at] or likely[at] != labels[at]:
                example = examples[places[at]]
                line = {
                    "id": example.id,
                    "origin": str(example.origin),
                    "label": names[labels[at]],
                    "likely": names[likely[at]],
                    "probability": round(float(own[at]), 4),
                    "probability of likely": round(float(said[at, likely[at]]), 4),
                    "pruned": bool(pruned[at]),
                }
                found.append((places[at], line))
        return found

    def _label(self, example: Example) -> str:
        """A row's label as text; empty where it has none."""
        if self.of == "label":
            value: Any = example.label
        else:
            value = example.reference.strip() if self.of == "answer" else example.extras.get(self.of)
        return "" if value is None or isinstance(value, tuple | list | dict) else str(value)

    def _text(self, example: Example) -> str:
        """What a label is judged by: all that is said, without the answer where that is the label."""
        turns = example.prompt if self.of == "answer" else example.messages or example.chosen
        return "\n".join([turn.content for turn in turns] + [segment.text for segment in example.segments])


def _libraries() -> tuple[Any, Any, Any]:
    state = random.getstate()  # which importing them moves
    try:
        import numpy as np
        from cleanlab.filter import find_label_issues

        from tunesmith_plugins.curators.labels.out_of_fold import probabilities
    except ImportError as error:
        msg = f"of needs {error.name}, which is not installed: pip install 'tunesmith[labels]'"
        raise AbsentPackageError(msg) from error
    finally:
        random.setstate(state)
    return np, find_label_issues, probabilities
