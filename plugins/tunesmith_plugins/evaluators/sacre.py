"""sacrebleu's metrics as measures: counts of rows are taken once, and any rows' score is that of their sum."""

from collections.abc import Sequence
from typing import Any

from tunesmith import Measure, Sample
from tunesmith_plugins.evaluators.summed import Statistics, summed


def sacre(name: str, metric: Any, width: int, samples: Sequence[Sample], of_rows: Any = None) -> Measure:
    """A measure of outputs against one reference each; a row whose reference is empty is left out.

    Args:
        name: Of the measure.
        metric: One of sacrebleu.
        width: Numbers that it counts in a row.
        samples: Rows.
        of_rows: The metric that scores single rows, where it is another.
    """
    import numpy as np

    # sacrebleu's own bootstrap sums these; they have no public name.
    def score(of: Any, counts: Statistics) -> float:
        return float(of._compute_score_from_stats([int(count) for count in counts]).score)

    counts = np.full((len(samples), width), np.nan)
    for at, sample in enumerate(samples):
        if sample.reference.strip():
            (counts[at],) = metric._extract_corpus_statistics([sample.output], [[sample.reference]])
    return summed(name, counts, lambda sums: score(metric, sums), lambda row: score(of_rows or metric, row))
