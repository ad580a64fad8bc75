"""MultiLabel: are all classes of a text named, and no others?"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample

_BETWEEN = re.compile(r"[,;\n]")
_SPACE = re.compile(r"[\s_]+")
_NAMES = ("precision", "recall", "f1")

# Of each row and class, whether the row is of it and whether the output names it: a numpy array, bool.
Table = Any


class MultiLabel(Evaluator):
    """Outputs as sets of classes, against the reference's or a column's; all in [0, 1].

    An output names classes one behind the other, parted by commas, semicolons or line ends, as the objective
    Classification with `multi_label` writes them; none of them where it is empty. Measures `exact` (share of rows with
    all classes right), `precision`, `recall` and `f1` (of all classes of all rows together: micro), `macro_f1` (the
    mean of the classes' F1), `unknown` (share of outputs that name something else too; lower is better), `f1/CLASS`.
    A class that no row has and no output names has no value and is left out of the mean. Case, runs of spaces and
    underscores do not count.

    Since 0.13.

    Args:
        labels: The classes, as rows write them.
        of: Column that holds the classes, a list or text as of an output; without it, the row's label or the reference.
    """

    def __init__(self, labels: list[str], of: str | None = None) -> None:
        self.labels = labels
        self.of = of

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Two classes."""
        return [cls(["The lamp is hot.", "On the shelf"]), cls(["yes", "no"], of="gold")]

    def columns(self) -> Sequence[str]:
        """The column of the classes, where it is one."""
        return () if self.of is None else (self.of,)

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Counts of each row; shares of any rows together.

        Raises:
            RecipeError: The classes cannot be told apart, or a row does not have the column.
        """
        import numpy as np

        places = {_bare(label): at for at, label in enumerate(self.labels)}
        if not places or len(places) < len(self.labels) or "" in places:
            msg = f"MultiLabel.labels is {self.labels}; give one or more, different in more than case and spaces"
            raise RecipeError(msg)
        shape = (len(samples), len(self.labels))
        gold, said = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        unknown = []
        for at, sample in enumerate(samples):
            named = _parts(sample.output)
            for table, parts in ((gold, self._gold(sample)), (said, named)):
                table[at, [places[part] for part in parts if part in places]] = True
            unknown.append(float(any(part not in places for part in named)))
        exact = (gold == said).all(1).astype(float).tolist()
        counts = np.stack([gold & said, said & ~gold, gold & ~said]).astype(np.int64)  # [3, rows, classes]

        def of_rows(name: str, score: Callable[[Table], float]) -> Measure:
            def together(indices: Sequence[int]) -> float:
                return score(counts[:, np.fromiter(indices, dtype=np.int64)].sum(1))

            return Measure(name, [score(counts[:, at]) for at in range(len(samples))], corpus=together)

        found = [Measure("exact", exact), Measure("unknown", unknown, higher_is_better=False)]
        found += [of_rows(name, partial(_micro, name)) for name in _NAMES]
        found.append(of_rows("macro_f1", _macro))
        return found + [of_rows(f"f1/{label}", partial(_of_class, at)) for at, label in enumerate(self.labels)]

    def _gold(self, sample: Sample) -> set[str]:
        if self.of is None:
            return _names(sample.label) if isinstance(sample.label, tuple) else _parts(sample.reference)
        if self.of not in sample.extras:
            there = ", ".join(sample.extras) or "none"
            msg = f"MultiLabel.of is {self.of}, which is no column of row {sample.id}; it has {there}"
            raise RecipeError(msg)
        value = sample.extras[self.of]
        return _names(value) if isinstance(value, list | tuple) else _parts(str(value))


def _score(name: str, right: float, extra: float, missed: float) -> float:
    """Precision, recall or F1 of counts; nan where there is nothing to name and nothing named."""
    of = {"precision": right + extra, "recall": right + missed, "f1": right + (extra + missed) / 2}[name]
    if not right + extra + missed:
        return math.nan
    return float(right / of) if of else 0.0


def _micro(name: str, counts: Table) -> float:
    return _score(name, *counts.sum(1).tolist())


def _of_class(at: int, counts: Table) -> float:
    return _score("f1", *counts[:, at].tolist())


def _macro(counts: Table) -> float:
    found = [value for at in range(counts.shape[1]) if not math.isnan(value := _of_class(at, counts))]
    return math.fsum(found) / len(found) if found else math.nan


def _parts(text: str) -> set[str]:
    return {bare for part in _BETWEEN.split(text) if (bare := _bare(part))}


def _names(values: Sequence[Any]) -> set[str]:
    return {_bare(str(value)) for value in values}


def _bare(text: str) -> str:
    """A name as it is compared."""
    return _SPACE.sub(" ", text).strip().casefold()
