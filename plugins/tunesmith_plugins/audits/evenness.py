"""How even a dimension is: in examples, and in the labels of its groups."""

import math
from collections.abc import Mapping, Sequence

from tunesmith_plugins.audits.dimensions import Dimension
from tunesmith_plugins.audits.statistics import independence

_MOST_LABELS = 20


def imbalance(dimension: Dimension, least: int) -> float:
    """1 minus the examples of the least frequent compared group over those of the most frequent one.

    Args:
        dimension: What is counted by.
        least: Examples that have to name a group; with fewer there is no value (nan).
    """
    counts = [dimension.tallies[group].examples for group in dimension.compared]
    if len(counts) < 2 or not dimension.named or dimension.named < least:
        return math.nan
    return 1 - min(counts) / max(counts)


def label_gap(dimension: Dimension, least: int) -> float:
    """The largest difference between two groups in the share of their examples with a label; nan where there is none.

    Args:
        dimension: What is counted by.
        least: Examples that a group has to have.
    """
    tallies = [dimension.tallies[group] for group in dimension.compared]
    enough = [t for t in tallies if t.examples >= max(1, least)]
    if len(enough) < 2:
        return math.nan
    gaps = []
    for label in {label for t in enough for label in t.labels}:
        shares = [t.labels[label] / t.examples for t in enough]
        gaps.append(max(shares) - min(shares))
    return max(gaps, default=math.nan)


def label_p(dimension: Dimension, labels: Mapping[str, Sequence[str]], least: int) -> float:
    """p-value that each label is as frequent in all groups: the smallest of their tests, corrected (Bonferroni).

    Args:
        dimension: Of which the examples that name one group alone count.
        labels: By example id.
        least: Examples that a group has to have.

    Returns:
        nan where fewer than two groups have enough, or there are more than 20 labels, which then are texts.
    """
    of = {g: [labels[i] for i, group in dimension.alone.items() if group == g] for g in dimension.compared}
    enough = [rows for rows in of.values() if len(rows) >= max(1, least)]
    names = sorted({label for rows in enough for several in rows for label in several})
    if len(enough) < 2 or not 2 <= len(names) <= _MOST_LABELS:
        return math.nan
    having = [[sum(name in several for several in rows) for rows in enough] for name in names]
    tables = [[[k, len(rows) - k] for k, rows in zip(ks, enough, strict=True)] for ks in having]
    # Of two labels, of which each row has one, the second says nothing that the first does not.
    number = 1 if len(names) == 2 and all(len(several) == 1 for rows in enough for several in rows) else len(names)
    return min(1.0, number * min(independence(table)[0] for table in tables))
