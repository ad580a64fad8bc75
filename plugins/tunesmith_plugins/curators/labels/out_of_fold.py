"""What a simple classifier says of each row that it was not trained on."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith import normal_text

Floats = np.ndarray[Any, np.dtype[np.float64]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]


_WORD = re.compile(r"\w+")


def folds_of(texts: Sequence[str], folds: int) -> Numbers:
    """The fold of each text, by its hash: equal texts share one, and rows that are appended move none."""
    hashes = [hashlib.sha256(normal_text(text).encode("utf-8", "surrogatepass")).digest()[:8] for text in texts]
    return np.array([int.from_bytes(digest, "big") % folds for digest in hashes], np.int64)


def probabilities(texts: Sequence[str], labels: Numbers, classes: int, folds: int) -> Floats:
    """Probability of each class for each text, from a classifier that saw the other folds only.

    Words and pairs of words by TF-IDF, then logistic regression with classes weighed alike.

    Args:
        texts: One a row.
        labels: Number of each row's class.
        classes: How many there are.
        folds: Parts of the data.

    Returns:
        One row a text, one column a class; rows sum to 1. A class that no other fold has is given none of it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    fold = folds_of(texts, folds)
    found = np.full((len(texts), classes), 1 / classes)
    for number in range(folds):
        inside = fold == number
        seen = np.unique(labels[~inside])
        if not inside.any() or len(seen) < 2:
            continue
        # words of one letter and of any script too, which the usual pattern leaves out
        pairs = {"tokenizer": _WORD.findall, "token_pattern": None, "ngram_range": (1, 2)}
        words = TfidfVectorizer(**pairs, sublinear_tf=True, max_features=200_000)
        model = make_pipeline(words, LogisticRegression(C=10, class_weight="balanced", max_iter=1000))
        model.fit([texts[at] for at in np.flatnonzero(~inside).tolist()], labels[~inside])
        part = np.zeros((int(inside.sum()), classes))
        part[:, seen] = model.predict_proba([texts[at] for at in np.flatnonzero(inside).tolist()])
        found[inside] = part
    return found
