"""Classification: does the output name the right class?"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample
from tunesmith_plugins.evaluators.calibration import calibration

_NAMES = ("precision", "recall", "f1")
_SPACE = re.compile(r"[\s_]+")

# Rows by class (down) and by what their output says (across, nothing last): a numpy array, int64.
Table = Any


class Classification(Evaluator):
    """Outputs as classes, against the reference's or a column's; all in [0, 1], higher is better but for `unread`.

    Measures `accuracy`, `precision`, `recall` and `f1` (each the mean over classes, so that a rare one counts as much
    as a frequent one: macro), `weighted_f1` (classes count by their rows), `unread` (share of outputs in which no class
    is found; they are wrong), and for each class `precision/CLASS`, `recall/CLASS`, `f1/CLASS`. A class that no row has
    and no output names has no value and is left out of means; one that only outputs name has an F1 of 0. A row of
    none of the classes is left out, and said. Case, punctuation at the ends, runs of spaces and underscores do not
    count.

    With `calibration`, `calibration_error` and `brier` (both lower is better) say whether the model is as often right
    as it is sure: how probable each class is to it as the whole answer, of the classes alone. `calibration_error` is
    the expected one (15 bins of equal width; Guo et al. 2017, arXiv:1706.04599), `brier` the squared error of all
    classes' probabilities, from 0 to 2. A model behind an endpoint says no probabilities and has neither.

    Since 0.11.

    Args:
        labels: The classes, as rows write them.
        of: Column that holds the class; without it, the reference does.
        find: `whole`: the output is the class and nothing else. `first`: the first class that stands in it as whole
            words, of two at one place the longer.
        calibration: Measure calibration too; costs a score of each class for each row. Since 0.12.
    """

    def __init__(
        self,
        labels: list[str],
        of: str | None = None,
        find: Literal["whole", "first"] = "whole",
        calibration: bool = False,
    ) -> None:
        self.labels = labels
        self.of = of
        self.find = find
        self.calibration = calibration

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Whole outputs, the first class in them, and probabilities."""
        return [
            cls(["yes", "no"]),
            cls(["urgent", "not urgent"], find="first"),
            cls(["yes", "no", "who knows"], calibration=True),
        ]

    @property
    def needs(self) -> frozenset[Any]:  # type: ignore[override]  # a class variable of most evaluators
        """Answers, and probabilities of classes for calibration."""
        return frozenset({"output", "classes"} if self.calibration else {"output"})

    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def columns(self) -> Sequence[str]:
        """The column of the class, where it is one."""
        return () if self.of is None else (self.of,)

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Counts of each row; shares of any rows together. A row of none of the classes is nan.

        Raises:
            RecipeError: The classes cannot be told apart, or a row does not have the column.
        """
        import numpy as np

        places = {_bare(label): at for at, label in enumerate(self.labels)}
        if len(places) < max(2, len(self.labels)) or "" in places:
            msg = f"Classification.labels is {self.labels}; give two or more, different in more than case and signs"
            raise RecipeError(msg)
        gold = np.array([places.get(_bare(self._gold(sample)), -1) for sample in samples], dtype=np.int64)
        said = np.array([self._said(sample.output, places) for sample in samples], dtype=np.int64)
        number, known = len(self.labels), gold >= 0
        other = int((~known).sum())
        note = f"{other} rows are of none of the classes, and left out" if other else ""
        cells = gold * (number + 1) + np.where(said < 0, number, said)
        hits = np.where(known, gold == said, math.nan)

        def of_rows(name: str, score: Callable[[Table], float], values: Any) -> Measure:
            def together(indices: Sequence[int]) -> float:
                rows = np.asarray(indices, dtype=np.int64)
                counts = np.bincount(cells[rows[known[rows]]], minlength=number * (number + 1))
                return score(counts.reshape(number, number + 1))

            return Measure(name, values.tolist(), corpus=together, note=note)

        unread = np.where(known, said < 0, math.nan)
        found = [
            Measure("accuracy", hits.tolist(), note=note),
            Measure("unread", unread.tolist(), higher_is_better=False, note=note),
        ]
        found += [of_rows(name, partial(_mean, name), hits) for name in _NAMES]
        found.append(of_rows("weighted_f1", partial(_mean, "f1", weighted=True), hits))
        for at, label in enumerate(self.labels):
            own = np.where((gold == at) | (said == at), hits, math.nan)
            found += [of_rows(f"{name}/{label}", partial(_of_class, name, at), own) for name in _NAMES]
        if self.calibration:
            found += calibration(self._shares(samples), gold, note)
        return found

    def _shares(self, samples: Sequence[Sample]) -> Any:
        """Probabilities of the classes, `[rows, classes]`; a row of nan where the model says none."""
        import numpy as np

        found = np.full((len(samples), len(self.labels)), math.nan)
        for row, sample in zip(found, samples, strict=True):
            said = [sample.probabilities.get(label, math.nan) for label in self.labels]
            if (total := math.fsum(said)) > 0:
                row[:] = [share / total for share in said]
        return found

    def _gold(self, sample: Sample) -> str:
        if self.of is None:
            return sample.reference
        if self.of not in sample.extras:
            there = ", ".join(sample.extras) or "none"
            msg = f"Classification.of is {self.of}, which is no column of row {sample.id}; it has {there}"
            raise RecipeError(msg)
        return str(sample.extras[self.of])

    def _said(self, output: str, places: dict[str, int]) -> int:
        """The place of the class that an output names; -1 where it names none."""
        bare = _bare(output)
        if self.find == "whole":
            return places.get(bare, -1)
        longest = sorted(map(re.escape, places), key=len, reverse=True)
        match = re.search(rf"(?<!\w)(?:{'|'.join(longest)})(?!\w)", bare)
        return -1 if match is None else places[match[0]]


def _of_class(name: str, at: int, table: Table) -> float:
    """Precision, recall or F1 of a class; nan where it is not there."""
    right, rows, said = int(table[at, at]), int(table[at].sum()), int(table[:, at].sum())
    of = {"precision": said, "recall": rows, "f1": (rows + said) / 2}
    if not rows + said:
        return math.nan
    return right / of[name] if of[name] else 0.0


def _mean(name: str, table: Table, weighted: bool = False) -> float:
    """The mean over the classes that are there."""
    found = [(_of_class(name, at, table), int(row.sum()) if weighted else 1) for at, row in enumerate(table)]
    there = [(value, weight) for value, weight in found if not math.isnan(value)]
    total = sum(weight for _, weight in there)
    return math.fsum(value * weight for value, weight in there) / total if total else math.nan


def _bare(text: str) -> str:
    """A text as it is compared."""
    return _SPACE.sub(" ", text).strip(" \t\n.,;:!?\"'`*()[]").casefold()
