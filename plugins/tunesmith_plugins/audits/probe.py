"""How well a linear model tells groups apart by features, on rows that it was not trained on."""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith import AbsentPackageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_DRAWS = 1999
_LEAST = 5  # rows that have to have a feature, and rows of each group that both halves have to have
_SHOWN = 10


@dataclass(frozen=True)
class Feature:
    """One of the features that tell a group most: its name, the group, its mean there and among the others."""

    name: str
    group: str
    inside: float
    outside: float


@dataclass(frozen=True)
class Probed:
    """What held-out rows say.

    Args:
        auc: Area under the ROC curve; of more than two groups the mean of each against the others. 0.5 is chance.
        balanced: Balanced accuracy: the mean over groups of the share that is told right; 1 in their number is chance.
        p: One-sided p-value of the area.
        rows: How many were held out.
        features: The strongest first.
    """

    auc: float
    balanced: float
    p: float
    rows: int
    features: Sequence[Feature]


def probe(
    rows: Sequence[Mapping[str, float]], groups: Sequence[str], ids: Sequence[str], seed: int = 0
) -> Probed | None:
    """Train logistic regression on one half of the rows to tell the group, and ask it about the other half.

    The p-value is by 1,999 permutations of the held-out rows' groups, which is exact, as the model has not seen them,
    where rows are independent: copies of a row on both sides make it too small.

    Args:
        rows: Features by name; one that is not there is 0.
        groups: Of each row.
        ids: Of each row, by which it falls to a half.
        seed: Of the halves and the permutations.

    Returns:
        None where a half has fewer than five rows of a group, or no feature is in five rows.

    Raises:
        AbsentPackageError: scikit-learn is not installed.
    """
    np, vectorizer, scaler, model, balanced = _libraries()
    often = Counter(name for row in rows for name in row)
    kept = [{name: v for name, v in row.items() if often[name] >= _LEAST} for row in rows]
    halves = [hashlib.sha256(f"{seed} {i}".encode()).digest()[0] & 1 for i in ids]
    known = sorted(set(groups))
    seen = Counter(zip(groups, halves, strict=True))
    if len(known) < 2 or min(seen[g, half] for g in known for half in (0, 1)) < _LEAST or not any(kept):
        return None
    matrix, truth, held = vectorizer.fit_transform(kept), np.array(groups), np.array(halves, dtype=bool)
    scaled = scaler.fit(matrix[~held]).transform(matrix)
    model.fit(scaled[~held], truth[~held])
    scores = model.decision_function(scaled[held])
    scores = np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
    auc, p = area(scores, np.searchsorted(model.classes_, truth[held]), seed)
    right = float(balanced(truth[held], model.predict(scaled[held])))
    weights = np.concatenate([-model.coef_, model.coef_]) if len(model.coef_) == 1 else model.coef_
    features = _strongest(vectorizer.get_feature_names_out(), weights, model.classes_, matrix, truth)
    return Probed(auc, right, p, int(held.sum()), features)


def area(scores: "Numbers", places: "NDArray[np.int64]", seed: int) -> tuple[float, float]:
    """The area under the ROC curve, and its p-value by permutation.

    Args:
        scores: Of each row for each group, `[rows, groups]`.
        places: Each row's group.
        seed: Of the permutations.
    """
    import numpy as np

    n, number = scores.shape
    ranks = np.stack([_ranks(scores[:, g]) for g in range(number)], 1)
    chosen = range(1, 2) if number == 2 else range(number)  # of two groups one area is the other

    def areas(of: "NDArray[np.int64]") -> "Numbers":
        """The area of each assignment, `[assignments]` of `[assignments, rows]`."""
        total = np.zeros(len(of))
        for g in chosen:
            inside = of == g
            k = int(inside[0].sum())
            total += (inside @ ranks[:, g] - k * (k + 1) / 2) / (k * (n - k))
        return total / len(chosen)

    seen, drawn, as_large = float(areas(places[None])[0]), np.random.default_rng(seed), 0
    at_once = max(1, 2_000_000 // n)
    for start in range(0, _DRAWS, at_once):
        several = np.tile(places, (min(at_once, _DRAWS - start), 1))
        as_large += int((areas(drawn.permuted(several, axis=1)) >= seen - 1e-12).sum())
    return seen, (as_large + 1) / (_DRAWS + 1)


def _ranks(values: "Numbers") -> "Numbers":
    """Ranks from 1, ties at their mean."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: Numbers = (ends - counts + 1 + ends) / 2
    return mean[inverse]


def _strongest(names: Sequence[str], weights: Any, groups: Sequence[str], matrix: Any, truth: Any) -> list[Feature]:
    """Features by the weight that they have for the group they tell most of."""
    best, which = weights.max(0), weights.argmax(0)
    found: list[Feature] = []
    for at in sorted(range(len(names)), key=lambda at: (-best[at], names[at])):
        inside = truth == groups[which[at]]
        column = matrix[:, [at]].toarray()[:, 0]
        if len(found) == _SHOWN:
            break
        if column.min() == column.max():  # what all rows have alike tells nothing
            continue
        means = float(column[inside].mean()), float(column[~inside].mean())
        found.append(Feature(str(names[at]), str(groups[which[at]]), *means))
    return found


def _libraries() -> tuple[Any, Any, Any, Any, Any]:
    state = random.getstate()  # which importing them moves
    try:
        import numpy as np
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import balanced_accuracy_score
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        msg = f"Proxy needs {error.name}, which is not installed: pip install 'tunesmith[labels]'"
        raise AbsentPackageError(msg) from error
    finally:
        random.setstate(state)
    model = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    return np, DictVectorizer(), StandardScaler(with_mean=False), model, balanced_accuracy_score
